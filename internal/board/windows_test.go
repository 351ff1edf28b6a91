package board_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// windows is a drain whose sale has reserved requests.
type windows struct {
	*drain
	turns []sale.Offset
}

func newWindows(t *testing.T, change func(*sale.Settings)) *windows {
	w := &windows{drain: newDrain(t)}
	w.setSale(func(s *sale.Sale) { change(&s.Settings) })
	rows := make([]sale.Request, 2000)
	for i := range rows {
		offset := w.at + sale.Offset(i)
		rows[i] = sale.Request{Offset: offset, Sale: w.of, State: sale.Reserved, Granted: offset, First: sale.None, HeldSince: sale.None, Cause: offset}
		w.turns = append(w.turns, offset)
	}
	w.decide(2000, rows[:1000]...)
	w.feed.send(&event.Message{Log: topic.String(), From: w.at, To: w.at + 1, OldestStart: w.at, Requests: atCause(rows[1000:], w.at)})
	w.at++
	return w
}

func atCause(rows []sale.Request, cause sale.Offset) []sale.Request {
	for i := range rows {
		rows[i].Cause = cause
	}
	return rows
}

// open opens the next n windows with one tick.
func (w *windows) open(n int) {
	var rows []sale.Request
	for _, offset := range w.turns[:n] {
		rows = append(rows, w.held(offset, w.at))
	}
	w.turns = w.turns[n:]
	w.decide(1, rows...)
}

func (w *windows) held(offset, since sale.Offset) sale.Request {
	return sale.Request{Offset: offset, Sale: w.of, State: sale.Held, Granted: offset, First: sale.None, HeldSince: since, Cause: since}
}

func (w *windows) wantWindow(what string, ahead int, want time.Duration) {
	w.t.Helper()
	w.wantETA(what, w.turns[ahead], want)
}

func TestETAOfAWindow(t *testing.T) {
	unpaced := func(*sale.Settings) {}
	bubbleOf(t, "nothing is known", func(t *testing.T) {
		w := newWindows(t, unpaced)
		defer func() { w.stop() }()
		w.wantWindow("at first", 9, board.NoETA)
	})
	bubbleOf(t, "the pace of the sale until a rate is measured", func(t *testing.T) {
		w := newWindows(t, func(s *sale.Settings) { s.AdmitPerSecond = 10 })
		defer func() { w.stop() }()
		w.wantWindow("at first", 99, 10*time.Second)
		for range 20 {
			advance(200 * time.Millisecond)
			w.open(1)
		}
		w.wantWindow("measured", 99, 20*time.Second)
		for range 100 {
			advance(100 * time.Millisecond)
			w.open(2)
		}
		w.wantWindow("never faster than the pace", 99, 10*time.Second)
	})
	bubbleOf(t, "with a bound on holds the pace says nothing", func(t *testing.T) {
		w := newWindows(t, func(s *sale.Settings) { s.AdmitPerSecond, s.MaxActiveHolds = 10, 50 })
		defer func() { w.stop() }()
		w.wantWindow("there is room", 49, 5*time.Second)
		w.wantWindow("there is none", 50, board.NoETA)
		w.setSale(func(s *sale.Sale) { s.Held, s.Quantity = 20, 21 })
		w.wantWindow("there is less room", 29, 3*time.Second)
		w.wantWindow("no more", 30, board.NoETA)
		for range 6 {
			w.live(20 * time.Second)
			w.open(1)
		}
		w.wantWindow("measured", 30, 31*20*time.Second)
		w.live(70 * time.Second)
		w.wantWindow("nothing for a while", 30, 31*20*time.Second)
		w.live(40 * time.Second)
		w.wantWindow("nothing for too long", 30, board.NoETA)
	})
	bubbleOf(t, "paused", func(t *testing.T) {
		w := newWindows(t, func(s *sale.Settings) { s.AdmitPerSecond = 10 })
		defer func() { w.stop() }()
		w.setStage(sale.StagePaused)
		w.wantWindow("paused", 9, board.NoETA)
		w.setStage(sale.StageOpen)
		w.wantWindow("resumed", 9, time.Second)
	})
	bubbleOf(t, "another pace", func(t *testing.T) {
		w := newWindows(t, func(s *sale.Settings) { s.AdmitPerSecond = 10 })
		defer func() { w.stop() }()
		for range 40 {
			advance(100 * time.Millisecond)
			w.open(1)
		}
		w.setSale(func(s *sale.Sale) { s.AdmitPerSecond = 100 })
		w.wantWindow("at once", 99, time.Second)
	})
	bubbleOf(t, "who gives a unit back opens no window", func(t *testing.T) {
		w := newWindows(t, unpaced)
		defer func() { w.stop() }()
		for range 30 {
			advance(100 * time.Millisecond)
			offset := w.turns[0]
			w.turns = w.turns[1:]
			w.decide(1, sale.Request{Offset: offset, Sale: w.of, State: sale.Released, Granted: offset, First: sale.None, HeldSince: sale.None, Cause: w.at})
		}
		w.wantWindow("then", 9, board.NoETA)
	})
	bubbleOf(t, "what the ledger tells is no rate", func(t *testing.T) {
		w := newWindows(t, unpaced)
		defer func() { w.stop() }()
		for range 40 {
			advance(100 * time.Millisecond)
			w.open(1)
		}
		w.wantWindow("before", 0, 100*time.Millisecond)
		w.live(4 * time.Second)
		w.ledger.set(func() {
			for w.end() < w.at+10 {
				w.add(1000, "", sale.Tick{})
			}
			for _, offset := range w.turns[:50] {
				w.truth.rows[offset] = append(w.truth.rows[offset], w.held(offset, w.end()-1))
			}
			w.truth.committed = w.end()
		})
		w.turns, w.at = w.turns[50:], w.end()
		w.feed.subscribed()
		synctest.Wait()
		w.expectWatermark(t, w.at)
		w.wantWindow("after a jump", 99, 10*time.Second)
		advance(100 * time.Millisecond)
		w.open(1)
		w.wantWindow("and then", 99, 10*time.Second)
	})
	bubbleOf(t, "noise", func(t *testing.T) {
		w := newWindows(t, unpaced)
		defer func() { w.stop() }()
		random := rand.New(rand.NewPCG(7, 7))
		last := board.NoETA
		for step := range 100 {
			advance(100 * time.Millisecond)
			w.open(5 + random.IntN(11)) // 100 a second
			switch eta := w.eta(w.turns[len(w.turns)-1]); {
			case eta == board.NoETA && step > 15:
				t.Fatal("no ETA")
			case eta == board.NoETA:
			case last != board.NoETA && float64(eta) > 1.3*float64(last):
				t.Errorf("the ETA jumped from %s to %s", last, eta)
			case math.Abs(eta.Seconds()-float64(len(w.turns))/100) > 0.3*float64(len(w.turns))/100:
				t.Errorf("the ETA is %s for %d windows", eta, len(w.turns))
			default:
				last = eta
			}
		}
	})
}
