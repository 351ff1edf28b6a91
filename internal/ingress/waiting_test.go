package ingress

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// showNow asks for a ticket's status once the board has heard everything.
func (i *Ingress) showNow(t *testing.T, s status) status {
	t.Helper()
	synctest.Wait()
	return i.polls(t, s)
}

func place(s *status) int64 {
	if s.Position == nil {
		return board.NoPosition
	}
	return *s.Position
}

func TestPlacesOfTheWaitlist(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 10 })
		synctest.Wait()
		i.clicks(t, "hat", "winner")
		var waiters []status
		for n := range 4 {
			waiters = append(waiters, i.clicks(t, "hat", fmt.Sprint("waiter", n)))
		}
		w.decide(0)
		for n, s := range waiters {
			got := i.showNow(t, s)
			if got.State != sale.Waitlisted || place(&got) != int64(n) || got.ETASeconds != nil || got.DecidedAt == "" {
				t.Errorf("waiter %d: %+v", n, got)
			}
		}
		if public := i.call(t, "GET", "/v1/products/hat", "", nil).object(200); public["waitlisted"] != 4. {
			t.Errorf("public %v", public)
		}
		// Leaving closes the gap, and a unit that comes back goes to the first.
		w.deciding(t, 0)
		if gone := i.call(t, "DELETE", "/queue/"+waiters[1].Ticket, "", nil).status(200); gone.State != sale.Released || gone.Position != nil {
			t.Errorf("left: %+v", gone)
		}
		if got := i.showNow(t, waiters[2]); place(&got) != 1 {
			t.Errorf("behind who has left: %+v", got)
		}
		w.record(0, "hat", sale.Release{Request: 3, By: sale.ByShopper})
		pass(time.Second)
		if got := i.showNow(t, waiters[0]); got.State != sale.Held || got.Position != nil {
			t.Errorf("the first: %+v", got)
		}
		if got := i.showNow(t, waiters[3]); got.State != sale.Waitlisted || place(&got) != 1 {
			t.Errorf("the last: %+v", got)
		}
		// The end of the sale is the end of the list.
		i.call(t, "POST", "/v1/sales/hat/close", "", operatorHeader).is(200)
		if got := i.showNow(t, waiters[3]); got.State != sale.SoldOut || got.Reason != sale.ReasonClosed || got.PollAfter != 0 {
			t.Errorf("the last: %+v", got)
		}
	})
}

// TestStreamOfAWaiter follows the last of the waitlist.
func TestStreamOfAWaiter(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 10 })
		synctest.Wait()
		i.clicks(t, "hat", "winner")
		var waiters []status
		for n := range 4 {
			waiters = append(waiters, i.clicks(t, "hat", fmt.Sprint("waiter", n)))
		}
		w.decide(0)
		synctest.Wait()
		l, over := i.listen(t.Context(), waiters[3].Ticket, "")
		w.deciding(t, 0)
		for _, s := range waiters[:3] {
			pass(10 * time.Second)
			i.call(t, "DELETE", "/queue/"+s.Ticket, "", nil).status(200)
		}
		pass(10 * time.Second)
		w.record(0, "hat", sale.Release{Request: 3, By: sale.ByShopper})
		pass(time.Second)
		w.record(0, "hat", sale.Release{Request: 7, By: sale.ByMerchant})
		<-over
		all, _ := l.events(t)
		var seen []string
		for _, e := range all {
			seen = append(seen, fmt.Sprint(e.status.State, " ", place(&e.status)))
		}
		if got, want := fmt.Sprint(seen), "[waitlisted 3 waitlisted 2 waitlisted 1 waitlisted 0 held -1 released -1]"; got != want {
			t.Errorf("events %s, expected %s", got, want)
		}
	})
}

// TestReserved has checkout windows open at one a second.
func TestReserved(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.Quantity, s.AdmitPerSecond = 10, 1 })
		synctest.Wait()
		var winners []status
		for n := range 4 {
			winners = append(winners, i.clicks(t, "hat", fmt.Sprint("winner", n)))
		}
		w.decide(0)
		last := i.showNow(t, winners[3])
		if last.State != sale.Reserved || place(&last) != 3 || last.ExpiresAt != "" || last.CheckoutURL != "" {
			t.Errorf("the last: %+v", last)
		}
		if last.ETASeconds == nil || *last.ETASeconds != 4 {
			t.Errorf("ETA %+v", last.ETASeconds)
		}
		l, over := i.listen(t.Context(), winners[3].Ticket, "")
		for range 4 {
			pass(1500 * time.Millisecond)
			w.record(0, "", sale.Tick{})
			w.decide(0)
		}
		pass(2 * time.Second)
		synctest.Wait()
		if got := i.showNow(t, winners[3]); got.State != sale.Held || got.Position != nil || got.ETASeconds != nil {
			t.Errorf("its turn: %+v", got)
		}
		w.deciding(t, 0)
		i.call(t, "DELETE", "/queue/"+winners[3].Ticket, "", nil).status(200)
		<-over
		all, _ := l.events(t)
		if len(all) < 4 {
			t.Fatalf("%d events", len(all))
		}
		for n, want := range []int64{3, 2, 1, 0} {
			if got := place(&all[n].status); got != want || all[n].status.State != sale.Reserved {
				t.Errorf("event %d: %s at %d", n, all[n].status.State, got)
			}
		}
	})
}

