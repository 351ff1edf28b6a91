package ingress

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestBuyIsAccepted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	inBubble(t, func(c *Config) { c.Metrics = registry }, func(t *testing.T, w *world, i *Ingress) {
		i.buys(t, "ada")
		a := i.call(t, "POST", "/v1/products/shirt/buy", `{"quantity":1}`, as("bob"))
		s := a.status(http.StatusAccepted)
		if s.State != sale.Queued || s.Position == nil || *s.Position != 1 || s.Product != "shirt" || s.Quantity != 1 {
			t.Errorf("status %s", a.body)
		}
		if s.ID != "0-3" || s.PollAfter < 250 || s.ServerTime != s.RequestedAt || s.DecidedAt != "" {
			t.Errorf("status %s", a.body)
		}
		if got := a.header.Get("Location"); got != "/queue/"+s.Ticket {
			t.Errorf("Location %q", got)
		}
		for name, value := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Content-Type": "application/json",
		} {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s: %q", name, got)
			}
		}
		if got := counterOf(t, registry, "shirt", "accepted"); got != 2 {
			t.Errorf("%v buys counted", got)
		}
		entry := w.parts[0].entries[3]
		if bytes.Contains(entry.Value, []byte("bob")) || string(entry.Key) != "shirt" {
			t.Errorf("record %s", entry.Value)
		}

		w.decide(0)
		w.start(0)
		synctest.Wait()
		if s := i.polls(t, s); s.State != sale.SoldOut || s.Reason != sale.ReasonSoldOut || s.Position != nil || s.PollAfter != 0 || s.DecidedAt != "" {
			t.Errorf("loser %+v", s)
		}
	})
}

func TestBadBuysReachNoLog(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 129)
	for name, c := range map[string]struct {
		method, path, body string
		headers            header
		status             int
		code               string
	}{
		"no buyer":          {body: "", headers: nil, status: 401, code: "buyer_required"},
		"empty buyer":       {headers: as(""), status: 401, code: "buyer_required"},
		"long buyer":        {headers: as(long), status: 400, code: "invalid_request"},
		"buyer with space":  {headers: as("a b"), status: 400, code: "invalid_request"},
		"buyer not ASCII":   {headers: as("å"), status: 400, code: "invalid_request"},
		"quantity 0":        {body: `{"quantity":0}`, status: 400, code: "invalid_request"},
		"quantity -1":       {body: `{"quantity":-1}`, status: 400, code: "invalid_request"},
		"quantity 1.5":      {body: `{"quantity":1.5}`, status: 400, code: "invalid_request"},
		"quantity 1e9":      {body: `{"quantity":1000000000}`, status: 400, code: "invalid_request"},
		"quantity 1e9 (e)":  {body: `{"quantity":1e9}`, status: 400, code: "invalid_request"},
		"quantity 1e99":     {body: `{"quantity":1e99}`, status: 400, code: "invalid_request"},
		"quantity 2^64":     {body: `{"quantity":18446744073709551617}`, status: 400, code: "invalid_request"},
		"quantity text":     {body: `{"quantity":"1"}`, status: 400, code: "invalid_request"},
		"quantity null":     {body: `{"quantity":null}`, status: 400, code: "invalid_request"},
		"quantity twice":    {body: `{"quantity":1,"quantity":1}`, status: 400, code: "invalid_request"},
		"quantity above":    {body: `{"quantity":2}`, status: 400, code: "invalid_request"},
		"unknown field":     {body: `{"quantity":1,"price":1}`, status: 400, code: "invalid_request"},
		"other case":        {body: `{"Quantity":1}`, status: 400, code: "invalid_request"},
		"null":              {body: `null`, status: 400, code: "invalid_request"},
		"a list":            {body: `[1]`, status: 400, code: "invalid_request"},
		"not JSON":          {body: `quantity=1`, status: 400, code: "invalid_request"},
		"cut":               {body: `{"quantity":1`, status: 400, code: "invalid_request"},
		"trailing":          {body: `{"quantity":1} {}`, status: 400, code: "invalid_request"},
		"not UTF-8":         {body: "{\"quantity\":1,\"\xff\":1}", status: 400, code: "invalid_request"},
		"too long":          {body: `{"quantity":1` + strings.Repeat(" ", maxBody) + `}`, status: 400, code: "invalid_request"},
		"unknown product":   {path: "/v1/products/hat/buy", status: 404, code: "unknown_product"},
		"no product":        {path: "/v1/products//buy", status: 404, code: "unknown_product"},
		"malformed product": {path: "/v1/products/SHIRT/buy", status: 404, code: "unknown_product"},
		"escaped product":   {path: "/v1/products/a%2Fb/buy", status: 404, code: "unknown_product"},
		"unknown path":      {path: "/v1/nothing", status: 404, code: "not_found"},
		"wrong method":      {method: "GET", status: 405, code: "method_not_allowed"},
		"wrong method 2":    {method: "PUT", path: "/queue/x", status: 405, code: "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
				before := w.entries(0)
				if c.method == "" {
					c.method = "POST"
				}
				if c.path == "" {
					c.path = "/v1/products/shirt/buy"
				}
				if c.headers == nil && c.status != 401 {
					c.headers = as("ada")
				}
				a := i.call(t, c.method, c.path, c.body, c.headers)
				a.refused(c.status, c.code)
				if c.status == 405 && a.header.Get("Allow") == "" {
					t.Error("no Allow")
				}
				if w.entries(0) != before {
					t.Error("a record reached the log")
				}
				if c.status == 401 && a.header.Get("WWW-Authenticate") != "" {
					t.Error("a buyer is no bearer")
				}
			})
		})
	}
}

func TestBuysThatTheDoorRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(w *world, i *Ingress, t *testing.T)
		status  int
		code    string
	}{
		"sold out for good": {func(w *world, i *Ingress, t *testing.T) {
			i.buys(t, "ada")
			w.record(0, "shirt", sale.Confirm{Request: 2, PaymentReference: "p"})
			w.decide(0)
		}, 410, "sold_out"},
		"overloaded": {func(w *world, _ *Ingress, _ *testing.T) { w.appendError = ErrOverloaded }, 503, "unavailable"},
		"log closed": {func(w *world, _ *Ingress, _ *testing.T) { w.appendError = errors.New("closed") }, 503, "unavailable"},
		"log fails":  {func(w *world, _ *Ingress, _ *testing.T) { w.failAcks = true }, 503, "unavailable"},
		"log silent": {func(w *world, _ *Ingress, _ *testing.T) { w.holdAcks = true }, 503, "unavailable"},
		"too fast": {func(w *world, i *Ingress, t *testing.T) {
			w.gate.forgets = true
			i.buys(t, "bob")
		}, 429, "rate_limited"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
				c.prepare(w, i, t)
				synctest.Wait()
				i.call(t, "POST", "/v1/products/shirt/buy", "", as("bob")).refused(c.status, c.code)
				w.acknowledge()
			})
		})
	}
}

func TestRepeatedClickGetsItsTicket(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		first := i.buys(t, "ada")
		before := w.entries(0)
		again := func() status {
			t.Helper()
			return i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")).status(http.StatusOK)
		}
		synctest.Wait() // the gate has it
		if s := again(); s.Ticket != first.Ticket || s.RequestedAt != first.RequestedAt {
			t.Errorf("queued: %+v", s)
		}
		w.decide(0)
		w.start(0)
		synctest.Wait()
		if s := again(); s.Ticket != first.Ticket || s.State != sale.Held || s.ExpiresAt == "" {
			t.Errorf("held: %+v", s)
		}
		if got := w.entries(0); got != before+1 { // the tick
			t.Errorf("%d records, expected %d", got, before+1)
		}
	})
}

func TestClickWithAnotherQuantity(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.Quantity, s.PerBuyerLimit, s.MaxQuantityPerRequest = 9, 4, 3 })
		synctest.Wait()
		click := func(quantity string) answer {
			return i.call(t, "POST", "/v1/products/hat/buy", `{"quantity":`+quantity+`}`, as("ada"))
		}
		first := click("2").status(http.StatusAccepted)
		click("1").refused(409, "different_quantity") // while it is remembered, or after
		synctest.Wait()
		click("3").refused(409, "different_quantity")
		click("2").status(http.StatusOK)

		// Bought: more is another request, as far as one may buy.
		w.decide(0)
		offset := w.parts[0].watermark - 1
		w.record(0, "hat", sale.Confirm{Request: offset, PaymentReference: "p"})
		w.decide(0)
		synctest.Wait()
		click("3").refused(409, "different_quantity")
		pass(time.Second) // the limit counts
		if s := click("2").status(http.StatusAccepted); s.Ticket == first.Ticket {
			t.Error("the second buy got the first one's ticket")
		}
	})
}

