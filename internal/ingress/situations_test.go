package ingress

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// clicks gives an accepted request for a product.
func (i *Ingress) clicks(t testing.TB, product, buyer string) status {
	t.Helper()
	return i.call(t, "POST", "/v1/products/"+product+"/buy", "", as(buyer)).status(http.StatusAccepted)
}

// situations bring a request into each state. Most are ada's, of the only unit
// of "shirt"; those of "hat" are of a sale that is made for it.
var situations = map[string]func(t *testing.T, w *world, i *Ingress) status{
	"queued": func(t *testing.T, _ *world, i *Ingress) status { return i.buys(t, "ada") },
	"held": func(t *testing.T, w *world, i *Ingress) status {
		s := i.buys(t, "ada")
		w.decide(0)
		return s
	},
	"started": func(t *testing.T, w *world, i *Ingress) status {
		s := i.buys(t, "ada")
		w.decide(0)
		w.start(0)
		return s
	},
	"confirmed": func(t *testing.T, w *world, i *Ingress) status {
		s := i.buys(t, "ada")
		w.record(0, "shirt", sale.Confirm{Request: 2, PaymentReference: "p1"})
		w.decide(0)
		return s
	},
	"released": func(t *testing.T, w *world, i *Ingress) status {
		s := i.buys(t, "ada")
		w.record(0, "shirt", sale.Release{Request: 2, By: sale.ByMerchant})
		w.decide(0)
		return s
	},
	"returned": func(t *testing.T, w *world, i *Ingress) status {
		s := i.buys(t, "ada")
		w.record(0, "shirt", sale.Confirm{Request: 2, PaymentReference: "p1"})
		w.record(0, "shirt", sale.Return{Request: 2})
		w.decide(0)
		return s
	},
	"expired": func(t *testing.T, w *world, i *Ingress) status {
		s := i.buys(t, "ada")
		w.decide(0)
		w.start(0)
		pass(time.Minute)
		w.record(0, "", sale.Tick{})
		w.decide(0)
		return s
	},
	"sold_out": func(t *testing.T, w *world, i *Ingress) status {
		i.buys(t, "ada")
		s := i.buys(t, "bob")
		w.decide(0)
		return s
	},
	"waitlisted": func(t *testing.T, w *world, i *Ingress) status {
		w.openSale("hat", func(s *sale.Settings) { s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 5 })
		synctest.Wait()
		i.clicks(t, "hat", "ada")
		s := i.clicks(t, "hat", "bob")
		w.decide(0)
		return s
	},
	"reserved": func(t *testing.T, w *world, i *Ingress) status {
		w.openSale("hat", func(s *sale.Settings) { s.AdmitPerSecond = 1 })
		synctest.Wait()
		s := i.clicks(t, "hat", "ada")
		w.decide(0)
		return s
	},
	"parked": func(t *testing.T, w *world, i *Ingress) status {
		w.openSale("hat", nil)
		synctest.Wait()
		w.record(0, "hat", sale.Pause{Sale: 2}) // the door has not heard of it
		s := i.clicks(t, "hat", "ada")
		w.decide(0)
		return s
	},
}
