package ingress

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// patches changes a sale that has a version.
func (i *Ingress) patches(t testing.TB, product, version, body string) answer {
	t.Helper()
	headers := maps.Clone(operatorHeader)
	if version != "" {
		headers["If-Match"] = version
	}
	return i.call(t, "PATCH", "/v1/sales/"+product, body, headers)
}

func (w *world) last(partition int32) sale.Body {
	w.mu.Lock()
	defer w.mu.Unlock()
	entries := w.parts[partition].entries
	return entries[len(entries)-1].Record().Body
}

func TestUpdateSale(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) {
			s.OpensAt, s.ClosesAt, s.CheckoutURL = minute(10), minute(20), "https://shop.example/"
		})
		synctest.Wait()
		w.deciding(t, 0)
		shown := i.call(t, "GET", "/v1/sales/hat", "", operatorHeader)
		if shown.header.Get("ETag") != `"1"` {
			t.Errorf("ETag %q", shown.header.Get("ETag"))
		}
		a := i.patches(t, "hat", shown.header.Get("ETag"), `{"quantity":7,"hold_seconds":90,"max_hold_seconds":900,"per_buyer_limit":3,
			"max_quantity_per_request":2,"policy":"waitlist","waitlist_capacity":70,"opens_at":"2000-01-01T00:11:00Z","closes_at":"2000-01-01T00:21:00Z",
			"admit_per_second":5,"max_active_holds":6,"checkout_url":"https://shop.example/pay","actor":"ann","reason":"more came"}`)
		now := a.object(200)
		for name, want := range map[string]any{
			"quantity": 7., "hold_seconds": 90., "max_hold_seconds": 900., "per_buyer_limit": 3., "max_quantity_per_request": 2.,
			"policy": "waitlist", "waitlist_capacity": 70., "opens_at": "2000-01-01T00:11:00.000Z", "closes_at": "2000-01-01T00:21:00.000Z",
			"admit_per_second": 5., "max_active_holds": 6., "checkout_url": "https://shop.example/pay", "version": 2., "available": 7., "state": "scheduled",
		} {
			if now[name] != want {
				t.Errorf("%s: %v, expected %v", name, now[name], want)
			}
		}
		if got := a.header.Get("ETag"); got != `"2"` {
			t.Errorf("ETag %q", got)
		}
		if update, ok := w.last(0).(sale.Update); !ok || update.Actor != "ann" || update.Reason != "more came" || update.Sale != 2 || update.Version != 1 {
			t.Errorf("record %+v", w.last(0))
		}

		// A wish that is true is done, also by who knows an older version.
		i.patches(t, "hat", `"1"`, `{"quantity":7}`).is(200)
		i.patches(t, "hat", `"1"`, `{"quantity":8}`).refused(412, "stale_version")
		i.patches(t, "hat", `"3"`, `{"quantity":8}`).refused(412, "stale_version")
		// null takes away what a sale need not have; a proxy may make a tag weak.
		a = i.patches(t, "hat", `W/"2"`, `{"closes_at":null,"checkout_url":null}`)
		if now = a.object(200); now["closes_at"] != nil || now["checkout_url"] != nil || now["opens_at"] == nil || now["version"] != 3. {
			t.Errorf("%v", now)
		}
		i.patches(t, "hat", `"3"`, `{"checkout_url":"https://shop.example/"}`).is(200)
		if now = i.patches(t, "hat", `"4"`, `{"checkout_url":""}`).object(200); now["checkout_url"] != nil {
			t.Errorf("%v", now)
		}
		if now = i.patches(t, "hat", `"5"`, `{"opens_at":null}`).object(200); now["version"] != 6. || now["opens_at"] != nil {
			t.Errorf("%v", now)
		}
		pass(time.Second)
		w.record(0, "", sale.Tick{})
		pass(time.Second)
		if now := i.call(t, "GET", "/v1/sales/hat", "", operatorHeader).object(200); now["state"] != "open" || now["opened_at"] == nil {
			t.Errorf("%v", now)
		}
		i.patches(t, "hat", `"6"`, `{"opens_at":"2000-01-01T01:00:00Z"}`).refused(409, "already_open")

		i.clicks(t, "hat", "ada")
		i.clicks(t, "hat", "bob")
		pass(time.Second)
		i.patches(t, "hat", `"6"`, `{"quantity":1}`).refused(409, "quantity_in_use")
		if now := i.patches(t, "hat", `"6"`, `{"quantity":2}`).object(200); now["available"] != 0. || now["reserved"] != 2. {
			t.Errorf("%v", now)
		}
		i.call(t, "POST", "/v1/sales/hat/close", "", operatorHeader).is(200)
		i.patches(t, "hat", `"7"`, `{"quantity":9}`).refused(409, "sale_closed")
	})
}

