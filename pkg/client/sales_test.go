package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	createPath = "POST /v1/sales"
	showPath   = "GET /v1/sales/console"
	updatePath = "PATCH /v1/sales/console"
)

func TestCreateSale(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(createPath, answering(201, `{"sale":"0-1","product":"console","state":"open","quantity":2,"unheard_of":1}`))
		c := f.client()
		created, err := c.CreateSale(t.Context(), NewSale{Product: "console", Quantity: 2})
		if err != nil || created.Sale != "0-1" || created.State != "open" || !created.OpensAt.IsZero() {
			t.Errorf("created %+v, %v", created, err)
		}
		r := f.requests("")[0]
		if want := `{"product":"console","quantity":2}`; r.body != want || r.head.Get("Authorization") != "Bearer of-operator" {
			t.Errorf("it asked %+v, want %q", r, want)
		}
		_, err = c.CreateSale(t.Context(), NewSale{
			Product: "console", Quantity: 2, HoldSeconds: 60, MaxHoldSeconds: 120, PerBuyerLimit: 3, MaxQuantityPerRequest: 2,
			Policy: "reject", WaitlistCapacity: new(int64), OpensAt: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC),
			ClosesAt: time.Date(2026, 12, 1, 11, 0, 0, 0, time.UTC), AdmitPerSecond: 10, MaxActiveHolds: 50,
			CheckoutURL: "https://shop.test/pay", Partition: new(int32), Actor: "mia", Reason: "launch",
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(`{"product":"console","quantity":2,"hold_seconds":60,"max_hold_seconds":120,"per_buyer_limit":3,`+
			`"max_quantity_per_request":2,"policy":"reject","waitlist_capacity":0,"opens_at":"2026-12-01T10:00:00Z",`+
			`"closes_at":"2026-12-01T11:00:00Z","admit_per_second":10,"max_active_holds":50,"checkout_url":"https://shop.test/pay",`+
			`"partition":0,"actor":"mia","reason":"launch"}`, f.requests("")[1].body); diff != "" {
			t.Errorf("what it asked (-want +got):\n%s", diff)
		}
	})
}

// TestCreateSaleDecidedLate: 202 says that the sale is not made yet.
func TestCreateSaleDecidedLate(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(createPath, answering(202, `{"sale":"0-7","product":"console","state":"undecided"}`))
		f.on(showPath,
			problem(404, "unknown_product"), answering(200, `{"sale":"0-2","product":"console","state":"closed"}`),
			problem(503, "unavailable"), dropped, answering(200, `{"sale":"0-7","product":"console","state":"open"}`))
		c := f.client()
		created, err := c.CreateSale(t.Context(), NewSale{Product: "console", Quantity: 2})
		if err != nil || created.Sale != "0-7" || created.State != "open" || len(f.requests(showPath)) < 5 {
			t.Errorf("created %+v, %v", created, err)
		}

		f.on(showPath, problem(404, "unknown_product"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := c.CreateSale(ctx, NewSale{Product: "console", Quantity: 2}); !errors.Is(err, ErrUndecided) || time.Since(began) > time.Minute {
			t.Errorf("a sale that is never decided: %v", err)
		}
		f.on(showPath, problem(401, "unauthorized"))
		if _, err := c.CreateSale(t.Context(), NewSale{Product: "console", Quantity: 2}); !HasCode(err, "unauthorized") {
			t.Errorf("a sale that may not be seen: %v", err)
		}
	})
}

// TestOperatorsAskOnce: they see what happened, and decide.
func TestOperatorsAskOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		for _, answer := range []string{createPath, showPath, updatePath, "GET /v1/sales", "POST /v1/sales/console/pause"} {
			f.on(answer, problem(503, "unavailable"))
		}
		_, create := c.CreateSale(t.Context(), NewSale{Product: "console"})
		_, show := c.Sale(t.Context(), "console")
		_, list := c.Sales(t.Context())
		_, update := c.UpdateSale(t.Context(), "console", 1, SaleChange{})
		_, pause := c.Pause(t.Context(), "console", Why{})
		for _, err := range []error{create, show, list, update, pause} {
			if !errors.Is(err, ErrUnknown) || !HasCode(err, "unavailable") {
				t.Errorf("it ended with %v", err)
			}
		}
		if came := len(f.requests("")); came != 5 {
			t.Errorf("%d requests for 5 calls", came)
		}
	})
}

func TestProblemsInWords(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		for _, c := range []struct {
			status       int
			answer, want string
		}{
			{409, `{"status":409,"code":"already_open","title":"The product has an open sale","detail":"sale 0-1"}`, "sale 0-1 (409 already_open)"},
			{404, `{"code":"unknown_product","title":"There is no such product"}`, "There is no such product (404 unknown_product)"},
			{502, `<html>`, "the service answered 502 Bad Gateway"},
		} {
			f.on(showPath, answering(c.status, c.answer))
			if _, err := f.client().Sale(t.Context(), "console"); err == nil || err.Error() != c.want {
				t.Errorf("%s: %v, want %s", c.answer, err, c.want)
			}
		}
	})
}

