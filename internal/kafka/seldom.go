package kafka

import (
	"sync"
	"time"
)

// quietTime is how long the same thing is not logged again: during an outage a
// client fails several times a second, in the same way.
const quietTime = 10 * time.Second

// seldom tells what was logged lately. Messages are constants, so there are
// few of them. It is safe for several goroutines.
type seldom struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// again reports whether the message is not to be logged now.
func (s *seldom) again(message string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[message]; ok && now.Sub(last) < quietTime {
		return true
	}
	if s.last == nil {
		s.last = make(map[string]time.Time)
	}
	s.last[message] = now
	return false
}
