package board_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestAStartGivesAHoldItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(10)
		s.start()
		defer s.stop()
		if v := s.expect(t, of, winner); v.ExpiresAt != 0 {
			t.Fatalf("a hold that has not begun ends at %d", v.ExpiresAt)
		}
		s.add(5000, "a", sale.Tick{Committed: s.committed})
		s.feed.send(s.commit())
		if v := s.expect(t, of, winner); v.ExpiresAt != 65_000 {
			t.Errorf("the hold ends at %d", v.ExpiresAt)
		}
		s.add(65_000, "a", sale.Tick{})
		s.feed.send(s.commit())
		if v := s.expect(t, of, winner); v.State != sale.Expired || v.ExpiresAt != 0 {
			t.Errorf("after its end the hold is %+v", v)
		}
	})
}

func TestADuplicateShowsTheFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(10)
		again := s.buy("a", of, "first")
		s.commit()
		s.start()
		defer s.stop()
		if v := s.expect(t, of, again); v.Offset != winner || v.State != sale.Held {
			t.Errorf("the duplicate is %+v", v)
		}
		s.add(2000, "a", sale.Confirm{Request: again, PaymentReference: "p"})
		s.feed.send(s.commit())
		if v := s.expect(t, of, again); v.State != sale.Confirmed {
			t.Errorf("the duplicate is %+v", v)
		}
	})
}

func TestARequestNamedWithoutItsSale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, loser := sold(10)
		s.start()
		defer s.stop()
		if v := s.expect(t, sale.None, winner); v.Sale != of {
			t.Errorf("the winner's sale is %d", v.Sale)
		}
		for _, offset := range []sale.Offset{loser, s.committed, s.committed + 9} {
			if _, err := s.Lookup(t.Context(), 0, sale.None, offset); !errors.Is(err, board.ErrNoRow) {
				t.Errorf("request %d: %v", offset, err)
			}
		}
		if _, err := s.Lookup(t.Context(), 0, 0, loser); !errors.Is(err, board.ErrUnknownSale) {
			t.Errorf("a request of no sale: %v", err)
		}
		if _, err := s.Lookup(t.Context(), 0, of, 0); !errors.Is(err, board.ErrNoRow) {
			t.Errorf("a request from before its sale: %v", err)
		}
	})
}

func TestBelowCompleteTheLedgerIsAskedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, loser := sold(1)
		again := s.buy("a", of, "first")
		s.confirmMany(3)
		s.commit()
		s.start()
		defer s.stop()
		for range 3 {
			s.expect(t, of, winner)
			s.expect(t, of, loser)
			s.expect(t, of, again)
		}
		if s.ledger.requests != 3 {
			t.Errorf("the ledger was asked %d times about 3 requests", s.ledger.requests)
		}
		// What is remembered does not outlive a change.
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.feed.send(s.commit())
		s.expect(t, of, winner)
		s.expect(t, of, again)
	})
}

func TestWhatTheLedgerSaidIsReplacedByEveryChange(t *testing.T) {
	for name, change := range map[string]func(*stack){
		"a message that leaves memory again": func(s *stack) {
			s.feed.send(s.commit())
			s.confirmMany(5)
			s.feed.send(s.commit())
		},
		"a read that skips it": func(s *stack) {
			s.confirmMany(5)
			s.commit()
			advance(1200 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, of, winner, _ := sold(1)
				s.confirmMany(5)
				s.commit()
				s.start()
				defer s.stop()
				s.expect(t, of, winner)
				s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
				change(s)
				if v := s.expect(t, of, winner); v.State != sale.Confirmed {
					t.Errorf("the winner is %s", v.State)
				}
			})
		})
	}
}

func TestALateAnswerOfTheLedgerIsNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(1)
		s.confirmMany(5)
		s.commit()
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.delay = 100 * time.Millisecond })
		answer := make(chan board.View, 1)
		go func() {
			v, _ := s.Lookup(within(t, time.Second), 0, of, winner)
			answer <- v
		}()
		synctest.Wait() // the ledger has looked
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.confirmMany(5) // and memory forgets the confirmation
		s.feed.send(s.commit())
		if v := <-answer; v.State != sale.Confirmed {
			t.Errorf("the winner is %s at %d", v.State, v.Watermark)
		}
	})
}

func TestManyWhoAskForTheSameAskOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(1)
		s.confirmMany(3)
		s.commit()
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.delay = 100 * time.Millisecond })
		first, leave := context.WithCancel(t.Context())
		answers := make(chan error, 51)
		go func() {
			_, err := s.Lookup(first, 0, of, winner)
			answers <- err
		}()
		synctest.Wait()
		for range 50 {
			go func() {
				_, err := s.Lookup(within(t, time.Second), 0, of, winner)
				answers <- err
			}()
		}
		synctest.Wait()
		if s.ledger.requests != 1 {
			t.Fatalf("the ledger was asked %d times", s.ledger.requests)
		}
		leave() // and another one does the work
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that left: %v", err)
		}
		for range 50 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if s.ledger.requests != 2 {
			t.Errorf("the ledger was asked %d times", s.ledger.requests)
		}
	})
}

