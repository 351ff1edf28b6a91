package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

func TestUnknownTickets(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		good := i.buys(t, "ada").Ticket
		sign := func(change func(*ticket.Ticket)) string {
			of, err := i.tickets.Verify(good)
			if err != nil {
				t.Fatal(err)
			}
			change(&of)
			text, err := i.tickets.Sign(of)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		for name, text := range map[string]string{
			"nonsense":          "x",
			"public id":         "0-2",
			"cut":               good[:len(good)-1],
			"longer":            good + "A",
			"changed":           strings.Replace(good, good[20:21], string(good[20]^1), 1),
			"very long":         strings.Repeat("A", 5000),
			"another log":       sign(func(of *ticket.Ticket) { of.Log[0]++ }),
			"another partition": sign(func(of *ticket.Ticket) { of.Partition = partitions }),
		} {
			for _, c := range []struct{ method, suffix string }{{"GET", ""}, {"DELETE", ""}, {"GET", "/ws"}, {"GET", "/events"}} {
				a := i.call(t, c.method, "/queue/"+text+c.suffix, "", nil)
				a.refused(404, "unknown_ticket")
				if strings.Contains(string(a.body), good[:20]) {
					t.Errorf("%s: the answer quotes the ticket", name)
				}
			}
			i.call(t, "GET", "/v1/holds/"+text, "", merchantHeader)
		}
		i.call(t, "GET", "/queue/", "", nil).is(404)
		i.call(t, "GET", "/queue/"+good+"/x", "", nil).refused(404, "not_found")
	})
}

func TestETag(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		first, second := i.buys(t, "ada"), i.buys(t, "bob")
		poll := func(s status, tag string) answer {
			t.Helper()
			return i.call(t, "GET", "/queue/"+s.Ticket, "", header{"If-None-Match": tag})
		}
		a := poll(second, "")
		queued := a.header.Get("ETag")
		if s := a.status(200); *s.Position != 1 {
			t.Fatalf("position %d", *s.Position)
		}
		unchanged := poll(second, `"other", `+queued)
		unchanged.is(304)
		if len(unchanged.body) > 0 || unchanged.header.Get("ETag") == "" {
			t.Errorf("304 with body %q, ETag %q", unchanged.body, unchanged.header.Get("ETag"))
		}
		poll(first, queued).is(200) // another ticket's tag says nothing

		w.decideTo(0, 3) // ada's
		synctest.Wait()
		a = poll(second, queued)
		if s := a.status(200); *s.Position != 0 {
			t.Errorf("position %d", *s.Position)
		}
		held := poll(first, "").header.Get("ETag")
		w.decide(0)
		synctest.Wait()
		a = poll(first, held)
		a.is(304) // the watermark moved on, and nothing that is shown
		w.start(0)
		synctest.Wait()
		a = poll(first, a.header.Get("ETag"))
		if s := a.status(200); s.ExpiresAt == "" {
			t.Errorf("%s", a.body)
		}
		a = poll(second, queued)
		if s := a.status(200); s.State != sale.SoldOut {
			t.Errorf("%s", a.body)
		}
		poll(second, a.header.Get("ETag")).is(304)
		for _, odd := range []string{"*", `"`, `""`, "W/", `"a.b.c"`, ",,,,,", strings.Repeat(`"x",`, 1000)} {
			poll(second, odd).is(200)
		}
	})
}

// TestPositionNeverRises polls two ingresses, of which one hears nothing.
func TestPositionNeverRises(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		deaf := w.ingressOf(t, nil)
		w.mute = 1
		var last status
		for n := range 6 {
			last = i.buys(t, fmt.Sprint("buyer", n))
		}
		w.decideTo(0, 4)
		synctest.Wait()
		a := i.call(t, "GET", "/queue/"+last.Ticket, "", nil)
		shown := *a.status(200).Position
		if b := deaf.polls(t, last); *b.Position <= shown {
			t.Fatalf("the deaf one shows %d too: the test shows nothing", *b.Position)
		}
		tag := a.header.Get("ETag")

		// The ledger cannot tell: no position, and the marker is kept.
		w.breakLedger(errors.New("postgres is down"))
		started := time.Now()
		b := deaf.call(t, "GET", "/queue/"+last.Ticket, "", header{"If-None-Match": tag})
		if s := b.status(200); s.State != sale.Queued || s.Position != nil {
			t.Errorf("behind, it shows %s", b.body)
		}
		if waited := time.Since(started); waited > catchUpWait {
			t.Errorf("waited %s", waited)
		}
		b = deaf.call(t, "GET", "/queue/"+last.Ticket, "", header{"If-None-Match": b.header.Get("ETag")})
		if b.code == 200 && b.status(200).Position != nil {
			t.Error("the marker was lost")
		}

		// It can again: caught up by one read.
		w.breakLedger(nil)
		pass(time.Second)
		w.decideTo(0, 5)
		synctest.Wait()
		tag = i.call(t, "GET", "/queue/"+last.Ticket, "", nil).header.Get("ETag")
		b = deaf.call(t, "GET", "/queue/"+last.Ticket, "", header{"If-None-Match": tag})
		b.is(304)
	})
}