// TestParked keeps a request through a pause.
func TestParked(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := situations["parked"](t, w, i)
		got := i.showNow(t, s)
		if got.State != sale.Queued || got.Position != nil || got.ETASeconds != nil || got.DecidedAt != "" {
			t.Errorf("parked: %+v", got)
		}
		if got.PollAfter < 5000 || got.PollAfter > 10_000 {
			t.Errorf("poll after %d", got.PollAfter)
		}
		l, over := i.listen(t.Context(), s.Ticket, "")
		w.deciding(t, 0)
		pass(time.Minute)
		i.call(t, "POST", "/v1/sales/hat/resume", "", operatorHeader).is(200)
		synctest.Wait()
		if got := i.polls(t, s); got.State != sale.Held || got.DecidedAt == "" {
			t.Errorf("after the pause: %+v", got)
		}
		_ = i.Drain(t.Context())
		<-over
		if all, _ := l.events(t); len(all) != 2 || all[1].status.State != sale.Held {
			t.Errorf("it was sent %+v", all)
		}
	})
}

// TestETAInTheLine measures how fast a line moves.
func TestETAInTheLine(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		for range 100 {
			w.record(0, "", sale.Tick{})
		}
		a := i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada"))
		s := a.status(http.StatusAccepted)
		if s.ETASeconds != nil {
			t.Errorf("an ETA out of nowhere: %s", a.body)
		}
		for range 50 {
			pass(100 * time.Millisecond)
			w.decideTo(0, w.parts[0].watermark+1)
		}
		got := i.showNow(t, s)
		if place(&got) != 50 || got.ETASeconds == nil || *got.ETASeconds < 4 || *got.ETASeconds > 6 {
			t.Errorf("%+v with ETA %v", got, got.ETASeconds)
		}
		// Who is behind a client's marker shows neither place nor ETA.
		of, err := i.claimOf(s.Ticket)
		if err != nil {
			t.Fatal(err)
		}
		hidden, err := i.show(t.Context(), &of, marker{watermark: i.board.Watermark(0) + 1})
		if err != nil || hidden.status.Position != nil || hidden.status.ETASeconds != nil {
			t.Errorf("%+v, %v", hidden.status, err)
		}
	})
}

func TestETAIsRoundedUp(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		of, err := i.claimOf(i.buys(t, "ada").Ticket)
		if err != nil {
			t.Fatal(err)
		}
		for eta, want := range map[time.Duration]int64{0: 0, time.Millisecond: 1, time.Second: 1, 1001 * time.Millisecond: 2} {
			s, err := i.statusOf(&of, board.View{Offset: sale.Offset(of.Offset), State: sale.Queued, ETA: eta})
			if err != nil || s.ETASeconds == nil || *s.ETASeconds != want {
				t.Errorf("%s: %+v, %v", eta, s, err)
			}
		}
	})
}

// TestWhoIsLookedAtAgain holds a stream to looking only where looking can tell
// what nothing else does.
func TestWhoIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	for state, want := range map[sale.State]bool{
		sale.Queued: true, sale.Waitlisted: true, sale.Reserved: true,
		sale.Held: false, sale.Confirmed: false, sale.SoldOut: false, sale.Released: false,
	} {
		if got := moves(&board.View{State: state, Position: board.NoPosition, HasRow: state != sale.Queued}); got != want {
			t.Errorf("%s: %t", state, got)
		}
	}
	if moves(&board.View{State: sale.Queued, Position: board.NoPosition, HasRow: true}) {
		t.Error("a request that a pause keeps has no place")
	}
}

func TestPaceOfThoseWhoWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		view        board.View
		least, most int64
	}{
		"next on the waitlist":   {board.View{State: sale.Waitlisted}, 2000, 4000},
		"100 before on it":       {board.View{State: sale.Waitlisted, Position: 100}, 7000, 14_000},
		"a million before on it": {board.View{State: sale.Waitlisted, Position: 1 << 40}, 15_000, 30_000},
		"next turn":              {board.View{State: sale.Reserved}, 1000, 2000},
		"1000 turns before":      {board.View{State: sale.Reserved, Position: 1000}, 6000, 12_000},
		"a turn far away":        {board.View{State: sale.Reserved, Position: 1 << 40}, 10_000, 20_000},
		"kept by a pause":        {board.View{State: sale.Queued, HasRow: true, Position: board.NoPosition}, 5000, 10_000},
	} {
		for range 100 {
			if got := pollAfter(&c.view); got < c.least || got > c.most {
				t.Errorf("%s: %d ms", name, got)
			}
		}
	}
}
