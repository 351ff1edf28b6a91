package load

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A server that sends nothing for so long, no ping either, is gone.
const longestSilence = time.Minute

// streams are the WebSockets that stay open between phases. Each has a
// goroutine that reads, and that its wire belongs to.
type streams struct {
	listening              sync.WaitGroup
	open, broken, messages atomic.Int64
	closing                atomic.Bool

	mu          sync.Mutex
	connections []net.Conn
}

// listen reads a stream until it ends.
func (s *streams) listen(socket *socket) {
	s.mu.Lock()
	s.connections = append(s.connections, socket.wire.connection)
	s.mu.Unlock()
	s.open.Add(1)
	s.listening.Go(func() {
		defer s.open.Add(-1)
		defer socket.close()
		for {
			_, err := socket.next(time.Time{})
			switch {
			case err == nil:
				s.messages.Add(1)
				continue
			case !errors.Is(err, errEnded) && !s.closing.Load():
				s.broken.Add(1)
			}
			return
		}
	})
}

// close ends all streams, and says how many were open. None is opened
// meanwhile.
func (s *streams) close() (were int) {
	were = int(s.open.Load())
	s.closing.Store(true)
	defer s.closing.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, connection := range s.connections {
		_, _ = connection.Write(controlFrame(opClose, []byte{normalClosure >> 8, normalClosure & 0xff})) // it may be gone
		_ = connection.Close()
	}
	s.connections = nil
	s.listening.Wait()
	return were
}

// reset begins to count anew.
func (s *streams) reset() {
	s.broken.Store(0)
	s.messages.Store(0)
}

// stream opens WebSockets on the kept tickets in turn.
func (p *phaseRun) stream(ctx context.Context, of *streams) error {
	tickets := p.memory.snapshot()
	if len(tickets) == 0 {
		return errNoTickets
	}
	p.each(ctx, newArrivals(Arrivals{Kind: Closed}, p.phase.Streams), func(n int) (call, func()) {
		return func(ctx context.Context, number int, s *sample) {
			w := p.wire(number)
			w.source = sourceFor(w.address, number)
			socket := &socket{wire: w}
			a, err := socket.open(ctx, p.requests(w), tickets[number%len(tickets)].ticket, "")
			s.at, s.status = p.elapsed(), a.status
			switch {
			case err == nil:
				of.listen(socket)
			case a.status != 0:
				s.refusal = refusalOf(&a)
				socket.close()
			default:
				s.failure = failureOf(err)
				socket.close()
			}
		}, func() {}
	})
	return nil
}
