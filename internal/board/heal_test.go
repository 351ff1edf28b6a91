package board_test

import (
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
)

func TestSilenceIsHealedAboutOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, _, _ := sold(10)
		s.start()
		defer s.stop()
		s.buy("a", of, "third")
		s.commit() // and nobody says so
		advance(1200 * time.Millisecond)
		s.expectWatermark(t, s.committed)

		s.ledger.set(func() { s.ledger.reads, s.ledger.delay = 0, 100*time.Millisecond })
		advance(20 * time.Second)
		if s.ledger.reads < 15 || s.ledger.reads > 20 {
			t.Errorf("%d reads in 20 s of silence", s.ledger.reads)
		}
		if s.ledger.mostReading > 1 {
			t.Errorf("%d reads of a partition at once", s.ledger.mostReading)
		}
		s.ledger.set(func() { s.ledger.reads = 0 })
		for range 20 {
			s.feed.send(&event.Message{Log: topic.String(), From: s.committed, To: s.committed})
			advance(500 * time.Millisecond)
		}
		if s.ledger.reads > 1 {
			t.Errorf("%d reads while signs of life came", s.ledger.reads)
		}
	})
}

func TestSignsOfLifeOfAnOwnerThatWasReplacedHideNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, _, _ := sold(10)
		s.start()
		defer s.stop()
		stale := s.message(s.committed-1, s.committed-1)
		s.buy("a", of, "third")
		s.commit()
		for range 3 {
			s.feed.send(stale)
			advance(500 * time.Millisecond)
		}
		s.expectWatermark(t, s.committed)
	})
}

func TestAFailingLedgerIsTriedAgainAndNotTooOften(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		s.ledger.down = true
		s.start()
		defer s.stop()
		advance(30 * time.Second)
		if s.ledger.reads < 20 || s.ledger.reads > 50 {
			t.Errorf("%d tries in 30 s", s.ledger.reads)
		}
		s.ledger.set(func() { s.ledger.down = false })
		advance(1200 * time.Millisecond)
		s.expectWatermark(t, s.committed)
	})
}

func TestAStoppedPartitionIsNoticedAndItsReturnToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.stopped = "the log's schema is too new" })
		advance(1200 * time.Millisecond)
		if got, _ := s.Sale("a"); s.Stopped(0) == "" || got.Stopped == "" {
			t.Error("the board does not know that the partition has stopped")
		}
		s.ledger.set(func() { s.ledger.stopped = "" })
		for range 3 {
			s.feed.send(&event.Message{Log: topic.String(), From: s.committed, To: s.committed})
			advance(500 * time.Millisecond)
		}
		if s.Stopped(0) != "" {
			t.Error("signs of life hide that the partition goes on")
		}
	})
}