func TestConcurrentClicksMakeOneRecord(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.holdAcks = true
		w.gate.holdBack = true
		before := w.entries(0)
		answers := make(chan answer, 20)
		for range cap(answers) {
			go func() {
				answers <- i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada"))
			}()
		}
		synctest.Wait()
		w.acknowledge()
		synctest.Wait()
		// The gate does not know it yet; the flight still does.
		late := i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")).status(http.StatusOK)
		accepted := 0
		for range cap(answers) {
			a := <-answers
			if a.code == http.StatusAccepted {
				accepted++
				a.code = http.StatusOK
			}
			if s := a.status(http.StatusOK); s.Ticket != late.Ticket {
				t.Errorf("ticket of %s, expected %s", s.ID, late.ID)
			}
		}
		if accepted != 1 {
			t.Errorf("%d of them were accepted as new", accepted)
		}
		if got := w.entries(0) - before; got != 1 {
			t.Errorf("%d records", got)
		}
		for _, store := range w.gate.heldBack {
			store()
		}
		for n := range i.flights.shards {
			if len(i.flights.shards[n].of) > 0 {
				t.Error("a flight is left")
			}
		}
	})
}

func TestLateAcknowledgementIsFoundByAskingAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.holdAcks = true
		before := w.entries(0)
		click := func() answer { return i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")) }
		started := time.Now()
		click().refused(503, "unavailable")
		if waited := time.Since(started); waited != appendWait {
			t.Errorf("waited %s", waited)
		}
		click().refused(503, "unavailable") // still unknown, and no second record
		w.acknowledge()
		synctest.Wait()
		s := click().status(http.StatusOK)
		if s.ID != "0-2" {
			t.Errorf("request %s", s.ID)
		}
		if got := w.entries(0) - before; got != 1 {
			t.Errorf("%d records", got)
		}
	})
}

func TestClickThatLeavesBeforeTheGateAnswers(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.gate.admitting = make(chan struct{})
		ctx, leave := context.WithCancel(context.Background())
		first, second := make(chan answer, 1), make(chan answer, 1)
		go func() {
			first <- i.serve(t, request("POST", "/v1/products/shirt/buy", "", as("ada")).WithContext(ctx))
		}()
		synctest.Wait()
		go func() { second <- i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")) }()
		synctest.Wait()
		leave()
		synctest.Wait()
		close(w.gate.admitting)
		(<-second).status(http.StatusAccepted)
		<-first
	})
}

func TestDuplicateShowsTheFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.gate.down = true // nobody remembers
		first := i.buys(t, "ada")
		synctest.Wait()
		pass(time.Second)
		second := i.buys(t, "ada")
		if second.Ticket == first.Ticket {
			t.Fatal("expected two records")
		}
		w.decide(0)
		w.start(0)
		synctest.Wait()
		a, b := i.polls(t, first), i.polls(t, second)
		if b.Ticket != first.Ticket || b.State != sale.Held || b.ID != a.ID || b.RequestedAt != first.RequestedAt || b.ExpiresAt != a.ExpiresAt {
			t.Errorf("the duplicate shows %+v, the first %+v", b, a)
		}
		// What is done with the duplicate's ticket is done to the first.
		w.deciding(t, 0)
		gone := i.call(t, "DELETE", "/queue/"+second.Ticket, "", nil).status(http.StatusOK)
		if gone.State != sale.Released || gone.Ticket != first.Ticket {
			t.Errorf("given back: %+v", gone)
		}
	})
}

func TestGateDown(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.gate.down = true
		i.buys(t, "ada")
		synctest.Wait()
		i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")).refused(429, "rate_limited")
		i.buys(t, "bob")
		pass(time.Second)
		i.buys(t, "ada") // the core will refuse it as a duplicate
	})
}

func TestHintThatIsOver(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		i.buys(t, "bob")
		first := i.buys(t, "ada")
		w.decide(0)
		synctest.Wait()
		if s := i.polls(t, first); s.State != sale.SoldOut {
			t.Fatalf("%+v", s)
		}
		w.record(0, "shirt", sale.Release{Request: 2, By: sale.ByShopper})
		w.decide(0)
		synctest.Wait()
		// It came back, so she may stand in line again, once a second.
		i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")).refused(429, "rate_limited")
		pass(time.Second)
		if s := i.buys(t, "ada"); s.Ticket == first.Ticket {
			t.Error("got the ticket of what is over")
		}
	})
}

func FuzzBuyBody(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"quantity":1}`, `{"quantity":1e0}`, `{"quantity":null}`, "null", "[", `{"quantity":1}x`, `{"a":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
			before := w.entries(0)
			a := i.call(t, "POST", "/v1/products/shirt/buy", string(body), as("ada"))
			records := w.entries(0) - before
			switch a.code {
			case http.StatusAccepted:
				if s := a.status(http.StatusAccepted); s.Quantity != 1 || records != 1 {
					t.Errorf("%q: quantity %d, %d records", body, s.Quantity, records)
				}
			default:
				a.refused(400, "invalid_request")
				if records != 0 {
					t.Errorf("%q reached the log", body)
				}
			}
		})
	})
}
