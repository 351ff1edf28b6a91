package ingress

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestStandingLineIsRefused: while more are on their way than the log settles a
// new click hears at once when to come again, and nothing of it reaches the gate
// or the log; who has a request, or one on its way, is answered as ever.
func TestStandingLineIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		ada := i.buys(t, "ada")
		w.mu.Lock()
		w.holdAcks = true
		w.mu.Unlock()
		bob := make(chan answer, 1)
		go func() { bob <- i.call(t, "POST", "/v1/products/shirt/buy", "", as("bob")) }()
		synctest.Wait()
		crowd := make([]*flight, overloadFloor)
		for n := range crowd {
			buyer := sale.Buyer("crowd-" + strconv.Itoa(n))
			of := &click{ask: Ask{Buyer: buyer}, key: i.recent.key(1, 0, string(buyer))}
			crowd[n], _ = i.flights.join(of, make(chan struct{}, 1), time.Now())
		}
		pass(overloadInterval + time.Millisecond)
		if i.overload.stands(time.Now()) {
			t.Fatal("the probe is refused")
		}

		asked, appended := w.gate.admits, len(w.parts[0].entries)+len(w.parts[1].entries)
		began := time.Now()
		refused := i.call(t, "POST", "/v1/products/shirt/buy", "", as("cat"))
		refused.refused(http.StatusServiceUnavailable, "unavailable")
		if after, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || after < 1 || after > 3 {
			t.Errorf("Retry-After %q", refused.header.Get("Retry-After"))
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("the refusal came after %v", waited)
		}
		if w.gate.admits != asked || len(w.parts[0].entries)+len(w.parts[1].entries) != appended {
			t.Error("a click that was refused went on")
		}

		if again := i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")).status(http.StatusOK); again.ID != ada.ID {
			t.Errorf("a repeated click got %s, not %s", again.ID, ada.ID)
		}
		i.polls(t, ada)
		twice := make(chan answer, 1)
		go func() { twice <- i.call(t, "POST", "/v1/products/shirt/buy", "", as("bob")) }()
		synctest.Wait()
		w.acknowledge()
		if first, second := (<-bob).status(http.StatusAccepted), (<-twice).status(http.StatusOK); first.ID != second.ID {
			t.Errorf("who joined a click got %s, not %s", second.ID, first.ID)
		}

		for _, f := range crowd {
			i.conclude(f, Hint{}, errAbandoned)
		}
		i.buys(t, "cat")
		_, text := i.admin(t, "/metrics")
		for _, line := range []string{
			"anteroom_buys_under_way 0", "anteroom_buys_shed_total 3", // two of them had a request
			`anteroom_buys_total{code="unavailable",product="shirt"} 1`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("no %s", line)
			}
		}
	})
}

// TestClicksAreSettledOnce: whatever becomes of a click, it does not stay in the
// line.
func TestClicksAreSettledOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		for name, c := range map[string]struct {
			set  func()
			code int
		}{
			"taken":               {func() {}, http.StatusAccepted},
			"the log refuses":     {func() { w.appendError = ErrOverloaded }, http.StatusServiceUnavailable},
			"the log is in doubt": {func() { w.appendError, w.failAcks = nil, true }, http.StatusServiceUnavailable},
		} {
			w.mu.Lock()
			w.appendError, w.failAcks = nil, false
			c.set()
			w.mu.Unlock()
			i.call(t, "POST", "/v1/products/shirt/buy", "", as(strings.ReplaceAll(name, " ", "-"))).is(c.code)
			synctest.Wait()
			if n := i.overload.underWay(); n != 0 {
				t.Errorf("%s: %d are on their way", name, n)
			}
		}
		if o := i.overload; o.begun.Load() != 3 || o.settled.Load() != 3 {
			t.Errorf("%d began, %d were settled", o.begun.Load(), o.settled.Load())
		}
	})
}
