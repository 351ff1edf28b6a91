package ingress

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// retire closes the sale of "shirt" and lets log time pass until it retires, or
// would if nothing of it were live.
func (w *world) retire() {
	w.record(0, "shirt", sale.Close{Sale: 1})
	w.recordAt(time.Now().Add(30*24*time.Hour+time.Second), 0, "", sale.Tick{})
	w.decide(0)
	synctest.Wait()
}

// TestRetiredSale: what has been decided is shown as ever, and commands are
// refused, also by an ingress that has it all from the ledger.
func TestRetiredSale(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		ada, bob := i.buys(t, "ada"), i.buys(t, "bob")
		w.record(0, "shirt", sale.Confirm{Request: 2, PaymentReference: "p1"})
		w.retire()
		w.deciding(t, 0)
		for name, of := range map[string]*Ingress{"told": i, "new": w.ingressOf(t, nil)} {
			if got := of.polls(t, ada); got.State != sale.Confirmed {
				t.Errorf("%s: ada's is %+v", name, got)
			}
			if got := of.polls(t, bob); got.State != sale.SoldOut {
				t.Errorf("%s: bob's is %+v", name, got)
			}
			for _, request := range []string{ada.ID, ada.Ticket} {
				if got := of.call(t, "GET", "/v1/holds/"+request, "", merchantHeader).status(200); got.State != sale.Confirmed {
					t.Errorf("%s: %+v", name, got)
				}
				if got := of.call(t, "POST", "/v1/holds/"+request+"/confirm", `{"payment_reference":"p1"}`, merchantHeader).status(200); got.State != sale.Confirmed {
					t.Errorf("%s: %+v", name, got)
				}
				of.call(t, "POST", "/v1/holds/"+request+"/return", "", merchantHeader).refused(409, "sale_retired")
			}
			for _, command := range []string{"pause", "resume", "close"} {
				of.call(t, "POST", "/v1/sales/shirt/"+command, "", operatorHeader).refused(409, "sale_retired")
			}
			of.patches(t, "shirt", `"1"`, `{"quantity":9}`).refused(409, "sale_retired")
			now := of.call(t, "GET", "/v1/sales/shirt", "", operatorHeader).object(200)
			retired, _ := now["retired_at"].(string)
			at, err := time.Parse(time.RFC3339, retired)
			if err != nil || time.Until(at) < 29*24*time.Hour || now["state"] != "closed" || now["confirmed"] != 1. {
				t.Errorf("%s: %v, %v", name, now, err)
			}
			if public := of.call(t, "GET", "/v1/products/shirt", "", nil).object(200); public["retired_at"] != nil || public["state"] != "closed" {
				t.Errorf("%s: the public is shown %v", name, public)
			}
			of.call(t, "POST", "/v1/products/shirt/buy", "", as("cid")).refused(410, "closed")
		}
		w.openSale("shirt", nil)
		synctest.Wait()
		if got := i.buys(t, "ada"); got.ID == ada.ID {
			t.Errorf("%+v", got)
		}
	})
}

// TestCommandThatRetiresTheSale repeats one while the first is undecided: the
// log forgets what the first one did before it comes to the second. The row has
// not forgotten it.
func TestCommandThatRetiresTheSale(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first      sale.Body
		call, body string
		state      sale.State // empty: refused
	}{
		"confirm":           {sale.Confirm{Request: 2, PaymentReference: "p1"}, "confirm", `{"payment_reference":"p1"}`, sale.Confirmed},
		"confirm otherwise": {sale.Confirm{Request: 2, PaymentReference: "p1"}, "confirm", `{"payment_reference":"p2"}`, ""},
		"release":           {sale.Release{Request: 2, By: sale.ByMerchant}, "release", "", sale.Released},
		"confirm too late":  {sale.Release{Request: 2, By: sale.ByMerchant}, "confirm", `{"payment_reference":"p1"}`, ""},
		"release too late":  {sale.Confirm{Request: 2, PaymentReference: "p1"}, "release", "", ""},
		"extend":            {sale.Release{Request: 2, By: sale.ByMerchant}, "extend", `{"seconds":60}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
				s := i.buys(t, "ada")
				w.retire() // it waits for the hold, which has not begun
				w.record(0, "shirt", c.first)
				again := make(chan answer)
				go func() { again <- i.call(t, "POST", "/v1/holds/"+s.ID+"/"+c.call, c.body, merchantHeader) }()
				synctest.Wait()
				w.decide(0)
				if a := <-again; c.state == "" {
					a.refused(409, "sale_retired")
				} else if got := a.status(200); got.State != c.state {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// TestReturnAtTheRetirement repeats one while the first is undecided, and a
// month passes in the log between them.
func TestReturnAtTheRetirement(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.record(0, "shirt", sale.Confirm{Request: 2, PaymentReference: "p1"})
		w.record(0, "shirt", sale.Close{Sale: 1})
		w.decide(0)
		synctest.Wait()
		w.record(0, "shirt", sale.Return{Request: 2})
		w.recordAt(time.Now().Add(31*24*time.Hour), 0, "", sale.Tick{})
		again := make(chan answer)
		go func() { again <- i.call(t, "POST", "/v1/holds/"+s.ID+"/return", "", merchantHeader) }()
		synctest.Wait()
		w.decide(0)
		if got := (<-again).status(200); got.State != sale.Returned {
			t.Errorf("%+v", got)
		}
	})
}
