package board_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// BenchmarkSale asks for a sale as each buy does, and prints how much dearer it
// would be to copy it.
func BenchmarkSale(b *testing.B) {
	s, _, _, _ := sold(0)
	_, stop := startReal(b, s)
	defer stop()
	var alone float64
	b.Run("asked for", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if v, ok := s.Sale("a"); !ok || v.Held != 1 {
					b.Error("the sale is not known")
					return
				}
			}
		})
		alone = float64(b.Elapsed()) / float64(b.N)
	})
	b.Run("and copied", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			var whole sale.Sale
			for pb.Next() {
				v, _ := s.Sale("a")
				whole = *v.Sale
			}
			_ = whole.Held
		})
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/alone, "x-of-asking")
	})
}

// BenchmarkPlaces has 100,000 in a waitlist, and prints how much dearer it is
// for one of them to leave, or to be looked up, than where nobody waits.
func BenchmarkPlaces(b *testing.B) {
	const batch = 100
	perMessage := make(map[int]float64)
	for _, waiting := range []int{0, 100_000} {
		s := newStack(1, 0)
		of := s.createOf("a", waitlist(1))
		s.commit()
		f, stop := startReal(b, s)
		at := s.committed
		row := func(offset sale.Offset, state sale.State) sale.Request {
			return sale.Request{Offset: offset, Sale: of, State: state, First: sale.None, HeldSince: sale.None, Cause: at}
		}
		send := func(rows []sale.Request) {
			f.send(&event.Message{Log: topic.String(), From: at, To: at + batch, OldestStart: at, Requests: rows})
			at += batch
		}
		var offsets []sale.Offset
		for len(offsets) < waiting {
			var rows []sale.Request
			for i := range sale.Offset(batch) {
				r := row(at+i, sale.Waitlisted)
				r.Cause = r.Offset
				rows = append(rows, r)
				offsets = append(offsets, r.Offset)
			}
			send(rows)
		}
		// Half of a batch leave, from anywhere, and come back in the next.
		random := rand.New(rand.NewPCG(1, 1))
		b.Run(fmt.Sprintf("message/waiting=%d", waiting), func(b *testing.B) {
			for range b.N {
				var rows []sale.Request
				for i := range batch {
					offset, state := at+sale.Offset(i), sale.Released
					if waiting > 0 {
						offset = offsets[random.IntN(len(offsets))]
						state = []sale.State{sale.Waitlisted, sale.Released}[i%2]
					}
					rows = append(rows, row(offset, state))
				}
				send(rows)
			}
			per := float64(b.Elapsed()) / float64(b.N)
			if waiting == 0 {
				perMessage[0] = per
			} else {
				b.ReportMetric(per/perMessage[0], "x-of-no-waitlist")
			}
		})
		if waiting > 0 {
			b.Run("lookup", func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					if _, err := s.Lookup(context.Background(), 0, of, offsets[i%len(offsets)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		stop()
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
