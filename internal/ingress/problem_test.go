package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
)

func TestRefusalsAreWhole(t *testing.T) {
	t.Parallel()
	for r, about := range refusals {
		if about.status < 400 || about.code == "" || about.title == "" {
			t.Errorf("refusal %d: %+v", r, about)
		}
	}
}

// TestDocuments reads what is written by hand.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for r, about := range refusals {
		p := &problem{refusal: refusal(r), detail: "a \"quoted\" <text>\n\x00 of \xff ü", opensAt: minute(1)}
		for _, want := range []document{
			{Detail: "a \"quoted\" <text>\n\x00 of \ufffd ü", Instance: "/v1/a%22b?<", OpensAt: "2000-01-01T00:01:00.000Z"},
			{},
		} {
			want.Type, want.Title, want.Status, want.Code = "urn:anteroom:problem:"+about.code, about.title, about.status, about.code
			var got document
			decoder := json.NewDecoder(bytes.NewReader(p.document(nil, want.Instance)))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&got); err != nil {
				t.Fatalf("%s: %v", p.document(nil, want.Instance), err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			p = &problem{refusal: refusal(r)}
		}
	}
}

// TestNothingIsToldToTheLog has every kind of call fail in every way, and looks
// for what must not be in the log.
func TestNothingIsToldToTheLog(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	identify := Identity{Proxies: Loopback()}.Of
	change := func(c *Config) {
		c.Logger = logTo(&output)
		c.Identify = func(r *http.Request) (string, error) { return identify(r) }
	}
	inBubble(t, change, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "adabuyer")
		w.decide(0)
		synctest.Wait()
		paths := []string{"", "/ws", "/events", "/x"}
		for _, suffix := range paths {
			i.call(t, "PUT", "/queue/"+s.Ticket+suffix, "", nil)
			if suffix != "/events" {
				i.call(t, "GET", "/queue/"+s.Ticket+suffix, "", nil)
			}
		}
		w.bind = errors.New("the database is down")
		i.call(t, "POST", "/v1/sales", `{"product":"hat","quantity":1}`, operatorHeader).is(503)
		i.call(t, "GET", "/v1/holds/"+s.Ticket, "", merchantHeader).is(200)
		w.appendError = errors.New("closed")
		i.call(t, "DELETE", "/queue/"+s.Ticket, "", nil).refused(503, "unavailable")
		identify = func(*http.Request) (string, error) { panic("of our own making") }
		a := i.call(t, "POST", "/v1/products/shirt/buy", "", as("adabuyer"))
		a.refused(500, "internal")
		if strings.Contains(string(a.body), "making") {
			t.Errorf("the answer tells what panicked: %s", a.body)
		}
		identify = func(*http.Request) (string, error) { return "", errors.New("no such thing") }
		i.call(t, "POST", "/v1/products/shirt/buy", "", as("adabuyer")).refused(500, "internal")
	})
	text := output.String()
	for _, expected := range []string{"of our own making", "route=/v1/products/:product/buy", "no such thing", "the database is down"} {
		if !strings.Contains(text, expected) {
			t.Errorf("the log does not say %q", expected)
		}
	}
	for _, secret := range []string{"adabuyer", merchantToken, operatorToken, "/queue/", "MDEy"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q:\n%s", secret, text)
		}
	}
}

func TestInstance(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		a := i.call(t, "POST", "/v1/products/hat/buy", "", as("ada"))
		if !strings.Contains(string(a.body), `"instance":"/v1/products/hat/buy"`) {
			t.Errorf("%s", a.body)
		}
		for _, path := range []string{"/queue/" + s.Ticket + "x", "/v1/holds/" + s.Ticket, "/nothing/" + s.Ticket} {
			if a := i.call(t, "GET", path, "", nil); strings.Contains(string(a.body), "instance") {
				t.Errorf("%s: %s", path, a.body)
			}
		}
	})
}

func TestPanicThatAbortsIsLeftToTheServer(t *testing.T) {
	t.Parallel()
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Error("the panic was swallowed")
		}
	}()
	inner := &Ingress{identify: func(*http.Request) (string, error) { panic(http.ErrAbortHandler) }}
	_ = inner.safely(func(c echo.Context) error { _, err := inner.identify(nil); return err })(nil)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		good := Config{Log: w, Gate: w.gate, Bindings: w, Requests: w, Board: i.board, Tickets: i.tickets, Buyers: i.buyers}
		if err := good.Validate(); err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*Config){
			"no log":      func(c *Config) { c.Log = nil },
			"no gate":     func(c *Config) { c.Gate = nil },
			"no bindings": func(c *Config) { c.Bindings = nil },
			"no requests": func(c *Config) { c.Requests = nil },
			"no board":    func(c *Config) { c.Board = nil },
			"no tickets":  func(c *Config) { c.Tickets = nil },
			"no buyers":   func(c *Config) { c.Buyers = nil },
			"streams":     func(c *Config) { c.MaxStreams = -1 },
			"delay":       func(c *Config) { c.DrainDelay = -1 },
			"one token":   func(c *Config) { c.MerchantToken, c.OperatorToken = "x", "x" },
		} {
			bad := good
			change(&bad)
			if _, err := New(bad); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		other := good
		if _, err := New(other); err != nil {
			t.Error(err)
		}
	})
}

func TestUnreadyUntilTheBoardIs(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, ready *Ingress) {
		b := newBoard(t, w)
		i, err := New(Config{Log: w, Gate: w.gate, Bindings: w, Requests: w, Board: b, Tickets: ready.tickets, Buyers: ready.buyers, OperatorToken: operatorToken})
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := i.admin(t, "/readyz"); code != 503 {
			t.Errorf("/readyz %d", code)
		}
		i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")).refused(503, "unavailable")
		i.call(t, "GET", "/v1/products/shirt", "", nil).refused(503, "unavailable")
		i.call(t, "GET", "/v1/sales", "", operatorHeader).refused(503, "unavailable")
		s := ready.buys(t, "ada")
		i.call(t, "GET", "/queue/"+s.Ticket, "", nil).refused(503, "unavailable")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		i.serve(t, request("DELETE", "/queue/"+s.Ticket, "", nil).WithContext(ctx)).refused(503, "unavailable")
	})
}
