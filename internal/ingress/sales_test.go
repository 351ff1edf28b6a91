package ingress

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func (a answer) object(code int) map[string]any {
	a.t.Helper()
	a.is(code)
	var object map[string]any
	if err := json.Unmarshal(a.body, &object); err != nil {
		a.t.Fatalf("%s: %v", a.body, err)
	}
	return object
}

func TestCreateSale(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.deciding(t, 1)
		a := i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":5,"partition":1,"reason":"spring"}`, operatorHeader)
		made := a.object(http.StatusCreated)
		if got := a.header.Get("Location"); got != "/v1/sales/hat" {
			t.Errorf("Location %q", got)
		}
		delete(made, "created_at")
		want := map[string]any{
			"sale": "1-1", "product": "hat", "partition": 1., "state": "open",
			"quantity": 5., "hold_seconds": 480., "per_buyer_limit": 1., "max_quantity_per_request": 1., "policy": "queue",
			"available": 5., "reserved": 0., "held": 0., "confirmed": 0., "requests": 0., "sold_out": 0., "rejected": 0.,
			"line": 0., "version": 1.,
		}
		if diff := cmp.Diff(want, made); diff != "" {
			t.Error(diff)
		}
		create, ok := w.parts[1].entries[1].Record().Body.(sale.Create)
		if !ok || create.Actor != "operator" || create.Reason != "spring" || create.BuyerKey != "k1" || create.Rules != sale.NewestRules {
			t.Errorf("record %+v", create)
		}

		shown := i.call(t, "GET", "/v1/sales/hat", "", operatorHeader).object(200)
		delete(shown, "created_at")
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Error(diff)
		}
		list := i.call(t, "GET", "/v1/sales", "", operatorHeader).object(200)
		if sales, ok := list["sales"].([]any); !ok || len(sales) != 2 {
			t.Errorf("%v", list)
		}
		public := i.call(t, "GET", "/v1/products/hat", "", nil).object(200)
		if diff := cmp.Diff(map[string]any{
			"product": "hat", "state": "open", "available": 5., "quantity": 5., "line": 0.,
			"hold_seconds": 480., "per_buyer_limit": 1., "max_quantity_per_request": 1.,
		}, public); diff != "" {
			t.Error(diff)
		}
		i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":5}`, operatorHeader).refused(409, "already_open")
		i.call(t, "GET", "/v1/sales/unsold", "", operatorHeader).refused(404, "unknown_product")
		i.call(t, "GET", "/v1/products/unsold", "", nil).refused(404, "unknown_product")
		i.call(t, "GET", "/v1/products/NO", "", nil).refused(404, "unknown_product")
	})
}

