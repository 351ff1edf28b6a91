package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestHoldCalls tries every call on a request in every state.
func TestHoldCalls(t *testing.T) {
	t.Parallel()
	type expected struct {
		code   int
		what   string // the state, or the problem's code
		append bool
	}
	calls := map[string]struct {
		method, path, body string
		headers            header
		want               map[string]expected
	}{
		"show": {"GET", "/v1/holds/%s", "", merchantHeader, map[string]expected{
			"queued": {200, "queued", false}, "held": {200, "held", false}, "started": {200, "held", false},
			"confirmed": {200, "confirmed", false}, "released": {200, "released", false}, "returned": {200, "returned", false},
			"expired": {200, "expired", false}, "sold_out": {200, "sold_out", false},
			"waitlisted": {200, "waitlisted", false}, "reserved": {200, "reserved", false}, "parked": {200, "queued", false},
		}},
		"confirm": {"POST", "/v1/holds/%s/confirm", `{"payment_reference":"p1"}`, merchantHeader, map[string]expected{
			"queued": {409, "not_held", false}, "held": {200, "confirmed", true}, "started": {200, "confirmed", true},
			"confirmed": {200, "confirmed", false}, "released": {409, "not_held", false}, "returned": {409, "not_held", false},
			"expired": {409, "hold_expired", false}, "sold_out": {409, "not_held", false},
			"waitlisted": {409, "not_held", true}, "reserved": {409, "not_held", true}, "parked": {409, "not_held", true},
		}},
		"confirm otherwise": {"POST", "/v1/holds/%s/confirm", `{"payment_reference":"p2"}`, merchantHeader, map[string]expected{
			"confirmed": {409, "other_payment", false},
		}},
		"extend": {"POST", "/v1/holds/%s/extend", `{"seconds":90}`, merchantHeader, map[string]expected{
			"queued": {409, "not_held", false}, "held": {200, "held", true}, "started": {200, "held", true},
			"confirmed": {409, "not_held", false}, "released": {409, "not_held", false}, "returned": {409, "not_held", false},
			"expired": {409, "hold_expired", false}, "sold_out": {409, "not_held", false},
			"waitlisted": {409, "not_held", true}, "reserved": {409, "not_held", true}, "parked": {409, "not_held", true},
		}},
		"release": {"POST", "/v1/holds/%s/release", "", merchantHeader, map[string]expected{
			"queued": {409, "not_held", false}, "held": {200, "released", true}, "started": {200, "released", true},
			"confirmed": {409, "not_held", false}, "released": {200, "released", false}, "returned": {409, "not_held", false},
			"expired": {409, "hold_expired", false}, "sold_out": {409, "not_held", false},
			"waitlisted": {200, "released", true}, "reserved": {200, "released", true}, "parked": {200, "released", true},
		}},
		"return": {"POST", "/v1/holds/%s/return", "{}", merchantHeader, map[string]expected{
			"queued": {409, "not_confirmed", false}, "held": {409, "not_confirmed", true}, "started": {409, "not_confirmed", true},
			"confirmed": {200, "returned", true}, "released": {409, "not_confirmed", false}, "returned": {200, "returned", false},
			"expired": {409, "not_confirmed", false}, "sold_out": {409, "not_confirmed", false},
			"waitlisted": {409, "not_confirmed", true}, "reserved": {409, "not_confirmed", true}, "parked": {409, "not_confirmed", true},
		}},
		"leave": {"DELETE", "/queue/%s", "", nil, map[string]expected{
			"queued": {200, "released", true}, "held": {200, "released", true}, "started": {200, "released", true},
			"confirmed": {409, "not_held", false}, "released": {200, "released", false}, "returned": {200, "returned", false},
			"expired": {200, "expired", false}, "sold_out": {200, "sold_out", false},
			"waitlisted": {200, "released", true}, "reserved": {200, "released", true}, "parked": {200, "released", true},
		}},
	}
	for call, c := range calls {
		for state, want := range c.want {
			for _, by := range []string{"ticket", "public id"} {
				if by == "public id" && (call == "leave") {
					continue
				}
				t.Run(call+" "+state+" by "+by, func(t *testing.T) {
					t.Parallel()
					inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
						s := situations[state](t, w, i)
						synctest.Wait()
						if want.append {
							w.deciding(t, 0)
						}
						before := w.entries(0)
						name := s.Ticket
						if by == "public id" {
							name = s.ID
						}
						a := i.call(t, c.method, fmt.Sprintf(c.path, name), c.body, c.headers)
						switch {
						case by == "public id" && (state == "queued" || state == "sold_out"):
							a.refused(404, "unknown_request") // it has no row
						case want.code == 200:
							got := a.status(200)
							if string(got.State) != want.what || got.ID != s.ID {
								t.Errorf("answered %s", a.body)
							}
							if (got.Ticket == "") != (by == "public id") {
								t.Errorf("ticket %q", got.Ticket)
							}
						default:
							a.refused(want.code, want.what)
						}
						if appended := w.entries(0) > before; appended != want.append {
							t.Errorf("appended: %t", appended)
						}
					})
				})
			}
		}
	}
}

