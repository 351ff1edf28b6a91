package ingress

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		a := i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":25,"partition":1,"reason":"spring"}`, operatorHeader)
		made := a.object(http.StatusCreated)
		if got := a.header.Get("Location"); got != "/v1/sales/hat" {
			t.Errorf("Location %q", got)
		}
		if made["created_at"] != made["opened_at"] {
			t.Errorf("%v", made)
		}
		delete(made, "created_at")
		delete(made, "opened_at")
		want := map[string]any{
			"sale": "1-1", "product": "hat", "partition": 1., "state": "open",
			"quantity": 25., "hold_seconds": 480., "max_hold_seconds": 1800., "per_buyer_limit": 1., "max_quantity_per_request": 1.,
			"policy": "waitlist", "waitlist_capacity": 25., "admit_per_second": 0., "max_active_holds": 0.,
			"available": 25., "reserved": 0., "held": 0., "confirmed": 0., "waitlisted": 0., "parked": 0.,
			"requests": 0., "sold_out": 0., "rejected": 0., "line": 0., "version": 1.,
		}
		if diff := cmp.Diff(want, made); diff != "" {
			t.Error(diff)
		}
		create, ok := w.parts[1].entries[1].Record().Body.(sale.Create)
		if !ok || create.Actor != "operator" || create.Reason != "spring" || create.BuyerKey != "k1" || create.Rules != sale.NewestRules || !create.Later {
			t.Errorf("record %+v", create)
		}

		shown := i.call(t, "GET", "/v1/sales/hat", "", operatorHeader).object(200)
		delete(shown, "created_at")
		delete(shown, "opened_at")
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Error(diff)
		}
		list := i.call(t, "GET", "/v1/sales", "", operatorHeader).object(200)
		if sales, ok := list["sales"].([]any); !ok || len(sales) != 2 {
			t.Errorf("%v", list)
		}
		public := i.call(t, "GET", "/v1/products/hat", "", nil).object(200)
		if diff := cmp.Diff(map[string]any{
			"product": "hat", "state": "open", "server_time": timestamp(sale.Time(time.Now().UnixMilli())),
			"available": 25., "quantity": 25., "line": 0., "waitlisted": 0.,
			"hold_seconds": 480., "per_buyer_limit": 1., "max_quantity_per_request": 1., "policy": "waitlist",
		}, public); diff != "" {
			t.Error(diff)
		}
		i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":5}`, operatorHeader).refused(409, "already_open")
		i.call(t, "GET", "/v1/sales/unsold", "", operatorHeader).refused(404, "unknown_product")
		i.call(t, "GET", "/v1/products/unsold", "", nil).refused(404, "unknown_product")
		i.call(t, "GET", "/v1/products/NO", "", nil).refused(404, "unknown_product")
	})
}

