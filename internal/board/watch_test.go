package board_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func told(w *board.Watch) bool {
	select {
	case <-w.C:
		return true
	default:
		return false
	}
}

func TestAWatchIsToldOfEachKindOfChangeAndOfNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 100)
		of := s.create("a", 1)
		s.commit()
		s.start()
		defer s.stop()
		winner := s.end()
		watch := s.Watch(0, winner)
		twin, loser, duplicate := s.Watch(0, winner), s.Watch(0, winner+1), s.Watch(0, winner+2)
		bystander := s.Watch(0, 1000)
		steps := []struct {
			name                     string
			do                       func()
			winner, loser, duplicate bool
		}{
			{"held", func() { s.buy("a", of, "first") }, true, false, false},
			{"sold out", func() { s.buy("a", of, "second") }, false, true, false},
			{"duplicate", func() { s.buy("a", of, "first") }, false, false, true},
			{"the line moves", func() { s.buy("a", of, "third") }, false, false, false},
			{"start", func() { s.add(2000, "a", sale.Tick{Committed: s.committed}) }, true, false, true},
			{"no start", func() { s.add(2000, "a", sale.Tick{Committed: s.committed}) }, false, false, false},
			{"confirmed", func() { s.add(3000, "a", sale.Confirm{Request: winner, PaymentReference: "p"}) }, true, false, true},
			{"several things", func() { s.create("b", 1); s.buy("a", of, "fourth"); s.add(4000, "a", nil) }, false, false, false},
		}
		for _, step := range steps {
			step.do()
			s.feed.send(s.commit())
			if told(watch) != step.winner || told(twin) != step.winner || told(loser) != step.loser || told(duplicate) != step.duplicate {
				t.Errorf("%s: the wrong ones were told", step.name)
			}
			if told(watch) || told(bystander) {
				t.Errorf("%s: told twice, or of something else", step.name)
			}
		}
		late := s.Watch(0, winner+2) // of a duplicate that is known as one
		for _, w := range []*board.Watch{twin, twin, loser, duplicate, bystander} {
			w.Close()
		}
		if told(late) {
			t.Error("told of what was known before")
		}
		late.Close()
		watch.Close()
	})
}

func TestWhatIsKnownIsNoNews(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(100)
		s.add(2000, "a", sale.Tick{Committed: s.end()})
		s.commit()
		s.start()
		defer s.stop()
		w := s.Watch(0, winner)
		defer w.Close()
		s.buy("a", of, "third")
		s.commit()
		s.feed.send(s.message(0, s.committed))
		s.expectWatermark(t, s.committed)
		if told(w) {
			t.Error("a message repeated what is known, and the watch was told")
		}
	})
}

func TestAWatchHoldsOneElement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(100)
		s.start()
		defer s.stop()
		w := s.Watch(0, winner)
		duplicate := s.Watch(0, s.end())
		s.buy("a", of, "first")
		s.add(2000, "a", sale.Tick{Committed: s.end()})
		s.feed.send(s.commit())
		s.add(3000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.feed.send(s.commit())
		if !told(w) || told(w) || !told(duplicate) || told(duplicate) {
			t.Error("two changes are not one element")
		}
		w.Close()
		duplicate.Close()
		s.add(99_000, "a", sale.Tick{})
		s.feed.send(s.commit())
		if told(w) {
			t.Error("told after Close")
		}
	})
}

func TestAWatchOfADuplicateSeenOnlyInTheLedger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(1)
		duplicate := s.buy("a", of, "first")
		s.confirmMany(3)
		s.commit()
		s.start()
		defer s.stop()
		w, late := s.Watch(0, duplicate), (*board.Watch)(nil)
		s.expect(t, of, duplicate)
		late = s.Watch(0, duplicate)
		told(w)
		s.add(2000, "a", sale.Tick{Committed: s.committed})
		s.feed.send(s.commit())
		if !told(w) || !told(late) {
			t.Error("not told of the start of the first one's hold")
		}
		s.expect(t, of, duplicate)
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.feed.send(s.commit())
		if !told(w) || !told(late) {
			t.Error("not told of the first one's confirmation")
		}
	})
}

func TestAWatchIsToldWhenMemoryForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(4)
		s.start()
		defer s.stop()
		w := s.Watch(0, winner)
		s.expect(t, of, winner)
		s.confirmMany(10)
		s.feed.send(s.commit())
		if !told(w) {
			t.Fatal("not told")
		}
		s.expect(t, of, winner)
		s.add(2000, "a", sale.Tick{Committed: s.committed})
		s.feed.send(s.commit())
		if !told(w) {
			t.Error("not told of the start of a hold that is not in memory")
		}
	})
}

func TestAHealThatSkipsTellsAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(4)
		s.start()
		defer s.stop()
		w := s.Watch(0, winner)
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.confirmMany(10)
		s.commit()
		advance(1200 * time.Millisecond)
		if !told(w) {
			t.Error("not told of a change that the read did not mention")
		}
		s.expect(t, of, winner)
	})
}

func TestAHundredThousandWatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const watches, batch = 100_000, 20_000
		s := newStack(1, 100)
		of := s.create("a", 1)
		winner := s.buy("a", of, "winner")
		s.commit()
		s.start()
		defer s.stop()
		all := make([]*board.Watch, watches)
		for i := range all {
			all[i] = s.Watch(0, winner+1+sale.Offset(i))
		}
		m := s.message(s.committed, s.committed)
		for range watches / batch {
			m.To += batch
			m.End = m.To
			s.feed.send(m)
			m.From = m.To
		}
		for i, w := range all {
			if !told(w) {
				t.Fatalf("watch %d was not told", i)
			}
			if v, err := s.Lookup(t.Context(), 0, of, winner+1+sale.Offset(i)); err != nil || v.State != sale.SoldOut {
				t.Fatalf("loser %d: %+v, %v", i, v, err)
			}
			w.Close()
		}
		if s.ledger.requests > 0 {
			t.Error("a loser asked the ledger")
		}
	})
}

func TestManyWatchesOfTheSameRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, winner, _ := sold(100)
		s.start()
		defer s.stop()
		var all []*board.Watch
		for range 1000 {
			all = append(all, s.Watch(0, winner))
		}
		for i, w := range all {
			if i%3 == 0 {
				w.Close()
			}
		}
		s.add(2000, "a", sale.Confirm{Request: winner, PaymentReference: "p"})
		s.feed.send(s.commit())
		for i, w := range all {
			if told(w) == (i%3 == 0) {
				t.Fatal(fmt.Sprint("watch ", i, " of a third that is closed"))
			}
			w.Close()
		}
	})
}
