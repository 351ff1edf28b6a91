package board_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// confirmMany adds n sales of one unit that are bought.
func (s *stack) confirmMany(n int) (requests []sale.Offset) {
	for i := range n {
		product := sale.Product(fmt.Sprint("p", i, "-", s.end()))
		of := s.create(product, 1)
		requests = append(requests, s.buy(product, of, "b"))
	}
	return requests
}

func TestAMessageThatOverlapsIsTakenFromTheWatermarkOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, loser := sold(10)
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.down = true })
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.commit()
		s.feed.send(s.message(1, s.committed))
		s.expectWatermark(t, s.committed)
		if v := s.expect(t, of, winner); v.State != sale.Confirmed || v.Payment != "p" {
			t.Errorf("the winner is %+v", v)
		}
		s.expect(t, of, loser)
		if got, _ := s.Sale("a"); got.Confirmed != 1 || got.Held != 0 {
			t.Errorf("the sale is %+v", got)
		}
	})
}

func TestAMessageFromThePastIsASignOfLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(10)
		s.start()
		defer s.stop()
		old := s.message(0, s.committed)
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.feed.send(s.commit())
		old.End = 77
		s.feed.send(old)
		s.expectWatermark(t, s.committed)
		s.expect(t, of, winner)
		if s.End(0) != 77 {
			t.Errorf("the end is %d, which the message raises to 77", s.End(0))
		}
	})
}

func TestASaleDoesNotGoBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(10)
		before := s.salesAt(s.committed)
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.commit()
		s.start()
		defer s.stop()
		s.buy("a", of, "third")
		m := s.commit()
		m.Sales = before
		s.feed.send(m)
		if got, _ := s.Sale("a"); got.Confirmed != 1 {
			t.Errorf("an older revision replaced a newer one: %+v", got.Sale)
		}
	})
}

func TestTheCurrentSaleIsTheLatest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, _, _ := sold(10)
		s.start()
		defer s.stop()
		next := s.create("b", 1)
		m := s.commit()
		m.Sales[0].Product = "a" // as if the first one were closed
		older := s.salesAt(of + 1)[0]
		older.Revision = next
		m.Sales = append(m.Sales, older)
		s.feed.send(m)
		if got, _ := s.Sale("a"); got.ID != next {
			t.Errorf("the current sale is %d, the latest %d", got.ID, next)
		}
	})
}

func TestAMessageAboveTheWatermarkIsKeptUntilItConnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, _, _ := sold(10)
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.down = true })
		before := s.committed
		missing := s.buy("a", of, "third")
		first := s.commit()
		s.buy("a", of, "fourth")
		second := s.commit()
		s.feed.send(second)
		synctest.Wait()
		s.expectWatermark(t, before)
		if v := s.expect(t, of, missing); v.State != sale.Queued {
			t.Errorf("the third is %s, of which nothing was heard", v.State)
		}
		s.feed.send(first)
		s.expectWatermark(t, s.committed)
		s.expect(t, of, missing)
	})
}

func TestALossIsHealed(t *testing.T) {
	for name, heal := range map[string]bool{"gap": false, "message that is too large": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, of, winner, _ := sold(10)
				s.start()
				defer s.stop()
				reads := s.ledger.reads
				s.add(2000, "a", sale.Release{Request: winner, By: sale.ByShopper})
				lost := s.commit()
				if heal {
					s.feed.send(&event.Message{Log: lost.Log, From: lost.From, To: lost.To, End: lost.End, Heal: true})
				} else {
					s.feed.send(&event.Message{Log: lost.Log, From: lost.To, To: lost.To, End: lost.End})
				}
				synctest.Wait()
				s.expectWatermark(t, s.committed)
				s.expect(t, of, winner)
				if s.ledger.reads != reads+1 {
					t.Errorf("%d reads, expected one", s.ledger.reads-reads)
				}
			})
		})
	}
}

func TestMessagesDuringASlowReadAreNotLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, _, _ := sold(10)
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.delay = 300 * time.Millisecond })
		s.buy("a", of, "lost")
		s.commit()
		for i := range 5 {
			s.buy("a", of, fmt.Sprint("later", i))
			s.feed.send(s.commit())
			advance(20 * time.Millisecond)
		}
		reads := s.ledger.reads
		advance(400 * time.Millisecond)
		s.expectWatermark(t, s.committed)
		if s.ledger.reads != reads {
			t.Errorf("%d reads more than the one that was in flight", s.ledger.reads-reads)
		}
	})
}

func TestALateReadDoesNotTakeTheBoardBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(10)
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.delay = 500 * time.Millisecond })
		s.feed.subscribed() // a read begins
		synctest.Wait()
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.feed.send(s.commit())
		advance(600 * time.Millisecond)
		s.expectWatermark(t, s.committed)
		s.expect(t, of, winner)
	})
}