// TestEndThatWasSeen asks an ingress that has not heard of it.
func TestEndThatWasSeen(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		deaf := w.ingressOf(t, nil)
		w.mute = 1
		s := i.buys(t, "ada")
		w.record(0, "shirt", sale.Release{Request: 2, By: sale.ByShopper})
		w.decide(0)
		w.breakLedger(errors.New("postgres is down"))
		synctest.Wait()
		tag := i.call(t, "GET", "/queue/"+s.Ticket, "", nil).header.Get("ETag")
		a := deaf.call(t, "GET", "/queue/"+s.Ticket, "", header{"If-None-Match": tag})
		if a.is(304); a.header.Get("ETag") != tag {
			t.Errorf("ETag %q, expected %q", a.header.Get("ETag"), tag)
		}
		_, over := deaf.listen(t.Context(), s.Ticket, strings.Trim(tag, `W/"`))
		synctest.Wait()
		if !isClosed(over) {
			t.Error("the stream goes on")
		}
	})
}

func TestPartitionThatStandsStill(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.decide(0)
		synctest.Wait()
		w.mu.Lock()
		w.stopped = "another topic"
		w.mu.Unlock()
		pass(2 * time.Second) // the board hears nothing and looks
		before := w.entries(0)
		i.call(t, "POST", "/v1/products/shirt/buy", "", as("bob")).refused(503, "unavailable")
		i.call(t, "DELETE", "/queue/"+s.Ticket, "", nil).refused(503, "unavailable")
		if got := w.entries(0); got != before {
			t.Error("a record reached the log")
		}
		i.polls(t, s)
		if of := i.call(t, "GET", "/v1/sales/shirt", "", operatorHeader).object(200); of["stopped"] != "another topic" {
			t.Errorf("%v", of)
		}
	})
}

func TestPositionOfABuyCarriesItsMarker(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		deaf := w.ingressOf(t, nil)
		w.mute = 1
		w.record(0, "", sale.Tick{})
		w.decide(0)
		synctest.Wait()
		a := i.call(t, "POST", "/v1/products/shirt/buy", "", as("bob"))
		s := a.status(202)
		deaf.call(t, "GET", "/queue/"+s.Ticket, "", header{"If-None-Match": a.header.Get("ETag")}).is(304)
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *Config) { c.MaxStreams = 1 }, func(t *testing.T, w *world, i *Ingress) {
		first, second := i.buys(t, "ada"), i.buys(t, "bob")
		path := "/queue/" + second.Ticket
		for _, bad := range []string{"x", "-1s", "20", "%zz"} {
			i.call(t, "GET", path+"?wait="+bad, "", nil).refused(400, "invalid_request")
		}
		timed := func(path, tag string) (answer, time.Duration) {
			t.Helper()
			started := time.Now()
			a := i.call(t, "GET", path, "", header{"If-None-Match": tag})
			return a, time.Since(started)
		}
		a, took := timed(path+"?wait=5s", "")
		if a.status(200); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
		tag := a.header.Get("ETag")
		if a, took = timed(path+"?wait=10h", tag); a.code != 304 || took != longestWait {
			t.Errorf("%d after %s", a.code, took)
		}

		// It ends with the state, not with the position.
		go func() {
			pass(time.Second)
			w.decideTo(0, 3)
			pass(time.Second)
			w.decideTo(0, 4)
		}()
		a, took = timed(path+"?wait=20s", tag)
		if s := a.status(200); s.State != sale.SoldOut || took != 2*time.Second {
			t.Errorf("%s after %s", s.State, took)
		}
		if _, took = timed(path+"?wait=20s", ""); took != 0 {
			t.Errorf("waited %s for what is final", took)
		}
		if _, took = timed("/queue/"+first.Ticket+"?wait=20s", tag); took != 20*time.Second {
			t.Errorf("another ticket's tag ended the wait after %s", took)
		}
		if a, took = timed("/queue/"+first.Ticket+"?wait=20s", `"old.`+"x.1\""); took != 20*time.Second {
			t.Errorf("a forged tag ended the wait after %s", took)
		}

		// They are bounded.
		done := make(chan answer, 1)
		go func() { done <- i.call(t, "GET", "/queue/"+first.Ticket+"?wait=20s", "", nil) }()
		synctest.Wait()
		i.call(t, "GET", "/queue/"+first.Ticket+"?wait=20s", "", nil).refused(503, "unavailable")
		i.call(t, "GET", "/queue/"+first.Ticket+"/events", "", nil).refused(503, "unavailable")
		(<-done).status(200)
	})
}