// TestUpdateOfASaleOfTheFirstRules is for one that has none of the later
// settings.
func TestUpdateOfASaleOfTheFirstRules(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.record(0, "hat", sale.Create{Rules: sale.FirstRules, BuyerKey: "k1", Settings: sale.Settings{
			Quantity: 1, HoldSeconds: 60, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue,
		}})
		w.decide(0)
		synctest.Wait()
		w.deciding(t, 0)
		if now := i.patches(t, "hat", `"1"`, `{"quantity":3}`).object(200); now["quantity"] != 3. || now["version"] != 2. {
			t.Errorf("%v", now)
		}
		i.patches(t, "hat", `"2"`, `{"policy":"waitlist"}`).refused(400, "invalid_request")
	})
}

func TestUpdateThatReachesNoLog(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		before := w.entries(0)
		i.patches(t, "shirt", "", `{"quantity":2}`).refused(428, "precondition_required")
		for _, version := range []string{"*", "1", `"1`, `1"`, `""`, `"0"`, `"-1"`, `"+1"`, `"01"`, `"x"`, `"1", "2"`, `"1.0"`, `"9223372036854775808"`, `w/"1"`} {
			i.patches(t, "shirt", version, `{"quantity":2}`).refused(400, "invalid_request")
		}
		for _, body := range []string{
			"", "{}", "null", "[]", "x", `{"reason":"nothing"}`, `{"price":1}`, `{"product":"hat"}`, `{"partition":1}`, `{"version":1}`, `{"state":"open"}`,
			`{"quantity":0}`, `{"quantity":-1}`, `{"quantity":1.5}`, `{"quantity":"1"}`, `{"quantity":null}`, `{"quantity":1000000001}`, `{"quantity":1,"quantity":1}`,
			`{"hold_seconds":null}`, `{"hold_seconds":0}`, `{"hold_seconds":121}`, `{"max_hold_seconds":59}`, `{"max_hold_seconds":null}`,
			`{"per_buyer_limit":0}`, `{"max_quantity_per_request":2}`, `{"policy":"lottery"}`, `{"policy":null}`, `{"policy":1}`,
			`{"waitlist_capacity":-1}`, `{"waitlist_capacity":null}`, `{"admit_per_second":-1}`, `{"admit_per_second":null}`, `{"max_active_holds":-1}`, `{"max_active_holds":null}`,
			`{"opens_at":0}`, `{"opens_at":"soon"}`, `{"opens_at":"1969-01-01T00:00:00Z"}`, `{"opens_at":""}`, `{"opens_at":"1970-01-01T00:00:00Z"}`,
			`{"closes_at":"1999-01-01T00:00:00Z"}`, `{"closes_at":"2000-01-01T00:00:00Z"}`, `{"closes_at":false}`, `{"closes_at":"9999-12-31T23:59:59.999Z"}`,
			`{"checkout_url":"shop.example"}`, `{"checkout_url":"ftp://shop.example/"}`, `{"checkout_url":"https://shop.example/#top"}`, `{"checkout_url":7}`,
			`{"quantity":2,"actor":"` + strings.Repeat("x", 101) + `"}`, `{"quantity":2,"reason":"` + strings.Repeat("x", 201) + `"}`, `{"quantity":2,"reason":"a\u0007"}`,
		} {
			i.patches(t, "shirt", `"1"`, body).refused(400, "invalid_request")
		}
		i.patches(t, "hat", `"1"`, `{"quantity":2}`).refused(404, "unknown_product")
		for _, command := range []string{"pause", "resume", "close"} {
			path := "/v1/sales/shirt/" + command
			for _, body := range []string{`{"x":1}`, `{"reason":1}`, `[]`, `{"actor":"a\u0000"}`, `{"reason":"` + strings.Repeat("x", 201) + `"}`} {
				i.call(t, "POST", path, body, operatorHeader).refused(400, "invalid_request")
			}
			i.call(t, "POST", "/v1/sales/hat/"+command, "", operatorHeader).refused(404, "unknown_product")
			i.call(t, "GET", path, "", operatorHeader).refused(405, "method_not_allowed")
		}
		if got := w.entries(0); got != before {
			t.Errorf("%d records reached the log", got-before)
		}
	})
}

