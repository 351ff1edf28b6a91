package ingress

import (
	"sync"
)

// transport is how a stream reaches its client.
type transport uint8

const (
	webSocket transport = iota
	serverSentEvents
	longPoll
)

// transports are the values of the metric's label.
var transports = [...]string{webSocket: "websocket", serverSentEvents: "sse", longPoll: "poll"}

// streams counts what is open, bounds it, and knows when all of it is gone.
type streams struct {
	most int64

	mu     sync.Mutex
	open   [len(transports)]int64
	over   bool
	waiter chan struct{} // closed when nothing is open any more; nil while nobody waits

	// sockets are the WebSockets that have no goroutine which waits for the end.
	sockets map[*socket]struct{}
}

// enter counts a stream in, or refuses it. Whoever is let in calls leave.
func (s *streams) enter(t transport) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return cannotTell("this server is about to stop")
	}
	if s.total() >= s.most {
		return cannotTell("this server follows as many requests as it can")
	}
	s.open[t]++
	return nil
}

func (s *streams) leave(t transport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[t]--
	s.tell()
}

// keep remembers a WebSocket that was let in, to tell it when streams end, until
// forget.
func (s *streams) keep(one *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		one.wake(drained)
	}
	if s.sockets == nil {
		s.sockets = map[*socket]struct{}{}
	}
	s.sockets[one] = struct{}{}
}

func (s *streams) forget(one *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sockets, one)
}

// refuse lets nobody in from now on, and tells those who are, once: told is
// closed, and WebSockets are woken.
func (s *streams) refuse(told chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(told)
		for one := range s.sockets {
			one.wake(drained)
		}
	}
}

// gone gives a channel that is closed when nothing is open.
func (s *streams) gone() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiter == nil {
		s.waiter = make(chan struct{})
	}
	waiter := s.waiter
	s.tell()
	return waiter
}

func (s *streams) tell() {
	if s.waiter != nil && s.total() == 0 {
		close(s.waiter)
		s.waiter = nil
	}
}

func (s *streams) total() int64 {
	var sum int64
	for _, n := range s.open {
		sum += n
	}
	return sum
}

func (s *streams) count() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total()
}

func (s *streams) of(t transport) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[t]
}