func TestSaleThatIsNotMade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body    string
		prepare func(*world)
		status  int
		code    string
		append  bool
	}{
		"empty":             {body: "", status: 400, code: "invalid_request"},
		"no product":        {body: `{"quantity":1}`, status: 400, code: "invalid_request"},
		"bad product":       {body: `{"product":"Hat","quantity":1}`, status: 400, code: "invalid_request"},
		"no quantity":       {body: `{"product":"hat"}`, status: 400, code: "invalid_request"},
		"quantity text":     {body: `{"product":"hat","quantity":"1"}`, status: 400, code: "invalid_request"},
		"quantity too much": {body: `{"product":"hat","quantity":1000000001}`, status: 400, code: "invalid_request"},
		"hold of 0":         {body: `{"product":"hat","quantity":1,"hold_seconds":0}`, status: 400, code: "invalid_request"},
		"hold null":         {body: `{"product":"hat","quantity":1,"hold_seconds":null}`, status: 400, code: "invalid_request"},
		"limits crossed":    {body: `{"product":"hat","quantity":1,"max_quantity_per_request":2}`, status: 400, code: "invalid_request"},
		"waitlist":          {body: `{"product":"hat","quantity":1,"policy":"waitlist"}`, status: 400, code: "invalid_request"},
		"no such partition": {body: `{"product":"hat","quantity":1,"partition":2}`, status: 400, code: "invalid_request"},
		"partition below 0": {body: `{"product":"hat","quantity":1,"partition":-1}`, status: 400, code: "invalid_request"},
		"unknown field":     {body: `{"product":"hat","quantity":1,"price":1}`, status: 400, code: "invalid_request"},
		"long reason":       {body: `{"product":"hat","quantity":1,"reason":"` + strings.Repeat("x", 201) + `"}`, status: 400, code: "invalid_request"},
		"odd reason":        {body: `{"product":"hat","quantity":1,"reason":"a\u0000b"}`, status: 400, code: "invalid_request"},
		"open already":      {body: `{"product":"shirt","quantity":1}`, status: 409, code: "already_open"},
		"bound elsewhere":   {body: `{"product":"hat","quantity":1,"partition":1}`, prepare: func(w *world) { w.bind = ErrBound }, status: 409, code: "other_partition"},
		"bind: no partition": {
			body: `{"product":"hat","quantity":1}`, prepare: func(w *world) { w.bind = ErrNoSuchPartition }, status: 400, code: "invalid_request",
		},
		"bind fails": {body: `{"product":"hat","quantity":1}`, prepare: func(w *world) { w.bind = errors.New("down") }, status: 503, code: "unavailable"},
		"log overloaded": {
			body: `{"product":"hat","quantity":1}`, prepare: func(w *world) { w.appendError = ErrOverloaded }, status: 503, code: "unavailable",
		},
		"opened meanwhile": {
			body: `{"product":"hat","quantity":1}`, append: true, status: 409, code: "already_open",
			prepare: func(w *world) {
				w.record(0, "hat", sale.Create{Rules: 1, BuyerKey: "k1", Settings: sale.Settings{
					Quantity: 1, HoldSeconds: 1, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue,
				}})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
				if c.prepare != nil {
					c.prepare(w)
				}
				before := w.entries(0)
				w.deciding(t, 0)
				a := i.call(t, "POST", "/v1/sales", c.body, operatorHeader)
				a.refused(c.status, c.code)
				if got := w.entries(0) > before; got != c.append {
					t.Errorf("appended: %t", got)
				}
				if name == "waitlist" && !strings.Contains(string(a.body), "queue") {
					t.Errorf("it does not say which policy there is: %s", a.body)
				}
			})
		})
	}
}

func TestSaleThatIsNotDecidedInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		made := i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":5}`, operatorHeader).object(http.StatusAccepted)
		if made["state"] != "undecided" || made["sale"] != "0-2" {
			t.Errorf("%v", made)
		}
		w.decide(0)
		synctest.Wait()
		shown := i.call(t, "GET", "/v1/sales/hat", "", operatorHeader).object(200)
		if shown["state"] != "open" || shown["sale"] != made["sale"] {
			t.Errorf("%v", shown)
		}
	})
}

func TestSoldOutSale(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		i.buys(t, "ada")
		i.buys(t, "bob")
		if public := i.call(t, "GET", "/v1/products/shirt", "", nil).object(200); public["line"] != 2. {
			t.Errorf("line: %v", public)
		}
		w.decide(0)
		synctest.Wait()
		if public := i.call(t, "GET", "/v1/products/shirt", "", nil).object(200); public["state"] != "open" || public["available"] != 0. {
			t.Errorf("the unit may come back: %v", public)
		}
		w.record(0, "shirt", sale.Confirm{Request: 2, PaymentReference: "p"})
		w.decide(0)
		synctest.Wait()
		if public := i.call(t, "GET", "/v1/products/shirt", "", nil).object(200); public["state"] != "sold_out" {
			t.Errorf("%v", public)
		}
		if of := i.call(t, "GET", "/v1/sales/shirt", "", operatorHeader).object(200); of["sold_out"] != 1. || of["confirmed"] != 1. || of["requests"] != 2. {
			t.Errorf("%v", of)
		}
	})
}
