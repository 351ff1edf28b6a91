package httpserver

import (
	"net/http"
	"time"
)

// sweepEvery is how exactly limits are kept.
const sweepEvery = 250 * time.Millisecond

// sweep keeps the clock and the limits of all connections, until Serve ends.
func (s *Server) sweep() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.tick(now)
			s.mu.Lock()
			for c := range s.connections {
				c.sweep(now.UnixNano())
			}
			s.mu.Unlock()
		case <-s.handed.done:
			return
		}
	}
}

// tick sets what is read for every answer. What it says is up to a sweep old.
func (s *Server) tick(now time.Time) {
	s.now.Store(now.UnixNano())
	line := "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"
	s.date.Store(&line)
}

// within is a moment that is no earlier than so far from now.
func (s *Server) within(wait time.Duration) int64 {
	return s.now.Load() + int64(wait+sweepEvery)
}
