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
				c.sweep(s.clock())
			}
			s.mu.Unlock()
		case <-s.handed.done:
			return
		}
	}
}

// tick sets what is read for every answer. What it says is up to a sweep old.
func (s *Server) tick(now time.Time) {
	s.now.Store(int64(now.Sub(s.made)))
	line := "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"
	s.date.Store(&line)
}

// clock is the time since the server was made, up to a sweep old. A wall clock
// that is put forward must not end connections.
func (s *Server) clock() time.Duration { return time.Duration(s.now.Load()) }

// within is a time that is no earlier than so far from now.
func (s *Server) within(wait time.Duration) time.Duration { return s.clock() + wait + sweepEvery }