func TestExtend(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.MaxHoldSeconds = 150 })
		synctest.Wait()
		s := i.clicks(t, "hat", "ada")
		w.decide(0)
		w.start(0)
		synctest.Wait()
		w.deciding(t, 0)
		began := time.Now()
		extend := func(seconds string) answer {
			t.Helper()
			return i.call(t, "POST", "/v1/holds/"+s.ID+"/extend", `{"seconds":`+seconds+`}`, merchantHeader)
		}
		ends := func(a answer) time.Duration {
			t.Helper()
			end, err := time.Parse(time.RFC3339, a.status(200).ExpiresAt)
			if err != nil {
				t.Error(err)
			}
			return end.Sub(began).Round(time.Second) // its record came a little later
		}
		pass(30 * time.Second)
		if got := ends(extend("20")); got != time.Minute {
			t.Errorf("a shorter one ends after %s", got)
		}
		if got := ends(extend("90")); got != 2*time.Minute {
			t.Errorf("it ends after %s", got)
		}
		if got := ends(extend("604800")); got != 150*time.Second {
			t.Errorf("the longest ends after %s", got)
		}
		if got := ends(extend("119")); got != 150*time.Second { // there already
			t.Errorf("it ends after %s", got)
		}
		extend("121").refused(409, "hold_limit")
		if shown := i.polls(t, s); shown.State != sale.Held || shown.ExpiresAt == "" {
			t.Errorf("%+v", shown)
		}
	})
}

func TestReturnedUnitIsSoldAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := situations["confirmed"](t, w, i)
		synctest.Wait()
		i.call(t, "POST", "/v1/products/shirt/buy", "", as("bob")).refused(410, "sold_out")
		w.deciding(t, 0)
		for range 2 { // again is done already
			if got := i.call(t, "POST", "/v1/holds/"+s.ID+"/return", "", merchantHeader).status(200); got.State != sale.Returned || got.PollAfter != 0 {
				t.Errorf("%+v", got)
			}
		}
		i.buys(t, "bob")
	})
}

func TestCommandsOnBadInput(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.decide(0)
		synctest.Wait()
		before := w.entries(0)
		for _, body := range []string{
			"", "{}", `{"payment_reference":""}`, `{"payment_reference":null}`, `{"payment_reference":7}`,
			`{"payment_reference":"a b"}`, `{"payment_reference":"` + strings.Repeat("x", 129) + `"}`, `{"payment":"x"}`, "x",
		} {
			i.call(t, "POST", "/v1/holds/"+s.Ticket+"/confirm", body, merchantHeader).refused(400, "invalid_request")
		}
		for _, body := range []string{
			"", "{}", `{"seconds":0}`, `{"seconds":-1}`, `{"seconds":604801}`, `{"seconds":1.5}`, `{"seconds":"60"}`, `{"seconds":null}`,
			`{"seconds":1e99}`, `{"seconds":60,"minutes":1}`, "60",
		} {
			i.call(t, "POST", "/v1/holds/"+s.Ticket+"/extend", body, merchantHeader).refused(400, "invalid_request")
		}
		for _, command := range []string{"/release", "/return"} {
			i.call(t, "POST", "/v1/holds/"+s.Ticket+command, `{"x":1}`, merchantHeader).refused(400, "invalid_request")
		}
		for _, name := range []string{"x", "0-0", "0-1", "0-99", "1-0", "2-0", "-1-0", "0-02", s.Ticket + "x"} {
			for _, call := range []struct{ method, suffix, body string }{
				{"GET", "", ""}, {"POST", "/confirm", `{"payment_reference":"p"}`}, {"POST", "/release", ""},
				{"POST", "/extend", `{"seconds":60}`}, {"POST", "/return", ""},
			} {
				i.call(t, call.method, "/v1/holds/"+name+call.suffix, call.body, merchantHeader).refused(404, "unknown_request")
			}
		}
		if got := w.entries(0); got != before {
			t.Errorf("%d records reached the log", got-before)
		}
	})
}