func TestUpdateSale(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		f.on(updatePath, answering(200, `{"sale":"0-1","product":"console","quantity":5,"version":8}`))
		five, nobody, at := int64(5), "", time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
		change := SaleChange{Quantity: &five, ClosesAt: &at, AdmitPerSecond: new(int64), CheckoutURL: &nobody, Actor: "mia", Reason: "more came"}
		updated, err := c.UpdateSale(t.Context(), "console", 7, change)
		if err != nil || updated.Version != 8 || updated.Quantity != 5 {
			t.Errorf("updated %+v, %v", updated, err)
		}
		r := f.requests("")[0]
		if want := `{"quantity":5,"admit_per_second":0,"checkout_url":"","actor":"mia","reason":"more came","closes_at":"2026-12-01T10:00:00Z"}`; r.body != want ||
			r.head.Get("If-Match") != `"7"` || r.head.Get("Authorization") != "Bearer of-operator" {
			t.Errorf("it asked %+v, want %s", r, want)
		}

		f.on(updatePath, problem(412, "stale_version"))
		before := len(f.requests(""))
		if _, err := c.UpdateSale(t.Context(), "console", 7, change); !HasCode(err, "stale_version") || len(f.requests("")) != before+1 {
			t.Errorf("it ended with %v after %d requests", err, len(f.requests(""))-before)
		}
	})
}

// TestUpdateSaleDecidedLate: the sale shows what was done, and the command,
// sent again, what was not.
func TestUpdateSaleDecidedLate(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		five, never := int64(5), time.Time{}
		change := SaleChange{Quantity: &five, ClosesAt: &never}
		f.on(updatePath, answering(202, `{"sale":"0-1","quantity":4,"version":7}`))
		f.on(showPath, answering(200, `{"sale":"0-1","quantity":4,"version":7}`), dropped, problem(503, "unavailable"), answering(200, `{"sale":"0-1","quantity":5,"version":8}`))
		updated, err := c.UpdateSale(t.Context(), "console", 7, change)
		if came := f.requests(updatePath); err != nil || updated.Version != 8 || len(came) != 1 || came[0].body != `{"quantity":5,"closes_at":null}` {
			t.Errorf("updated %+v, %v after %+v", updated, err, came)
		}

		f.on(updatePath, answering(202, `{"sale":"0-1","quantity":4,"version":7}`), problem(503, "unavailable"), problem(409, "quantity_in_use"))
		f.on(showPath, answering(200, `{"sale":"0-1","quantity":4,"version":7}`))
		if _, err := c.UpdateSale(t.Context(), "console", 7, change); !HasCode(err, "quantity_in_use") {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestSteering(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		why := Why{Actor: "mia", Reason: "a fire alarm"}
		for _, s := range []struct {
			command, before, after string
			do                     func(context.Context, string, Why) (Sale, error)
		}{{"pause", "open", "paused", c.Pause}, {"resume", "paused", "open", c.Resume}, {"close", "open", "closed", c.Close}} {
			path := "POST /v1/sales/console/" + s.command
			before, done := `{"sale":"0-1","state":"`+s.before+`"}`, `{"sale":"0-1","state":"`+s.after+`"}`
			f.on(path, answering(202, before))
			f.on(showPath, answering(200, before), answering(200, done))
			steered, err := s.do(t.Context(), "console", why)
			came := f.requests(path)
			if err != nil || steered.State != s.after || len(came) != 1 || came[0].body != `{"actor":"mia","reason":"a fire alarm"}` {
				t.Errorf("%s: %+v, %v after %+v", s.command, steered, err, came)
			}
			f.on(showPath, answering(200, before))
			began := time.Now()
			if _, err := s.do(t.Context(), "console", why); !errors.Is(err, ErrUndecided) || time.Since(began) > defaultPatience {
				t.Errorf("%s: %v after %s", s.command, err, time.Since(began))
			}
		}
	})
}

// TestCommandsAreForOneSale: one that was sent for an earlier sale of a product
// is not sent again for a later one.
func TestCommandsAreForOneSale(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		const path = "POST /v1/sales/console/close"
		f.on(path, answering(202, `{"sale":"0-1","state":"open"}`))
		f.on(showPath, answering(200, `{"sale":"0-9","state":"open"}`))
		got, err := f.client().Close(t.Context(), "console", Why{})
		if !errors.Is(err, ErrUndecided) || got.Sale != "0-1" || len(f.requests(path)) != 1 {
			t.Errorf("%+v, %v after %d commands", got, err, len(f.requests(path)))
		}
	})
}

func TestRequests(t *testing.T) {
	const path = "GET /v1/sales/console/requests"
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		f.on(path,
			answering(200, `{"requests":[{"id":"0-2","sale":"0-1","state":"held","quantity":1,"requested_at":"2026-11-22T16:54:53Z"},{"id":"0-3"}],"next":"0-3"}`),
			answering(200, `{"requests":[],"next":"0-9"}`),
			answering(200, `{"requests":[{"id":"0-12","payment_reference":"order-1","first":"0-2"}]}`))
		var ids []string
		for request, err := range c.AllRequests(t.Context(), "console", RequestQuery{State: sale.Held, Limit: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, request.ID)
		}
		expectLines(t, ids, "0-2", "0-3", "0-12")
		var queries []string
		for _, r := range f.requests(path) {
			queries = append(queries, r.query)
		}
		expectLines(t, queries, "limit=2&state=held", "after=0-3&limit=2&state=held", "after=0-9&limit=2&state=held")

		f.on(path, answering(200, `{"requests":[{"id":"0-2"}],"next":"0-2"}`))
		count, last := 0, error(nil)
		for _, err := range c.AllRequests(t.Context(), "console", RequestQuery{}) {
			count, last = count+1, err
		}
		if !errors.Is(last, errNoProgress) || count != 2 {
			t.Errorf("pages without end: %d requests, %v", count, last)
		}
		for request, err := range c.AllRequests(t.Context(), "console", RequestQuery{}) {
			if err != nil || !strings.HasPrefix(request.ID, "0-") {
				t.Errorf("%+v, %v", request, err)
			}
			break
		}
	})
}
