package board_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestPositionsNeverRise asks from many goroutines while messages and reads
// move the board: what one of them sees of a request only goes forward.
func TestPositionsNeverRise(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const batches, batch = 300, 10
		s := newStack(1, 5)
		of := s.create("a", 1)
		winner := s.buy("a", of, "winner")
		s.confirmMany(12) // the winner's row is not in memory
		s.commit()
		last := s.committed + batches*batch - 1
		s.start()
		defer s.stop()

		stop := make(chan struct{})
		var askers sync.WaitGroup
		for range 8 {
			askers.Go(func() {
				position := int64(1 << 60)
				for {
					watch := s.Watch(0, last)
					v, err := s.Lookup(t.Context(), 0, of, last)
					watch.Close()
					first, ofFirst := s.Lookup(t.Context(), 0, of, winner)
					switch {
					case err != nil || ofFirst != nil:
						t.Errorf("looking up: %v, %v", err, ofFirst)
						return
					case first.State != sale.Held:
						t.Errorf("the winner is %+v", first)
						return
					case v.State == sale.SoldOut && v.Position == board.NoPosition:
						position = -1
					case v.State != sale.Queued || v.Position > position:
						t.Errorf("after position %d: %+v", position, v)
						return
					default:
						position = v.Position
					}
					s.Sales()
					s.NoteAppended(0, last)
					if s.Line(0) < 0 || s.Stopped(0) != "" {
						t.Error("the line is shorter than nothing")
					}
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
			})
		}
		from := s.committed
		for i := range batches {
			to := from + batch
			if i%7 != 3 { // some are lost, and what follows is kept until the read
				s.feed.send(&event.Message{Log: topic.String(), From: from, To: to, OldestStart: to})
			} else {
				s.ledger.set(func() {
					for s.end() < to {
						s.add(3000, "a", sale.Buy{Sale: of, Buyer: "loser", Quantity: 1, AcceptedAt: 1})
					}
					s.truth.committed = to
				})
				s.feed.subscribed()
			}
			from = to
			advance(time.Millisecond)
		}
		close(stop)
		askers.Wait()
		synctest.Wait()
		if v := s.Watermark(0); v != last+1 {
			t.Errorf("the watermark is %d, expected %d", v, last+1)
		}
	})
}