func TestBearer(t *testing.T) {
	t.Parallel()
	calls := []struct{ method, path, body, token string }{
		{"GET", "/v1/holds/0-2", "", merchantToken},
		{"POST", "/v1/holds/0-2/confirm", `{"payment_reference":"p"}`, merchantToken},
		{"POST", "/v1/holds/0-2/release", "", merchantToken},
		{"POST", "/v1/holds/0-2/extend", `{"seconds":60}`, merchantToken},
		{"POST", "/v1/holds/0-2/return", "", merchantToken},
		{"GET", "/v1/sales", "", operatorToken},
		{"GET", "/v1/sales/shirt", "", operatorToken},
		{"POST", "/v1/sales", `{"product":"hat","quantity":1}`, operatorToken},
		{"PATCH", "/v1/sales/shirt", `{"quantity":1}`, operatorToken},
		{"POST", "/v1/sales/shirt/pause", "", operatorToken},
		{"POST", "/v1/sales/shirt/resume", "", operatorToken},
		{"POST", "/v1/sales/shirt/close", "", operatorToken},
		{"GET", "/v1/sales/shirt/requests", "", operatorToken},
	}
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		off := w.ingressOf(t, func(c *Config) { c.MerchantToken, c.OperatorToken = "", "" })
		before := w.entries(0)
		for _, c := range calls {
			for _, authorization := range []string{
				"", "Bearer", "Bearer ", "Bearer x", "Basic " + c.token, c.token, "Bearer " + c.token + "x", "Bearer " + c.token[1:],
			} {
				a := i.call(t, c.method, c.path, c.body, header{"Authorization": authorization})
				a.refused(401, "unauthorized")
				if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
					t.Error("no WWW-Authenticate")
				}
				off.call(t, c.method, c.path, c.body, header{"Authorization": authorization}).refused(403, "not_enabled")
			}
			other := merchantToken
			if c.token == merchantToken {
				other = operatorToken
			}
			i.call(t, c.method, c.path, c.body, header{"Authorization": "Bearer " + other}).refused(401, "unauthorized")
			if a := i.call(t, c.method, c.path, c.body, header{"Authorization": "bearer " + c.token}); a.code == 401 {
				t.Error("the scheme's case counts")
			}
		}
		if got := w.entries(0) - before; got != 4 { // a sale and its commands, with the right token
			t.Errorf("%d records reached the log", got)
		}
	})
}

func TestCommandThatIsNotDecidedInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.decide(0)
		synctest.Wait()
		path := "/v1/holds/" + s.Ticket + "/confirm"
		confirm := func() answer {
			return i.call(t, "POST", path, `{"payment_reference":"p"}`, merchantHeader)
		}
		started := time.Now()
		if got := confirm().status(http.StatusAccepted); got.State != sale.Held || time.Since(started) != commandWait {
			t.Errorf("%+v after %s", got, time.Since(started))
		}
		gone := i.call(t, "DELETE", "/queue/"+s.Ticket, "", nil).status(http.StatusAccepted)
		if gone.State != sale.Held {
			t.Errorf("%+v", gone)
		}
		w.holdAcks = true
		confirm().refused(503, "unavailable")
		w.acknowledge()
		w.failAcks = true
		confirm().refused(503, "unavailable")
		w.appendError = ErrOverloaded
		confirm().refused(503, "unavailable")
		w.decide(0)
		synctest.Wait()
		if got := confirm().status(http.StatusOK); got.State != sale.Confirmed {
			t.Errorf("%+v", got)
		}
	})
}

// TestHoldThatAnotherIngressHasShown asks one that is behind.
func TestHoldThatAnotherIngressHasShown(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		deaf := w.ingressOf(t, nil)
		w.mute = 1
		s := i.buys(t, "ada")
		w.decide(0)
		for _, name := range []string{s.ID, s.Ticket} {
			if got := deaf.call(t, "GET", "/v1/holds/"+s.ID, "", merchantHeader).status(200); got.State != sale.Held {
				t.Errorf("%s: %+v", name, got)
			}
		}
		w.mute = 0
		w.deciding(t, 0)
		if got := deaf.call(t, "POST", "/v1/holds/"+s.Ticket+"/confirm", `{"payment_reference":"p"}`, merchantHeader).status(200); got.State != sale.Confirmed {
			t.Errorf("%+v", got)
		}
	})
}

// TestConfirmThatTheLogDecides is for a hold that ends after the board was
// asked, and before the record.
func TestConfirmThatTheLogDecides(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		w.decide(0)
		w.start(0)
		synctest.Wait()
		pass(time.Minute) // nobody has ticked
		w.deciding(t, 0)
		i.call(t, "POST", "/v1/holds/"+s.Ticket+"/confirm", `{"payment_reference":"p"}`, merchantHeader).refused(409, "hold_expired")
		if got := i.polls(t, s); got.State != sale.Expired {
			t.Errorf("%+v", got)
		}
	})
}

func TestLeavingAQueuedRequestThatSellsOut(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		i.buys(t, "ada")
		s := i.buys(t, "bob")
		w.deciding(t, 0)
		if got := i.call(t, "DELETE", "/queue/"+s.Ticket, "", nil).status(200); got.State != sale.SoldOut {
			t.Errorf("%+v", got)
		}
	})
}

func TestLedgerDown(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.breakLedger(errors.New("postgres is down"))
		s := i.buys(t, "ada")
		if got := i.polls(t, s); got.State != sale.Queued {
			t.Errorf("%+v", got)
		}
		// Nobody can tell what this public id is.
		i.call(t, "GET", "/v1/holds/"+s.ID, "", merchantHeader).refused(404, "unknown_request")
	})
}