func TestCreateSaleWithEverything(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.deciding(t, 0)
		made := i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":5,"hold_seconds":2000,"per_buyer_limit":4,
			"max_quantity_per_request":3,"policy":"reject","waitlist_capacity":0,"opens_at":"2000-01-02T03:04:05.678+01:00",
			"closes_at":"2000-01-03T00:00:00Z","admit_per_second":7,"max_active_holds":9,"checkout_url":"https://shop.example/pay",
			"partition":null,"actor":"ann","reason":"spring"}`, operatorHeader).object(http.StatusCreated)
		for name, want := range map[string]any{
			"state": "scheduled", "hold_seconds": 2000., "max_hold_seconds": 2000., "per_buyer_limit": 4., "max_quantity_per_request": 3.,
			"policy": "reject", "waitlist_capacity": 0., "opens_at": "2000-01-02T02:04:05.678Z", "closes_at": "2000-01-03T00:00:00.000Z",
			"admit_per_second": 7., "max_active_holds": 9., "checkout_url": "https://shop.example/pay", "opened_at": nil,
		} {
			if made[name] != want {
				t.Errorf("%s: %v, expected %v", name, made[name], want)
			}
		}
		if create, ok := w.parts[0].entries[2].Record().Body.(sale.Create); !ok || create.Actor != "ann" || create.Reason != "spring" {
			t.Errorf("record %+v", create)
		}
		public := i.call(t, "GET", "/v1/products/hat", "", nil).object(200)
		if public["state"] != "scheduled" || public["opens_at"] != made["opens_at"] || public["closes_at"] != made["closes_at"] || public["server_time"] == nil {
			t.Errorf("public %v", public)
		}
		// null and nothing are the same where a sale need not have it.
		made = i.call(t, "POST", "/v1/sales", `{"product":"cap","quantity":1,"opens_at":null,"closes_at":null,"checkout_url":null}`, operatorHeader).object(http.StatusCreated)
		if made["state"] != "open" || made["opens_at"] != nil || made["closes_at"] != nil || made["checkout_url"] != nil || made["waitlist_capacity"] != 10. {
			t.Errorf("%v", made)
		}
	})
}

// TestTwoOperators has two of them create the same sale at the same instant,
// through two ingresses that know nothing of each other.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		other := w.ingressOf(t, nil)
		w.deciding(t, 0)
		answers := make(chan answer, 2)
		for _, ingress := range []*Ingress{i, other} {
			go func() {
				answers <- ingress.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":5}`, operatorHeader)
			}()
		}
		first, second := <-answers, <-answers
		if first.code != http.StatusCreated {
			first, second = second, first
		}
		made := first.object(http.StatusCreated)
		second.refused(409, "already_open")
		if got := w.entries(0); got != 4 {
			t.Errorf("%d records: one of them did not reach the log, which decides", got)
		}
		for _, ingress := range []*Ingress{i, other} {
			if shown := ingress.call(t, "GET", "/v1/sales/hat", "", operatorHeader).object(200); shown["sale"] != made["sale"] {
				t.Errorf("%v, made was %v", shown["sale"], made["sale"])
			}
		}
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
		"policy":            {body: `{"product":"hat","quantity":1,"policy":"lottery"}`, status: 400, code: "invalid_request"},
		"policy null":       {body: `{"product":"hat","quantity":1,"policy":null}`, status: 400, code: "invalid_request"},
		"hold too long":     {body: `{"product":"hat","quantity":1,"hold_seconds":604801}`, status: 400, code: "invalid_request"},
		"max hold below":    {body: `{"product":"hat","quantity":1,"hold_seconds":60,"max_hold_seconds":59}`, status: 400, code: "invalid_request"},
		"max hold of 0":     {body: `{"product":"hat","quantity":1,"max_hold_seconds":0}`, status: 400, code: "invalid_request"},
		"capacity below 0":  {body: `{"product":"hat","quantity":1,"waitlist_capacity":-1}`, status: 400, code: "invalid_request"},
		"pace below 0":      {body: `{"product":"hat","quantity":1,"admit_per_second":-1}`, status: 400, code: "invalid_request"},
		"pace of 1.5":       {body: `{"product":"hat","quantity":1,"admit_per_second":1.5}`, status: 400, code: "invalid_request"},
		"holds below 0":     {body: `{"product":"hat","quantity":1,"max_active_holds":-1}`, status: 400, code: "invalid_request"},
		"opens at a number": {body: `{"product":"hat","quantity":1,"opens_at":946684800000}`, status: 400, code: "invalid_request"},
		"opens at a text":   {body: `{"product":"hat","quantity":1,"opens_at":"tomorrow"}`, status: 400, code: "invalid_request"},
		"opens at no zone":  {body: `{"product":"hat","quantity":1,"opens_at":"2000-01-02T00:00:00"}`, status: 400, code: "invalid_request"},
		"opens long ago":    {body: `{"product":"hat","quantity":1,"opens_at":"0001-01-01T00:00:00Z"}`, status: 400, code: "invalid_request"},
		"closes now":        {body: `{"product":"hat","quantity":1,"closes_at":"2000-01-01T00:00:00Z"}`, status: 400, code: "invalid_request"},
		"closes then opens": {body: `{"product":"hat","quantity":1,"opens_at":"2000-01-03T00:00:00Z","closes_at":"2000-01-02T00:00:00Z"}`, status: 400, code: "invalid_request"},
		"closes too late":   {body: `{"product":"hat","quantity":1,"closes_at":"9999-12-31T23:59:59Z"}`, status: 400, code: "invalid_request"},
		"checkout relative": {body: `{"product":"hat","quantity":1,"checkout_url":"/pay"}`, status: 400, code: "invalid_request"},
		"checkout script":   {body: `{"product":"hat","quantity":1,"checkout_url":"javascript:alert(1)"}`, status: 400, code: "invalid_request"},
		"long actor":        {body: `{"product":"hat","quantity":1,"actor":"` + strings.Repeat("x", 101) + `"}`, status: 400, code: "invalid_request"},
		"odd actor":         {body: `{"product":"hat","quantity":1,"actor":"a\nb"}`, status: 400, code: "invalid_request"},
		"not open yet":      {body: `{"product":"shirt","quantity":1}`, prepare: func(w *world) { w.scheduleAgain() }, status: 409, code: "already_open"},
		"paused": {
			body: `{"product":"shirt","quantity":1}`, status: 409, code: "already_open",
			prepare: func(w *world) { w.record(0, "shirt", sale.Pause{Sale: 1}); w.decide(0) },
		},
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
				synctest.Wait()
				i.call(t, "POST", "/v1/sales", c.body, operatorHeader).refused(c.status, c.code)
				if got := w.entries(0) > before; got != c.append {
					t.Errorf("appended: %t", got)
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
