package ingress

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestRequestsOfASale(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.Quantity, s.Policy, s.WaitlistCapacity = 2, sale.PolicyWaitlist, 3 })
		synctest.Wait()
		w.gate.down = true // so that a second click makes a duplicate
		for _, buyer := range []string{"a", "b", "c", "d", "e", "lost"} {
			i.clicks(t, "hat", buyer)
		}
		pass(time.Second)
		i.clicks(t, "hat", "c")
		w.record(0, "hat", sale.Confirm{Request: 3, PaymentReference: "p1"})
		w.decide(0)
		w.record(0, "hat", sale.Pause{Sale: 2})
		i.buys(t, "another")
		w.decide(0)
		list := func(query string) ([]any, any) {
			t.Helper()
			page := i.call(t, "GET", "/v1/sales/hat/requests"+query, "", operatorHeader).object(200)
			requests, ok := page["requests"].([]any)
			if !ok {
				t.Fatalf("%v", page)
			}
			return requests, page["next"]
		}
		ids := func(requests []any) string {
			var all []string
			for _, r := range requests {
				all = append(all, r.(map[string]any)["id"].(string))
			}
			return strings.Join(all, " ")
		}
		all, next := list("")
		if got := ids(all); got != "0-3 0-4 0-5 0-6 0-7 0-9" || next != nil {
			t.Errorf("%s, next %v", got, next)
		}
		want := map[string]any{
			"id": "0-3", "sale": "0-2", "state": "confirmed", "quantity": 1., "payment_reference": "p1",
			"requested_at": "2000-01-01T00:00:00.000Z", "decided_at": "2000-01-01T00:00:01.000Z",
		}
		if diff := cmp.Diff(want, all[0]); diff != "" {
			t.Error(diff)
		}
		want = map[string]any{
			"id": "0-9", "sale": "0-2", "state": "rejected", "reason": "duplicate", "first": "0-5", "quantity": 1.,
			"requested_at": "2000-01-01T00:00:01.000Z", "decided_at": "2000-01-01T00:00:01.000Z",
		}
		if diff := cmp.Diff(want, all[5]); diff != "" {
			t.Error(diff)
		}
		waiting, _ := list("?state=waitlisted")
		if got := ids(waiting); got != "0-5 0-6 0-7" {
			t.Errorf("waitlisted: %s", got)
		}

		// Page by page.
		var seen []string
		for query := "?limit=4"; query != ""; {
			page, next := list(query)
			seen = append(seen, ids(page))
			query = ""
			if text, ok := next.(string); ok {
				query = "?limit=4&after=" + text
			}
		}
		if got := strings.Join(seen, " | "); got != "0-3 0-4 0-5 0-6 | 0-7 0-9" {
			t.Errorf("pages %s", got)
		}
		if page, next := list("?limit=6"); len(page) != 6 || next != nil {
			t.Errorf("a page that just holds all: %d, next %v", len(page), next)
		}
		if page, next := list("?after=0-9&limit=1000"); len(page) != 0 || next != nil {
			t.Errorf("behind the last: %v, next %v", page, next)
		}
		if none, _ := list("?state=returned"); len(none) != 0 {
			t.Errorf("%v", none)
		}

		for _, bad := range []string{
			"?state=lost", "?state=HELD", "?limit=0", "?limit=-1", "?limit=1001", "?limit=x", "?limit=1.5", "?limit=99999999999999999999",
			"?after=x", "?after=1-3", "?after=0", "?after=0--1", "?after=0-03", "?%zz", "?after=0-99999999999999999999",
		} {
			i.call(t, "GET", "/v1/sales/hat/requests"+bad, "", operatorHeader).refused(400, "invalid_request")
		}
		i.call(t, "GET", "/v1/sales/unsold/requests", "", operatorHeader).refused(404, "unknown_product")
		w.breakLedger(errors.New("postgres is down"))
		i.call(t, "GET", "/v1/sales/hat/requests", "", operatorHeader).refused(503, "unavailable")
	})
}

// TestParkedRequestIsListed is for a request that is in no line and not decided.
func TestParkedRequestIsListed(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := situations["parked"](t, w, i)
		synctest.Wait()
		page := i.call(t, "GET", "/v1/sales/hat/requests?state=queued", "", operatorHeader).object(200)
		want := []any{map[string]any{
			"id": s.ID, "sale": "0-2", "state": "queued", "quantity": 1., "requested_at": "2000-01-01T00:00:00.000Z",
		}}
		if diff := cmp.Diff(want, page["requests"]); diff != "" {
			t.Error(diff)
		}
		if now := i.call(t, "GET", "/v1/sales/hat", "", operatorHeader).object(200); now["state"] != "paused" || now["parked"] != 1. {
			t.Errorf("%v", now)
		}
	})
}
