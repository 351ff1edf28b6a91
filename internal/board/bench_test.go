package board_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// BenchmarkLookup polls in parallel while batches of losers arrive, and prints
// how much the writer costs: time per poll with it, relative to without.
func BenchmarkLookup(b *testing.B) {
	alone := make(map[string]float64)
	for _, writing := range []bool{false, true} {
		for _, kind := range []string{"queued", "default", "held"} {
			name := fmt.Sprintf("%s/writer=%t", kind, writing)
			b.Run(name, func(b *testing.B) {
				s := newStack(1, 0)
				of := s.create("a", 1)
				winner := s.buy("a", of, "winner")
				s.commit()
				f, stop := startReal(b, s)
				defer stop()
				offset := map[string]sale.Offset{"queued": 1 << 50, "default": winner + 1, "held": winner}[kind]
				f.send(&event.Message{Log: topic.String(), From: s.committed, To: winner + 2, OldestStart: 1 << 60})
				if writing {
					defer keepWriting(f, winner+2, s.message(0, s.committed).Sales)()
				}
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := s.Lookup(context.Background(), 0, of, offset); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.StopTimer()
				perPoll := float64(b.Elapsed()) / float64(b.N)
				if !writing {
					alone[kind] = perPoll
				} else if alone[kind] > 0 {
					b.ReportMetric(perPoll/alone[kind], "x-of-idle")
				}
			})
		}
	}
}

// BenchmarkMessage takes batches of 20,000 losers while 100,000 watch.
func BenchmarkMessage(b *testing.B) {
	for _, watches := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("watches=%d", watches), func(b *testing.B) {
			s := newStack(1, 0)
			s.create("a", 1)
			s.commit()
			f, stop := startReal(b, s)
			defer stop()
			for i := range watches {
				defer s.Watch(0, s.committed+sale.Offset(i)).Close()
			}
			m := &event.Message{Log: topic.String(), From: s.committed, To: s.committed}
			b.ResetTimer()
			for range b.N {
				m.From, m.To = m.To, m.To+20_000
				f.send(m)
			}
		})
	}
}

func startReal(b *testing.B, s *stack) (*feed, func()) {
	f := &feed{ended: make(chan error, 1)}
	board, err := board.New(board.Config{Log: topic, Partitions: 1, Ledger: s.ledger, Feed: f})
	if err != nil {
		b.Fatal(err)
	}
	s.Board = board
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- board.Run(ctx) }()
	ready, release := context.WithTimeout(ctx, 10*time.Second)
	defer release()
	if err := board.WaitReady(ready); err != nil {
		b.Fatal(err)
	}
	return f, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

// keepWriting sends batches of 1,000 losers, 1,000 times a second, until the
// function that it gives is called.
func keepWriting(f *feed, from sale.Offset, sales []sale.Sale) (stop func()) {
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for !stopped.Load() {
			sales[0].Revision = from
			f.send(&event.Message{Log: topic.String(), From: from, To: from + 1000, Sales: sales, OldestStart: 1 << 60})
			from += 1000
			<-pace.C
		}
	}()
	return func() { stopped.Store(true); <-done }
}
