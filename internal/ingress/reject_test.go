package ingress

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestPolicyReject(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) {
			s.Quantity, s.PerBuyerLimit, s.MaxQuantityPerRequest, s.Policy = 3, 3, 3, sale.PolicyReject
		})
		synctest.Wait()
		w.gate.credits = 3
		buy := func(buyer, body string) answer {
			t.Helper()
			return i.call(t, "POST", "/v1/products/hat/buy", body, as(buyer))
		}
		buy("ada", `{"quantity":2}`).is(http.StatusAccepted)
		body, _ := w.parts[0].entries[3].Record().Body.(sale.Buy)
		if body.Lease == "" || w.gate.leases[body.Lease] != 2 {
			t.Errorf("record %+v with leases %v", body, w.gate.leases)
		}
		before := w.entries(0)
		buy("bob", `{"quantity":2}`).refused(409, "sold_out")
		w.gate.lost = true
		buy("cleo", "").refused(503, "unavailable")
		w.gate.lost = false
		synctest.Wait()
		buy("ada", `{"quantity":2}`).is(http.StatusOK) // a repeated click needs none

		// A lease goes back where nothing was appended, and only there.
		w.appendError = ErrOverloaded
		buy("dora", "").refused(503, "unavailable")
		if w.gate.credits != 1 {
			t.Errorf("%d units can be leased", w.gate.credits)
		}
		w.appendError = nil
		if w.entries(0) != before {
			t.Error("a record reached the log")
		}
		w.failAcks = true
		buy("eve", "").refused(503, "unavailable")
		if w.gate.credits != 0 {
			t.Error("a lease was handed back whose record may be in the log")
		}
		w.failAcks = false

		// Without a gate it is as under policy queue.
		w.gate.down = true
		buy("fay", "").is(http.StatusAccepted)
		if body, _ := w.parts[0].entries[before+1].Record().Body.(sale.Buy); body.Lease != "" || body.Buyer == "" {
			t.Errorf("record %+v", body)
		}
	})
}

// TestALeaseOfAClickThatLeft: the click that goes away and the gate's answer
// cannot both have it their way, or a lease would be lost or a record appended
// for nobody.
func TestALeaseOfAClickThatLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.Quantity, s.Policy = 1, sale.PolicyReject })
		synctest.Wait()
		before := w.entries(0)
		w.gate.credits, w.gate.late = 1, true
		w.gate.admitting = make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan answer, 1)
		go func() { gone <- i.serve(t, request("POST", "/v1/products/hat/buy", "", as("ada")).WithContext(ctx)) }()
		synctest.Wait()
		leave()
		left := time.Now()
		<-gone
		if waited := time.Since(left); waited > waitsLong+alarmShared {
			t.Errorf("the click went away after %v", waited)
		}
		if i.flights.has(i.recent.key(0, 2, "ada")) {
			t.Error("the flight is left")
		}
		close(w.gate.admitting) // and now it is let in, with the lease
		synctest.Wait()
		if w.gate.admits != 1 || w.gate.credits != 1 || w.entries(0) != before {
			t.Errorf("%d answers, %d units can be leased, %d records", w.gate.admits, w.gate.credits, w.entries(0)-before)
		}
		i.call(t, "POST", "/v1/products/hat/buy", "", as("bob")).is(http.StatusAccepted)
	})
}

func TestOtherPoliciesNeedNoCredit(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		i.buys(t, "ada") // there are no credits
		if body, _ := w.parts[0].entries[2].Record().Body.(sale.Buy); body.Lease != "" || body.Buyer == "" {
			t.Errorf("record %+v", body)
		}
	})
}