func TestPauseResumeClose(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.OpensAt = minute(10) })
		synctest.Wait()
		w.deciding(t, 0)
		steer := func(product, command string) answer {
			t.Helper()
			return i.call(t, "POST", "/v1/sales/"+product+"/"+command, `{"actor":"ann","reason":"a leak"}`, operatorHeader)
		}
		for _, step := range []struct{ command, state string }{
			{"resume", "open"}, {"pause", "paused"}, {"pause", "paused"}, {"resume", "open"}, {"pause", "paused"}, {"close", "closed"}, {"close", "closed"},
		} {
			a := steer("shirt", step.command)
			if now := a.object(200); now["state"] != step.state || a.header.Get("ETag") != `"1"` {
				t.Errorf("%s: %s", step.command, a.body)
			}
		}
		if body, ok := w.last(0).(sale.Close); !ok || body != (sale.Close{Sale: 1, Actor: "ann", Reason: "a leak"}) {
			t.Errorf("record %+v", w.last(0))
		}
		for _, command := range []string{"pause", "resume"} {
			steer("shirt", command).refused(409, "sale_closed")
			steer("hat", command).refused(409, "not_open")
		}
		i.call(t, "POST", "/v1/sales/hat/close", "", operatorHeader).is(200)
		if body, ok := w.last(0).(sale.Close); !ok || body != (sale.Close{Sale: 2, Actor: "operator"}) {
			t.Errorf("record %+v", w.last(0))
		}
	})
}

func TestCommandOnASaleThatIsNotDecidedInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		if now := i.call(t, "POST", "/v1/sales/shirt/pause", "", operatorHeader).object(http.StatusAccepted); now["state"] != "open" {
			t.Errorf("%v", now)
		}
		if now := i.patches(t, "shirt", `"1"`, `{"quantity":2}`).object(http.StatusAccepted); now["quantity"] != 1. {
			t.Errorf("%v", now)
		}
		w.appendError = ErrOverloaded
		i.call(t, "POST", "/v1/sales/shirt/pause", "", operatorHeader).refused(503, "unavailable")
		w.appendError = nil
		w.decide(0)
		synctest.Wait()
		if now := i.call(t, "GET", "/v1/sales/shirt", "", operatorHeader).object(200); now["state"] != "paused" || now["quantity"] != 2. {
			t.Errorf("%v", now)
		}
	})
}

// TestCommandOnASaleThatIsSoldAgain has a late command meet the next sale of
// its product.
func TestCommandOnASaleThatIsSoldAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.decide(0)
		synctest.Wait()
		w.record(0, "shirt", sale.Close{Sale: 1})
		w.record(0, "shirt", sale.Create{Rules: sale.NewestRules, BuyerKey: "k1", Later: true, Settings: sale.Settings{
			Quantity: 3, HoldSeconds: 60, MaxHoldSeconds: 60, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue,
		}})
		answers := make(chan answer, 2)
		go func() { answers <- i.call(t, "POST", "/v1/sales/shirt/close", "", operatorHeader) }()
		go func() { answers <- i.patches(t, "shirt", `"1"`, `{"quantity":9}`) }()
		synctest.Wait()
		w.decide(0)
		for range 2 {
			if a := <-answers; a.code == 200 {
				if now := a.object(200); now["sale"] != "0-1" || now["state"] != "closed" {
					t.Errorf("%v", now)
				}
			} else {
				a.refused(409, "sale_closed")
			}
		}
		if now := i.call(t, "GET", "/v1/sales/shirt", "", operatorHeader).object(200); now["state"] != "open" || now["quantity"] != 3. || now["sale"] == "0-1" {
			t.Errorf("the later sale: %v", now)
		}
		// Nothing leaks into it, and the hold of the first one goes on.
		again := i.buys(t, "ada")
		w.deciding(t, 0)
		if got := i.call(t, "POST", "/v1/holds/"+s.ID+"/confirm", `{"payment_reference":"p"}`, merchantHeader).status(200); got.State != sale.Confirmed {
			t.Errorf("%+v", got)
		}
		if got := i.call(t, "POST", "/v1/holds/"+again.ID+"/confirm", `{"payment_reference":"p"}`, merchantHeader).status(200); got.State != sale.Confirmed {
			t.Errorf("%+v", got)
		}
	})
}

// TestLogOfAnOlderSchema has a command be nothing that the log can read.
func TestLogOfAnOlderSchema(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for n := range w.parts {
			w.parts[n].entries = nil
			w.record(int32(n), "", sale.Schema{Version: sale.FirstSchema})
			w.decide(int32(n))
		}
		i := w.ingressOf(t, nil)
		w.deciding(t, 0)
		i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":1}`, operatorHeader).refused(503, "unavailable")
	})
}