func TestNoAnswerWithoutTheLedger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, loser := sold(1)
		s.confirmMany(3)
		s.commit()
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.down = true })
		for _, offset := range []sale.Offset{winner, loser} {
			if v, err := s.Lookup(within(t, time.Second), 0, of, offset); !errors.Is(err, errDown) {
				t.Errorf("request %d: %+v, %v", offset, v, err)
			}
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 20
		s := newStack(1, limit)
		s.start()
		defer s.stop()
		var requests []sale.Offset
		for range 10 {
			requests = append(requests, s.confirmMany(limit)...)
			s.feed.send(s.commit())
		}
		for _, offset := range requests {
			s.expect(t, offset-1, offset)
		}
		// Each of them has a row, and each sale a result.
		inMemory := len(requests) - s.ledger.requests
		if inMemory > limit || inMemory < limit-1 {
			t.Errorf("%d of %d rows were in memory, expected half of %d", inMemory, len(requests), 2*limit)
		}
	})
}

func TestAnAnswerFromAheadWaitsForTheBoard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(1)
		s.confirmMany(3)
		s.commit()
		s.start()
		defer s.stop()
		before, reads := s.Watermark(0), s.ledger.reads
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		m := s.commit()
		answer := make(chan board.View, 1)
		go func() {
			v, _ := s.Lookup(within(t, time.Second), 0, of, winner)
			answer <- v
		}()
		synctest.Wait()
		s.expectWatermark(t, before)
		s.feed.send(m)
		if v := <-answer; v.State != sale.Confirmed || v.Watermark != m.To || s.ledger.reads != reads {
			t.Errorf("the answer is %+v, after %d reads", v, s.ledger.reads-reads)
		}
	})
}

func TestWaitResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, winner, loser := sold(10)
		s.start()
		defer s.stop()
		command := s.end()
		type answer struct {
			result sale.Result
			err    error
		}
		answers := make(chan answer, 1)
		go func() {
			result, err := s.WaitResult(within(t, time.Second), 0, command)
			answers <- answer{result, err}
		}()
		synctest.Wait()
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		refused := s.add(2000, "a", sale.Confirm{Request: loser, PaymentReference: "p"})
		malformed := s.add(2000, "a", nil)
		s.feed.send(s.commit())
		if got := <-answers; got.err != nil || got.result != s.results[command] || got.result.Code != sale.CodeDone {
			t.Errorf("before it is decided: %+v", got)
		}
		if got, err := s.WaitResult(t.Context(), 0, refused); err != nil || got.Code != sale.CodeNotHeld {
			t.Errorf("after it is decided: %+v, %v", got, err)
		}
		if _, err := s.WaitResult(t.Context(), 0, malformed); !errors.Is(err, board.ErrNoResult) {
			t.Errorf("a record that is no command: %v", err)
		}
		if _, err := s.WaitResult(within(t, time.Second), 0, malformed+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a command that nobody decides: %v", err)
		}
		if s.ledger.results != 0 {
			t.Error("the ledger was asked")
		}
	})
}

func TestAnOldResultIsInTheLedger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(1)
		s.confirmMany(3)
		s.commit()
		s.start()
		defer s.stop()
		if got, err := s.WaitResult(t.Context(), 0, of); err != nil || got != s.results[of] {
			t.Errorf("the sale's creation: %+v, %v", got, err)
		}
		if _, err := s.WaitResult(t.Context(), 0, winner); !errors.Is(err, board.ErrNoResult) {
			t.Errorf("a request is no command: %v", err)
		}
		s.ledger.set(func() { s.ledger.down = true })
		if _, err := s.WaitResult(t.Context(), 0, of); !errors.Is(err, errDown) {
			t.Errorf("without the ledger: %v", err)
		}
	})
}

func TestCatchUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, _, _ := sold(10)
		s.start()
		defer s.stop()
		s.buy("a", of, "third")
		s.commit()
		reads := s.ledger.reads
		s.ledger.set(func() { s.ledger.delay = 50 * time.Millisecond })
		done := make(chan error, 100)
		for range cap(done) {
			go func() { done <- s.CatchUp(within(t, time.Second), 0, s.committed) }()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if s.ledger.reads != reads+1 {
			t.Errorf("%d reads for clients that wait together", s.ledger.reads-reads)
		}
		if err := s.CatchUp(t.Context(), 0, s.committed); err != nil {
			t.Error(err)
		}
		if err := s.CatchUp(within(t, 900*time.Millisecond), 0, s.committed+1); !errors.Is(err, board.ErrBehind) {
			t.Errorf("a watermark that the ledger has not reached: %v", err)
		}
		s.ledger.set(func() { s.ledger.down = true })
		if err := s.CatchUp(within(t, time.Second), 0, s.committed+1); !errors.Is(err, errDown) {
			t.Errorf("without the ledger: %v", err)
		}
		s.ledger.set(func() { s.ledger.delay = time.Minute })
		if err := s.CatchUp(within(t, time.Second), 0, s.committed+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a ledger that does not answer: %v", err)
		}
	})
}

func TestSalesInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(2, 10)
		s.create("b", 1)
		s.create("a", 1)
		s.commit()
		other := s.ledger.truths[1]
		other.add(1000, "aa", s.records[1].Body)
		other.committed = other.end()
		s.start()
		defer s.stop()
		var got []string
		for _, v := range s.Sales() {
			got = append(got, fmt.Sprint(v.Product, v.Partition))
		}
		if want := []string{"a0", "aa1", "b0"}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("sales are %v, expected %v", got, want)
		}
		if v, ok := s.Sale("aa"); !ok || v.Partition != 1 || v.Watermark != 2 {
			t.Errorf("aa is %+v, %v", v, ok)
		}
		if _, ok := s.Sale("c"); ok {
			t.Error("there is no c")
		}
	})
}