// TestWaitTellsAHoldAtOnce: who names no status has seen none, so a hold that
// runs is news. Who has seen it waits for what comes next.
func TestWaitTellsAHoldAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.decide(0)
		w.record(0, "", sale.Tick{Committed: 3})
		w.decide(0)
		synctest.Wait()
		started := time.Now()
		a := i.call(t, "GET", "/queue/"+s.Ticket+"?wait=20s", "", nil)
		if got := a.status(200); got.State != sale.Held || got.ExpiresAt == "" || time.Since(started) != 0 {
			t.Errorf("%s until %q after %s", got.State, got.ExpiresAt, time.Since(started))
		}
		i.call(t, "GET", "/queue/"+s.Ticket+"?wait=5s", "", header{"If-None-Match": a.header.Get("ETag")}).is(304)
		if took := time.Since(started); took != 5*time.Second {
			t.Errorf("who has seen it waited %s", took)
		}
	})
}

func TestWaitWithAnOldTagReturnsAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		tag := i.call(t, "GET", "/queue/"+s.Ticket, "", nil).header.Get("ETag")
		w.decide(0)
		synctest.Wait()
		started := time.Now()
		a := i.call(t, "GET", "/queue/"+s.Ticket+"?wait=20s", "", header{"If-None-Match": tag})
		if s := a.status(http.StatusOK); s.State != sale.Held || time.Since(started) != 0 {
			t.Errorf("%s after %s", s.State, time.Since(started))
		}
	})
}

func TestHoldEndsAndPollsSaySo(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.decide(0)
		synctest.Wait()
		if held := i.polls(t, s); held.State != sale.Held || held.ExpiresAt != "" || held.DecidedAt == "" {
			t.Errorf("unstarted: %+v", held)
		}
		w.start(0)
		synctest.Wait()
		held := i.polls(t, s)
		ends, err := time.Parse(time.RFC3339, held.ExpiresAt)
		if err != nil || time.Until(ends) != time.Minute {
			t.Errorf("ends at %q", held.ExpiresAt)
		}
		if held.PollAfter < 2000 || held.PollAfter > 5000 {
			t.Errorf("poll after %d", held.PollAfter)
		}
		pass(time.Minute)
		w.record(0, "", sale.Tick{})
		w.decide(0)
		synctest.Wait()
		if over := i.polls(t, s); over.State != sale.Expired || over.ExpiresAt != "" || over.PollAfter != 0 {
			t.Errorf("over: %+v", over)
		}
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state       sale.State
		position    int64
		least, most int64
	}{
		{sale.Queued, board.NoPosition, 250, 1000},
		{sale.Queued, 0, 250, 1000},
		{sale.Queued, 1000, 350, 1000},
		{sale.Queued, 1 << 40, 6000, 10000},
		{sale.Held, -1, 2000, 5000},
		{sale.Confirmed, -1, 10000, 15000},
		{sale.SoldOut, -1, 0, 0},
		{sale.Expired, -1, 0, 0},
	} {
		for range 100 {
			if got := pollAfter(&board.View{State: c.state, Position: c.position}); got < c.least || got > c.most {
				t.Errorf("%s at %d: %d ms", c.state, c.position, got)
			}
		}
	}
	for position, most := range map[int64]time.Duration{0: nearEvery, near: nearEvery, far: farEvery, 1 << 40: farEvery, far / 2: 11 * time.Second} {
		for range 100 {
			if got := positionEvery(position); got > most || got < most*8/10 {
				t.Errorf("at %d every %s, expected up to %s", position, got, most)
			}
		}
	}
}
