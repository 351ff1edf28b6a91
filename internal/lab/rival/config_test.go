package rival

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

func TestKindsInOrder(t *testing.T) {
	t.Parallel()
	want := []Kind{Naive, CacheCheck, Optimistic, ForUpdate, Conditional, SkipLocked, RedisThenDB, RedisLuaThenDB, BareEcho}
	if diff := cmp.Diff(want, Kinds()); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestConfigThatCannotBe(t *testing.T) {
	t.Parallel()
	good := Config{Kind: RedisThenDB, PostgresURL: "postgres://x", RedisURL: "redis://x", Product: product, Units: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	echo := Config{Kind: BareEcho, Canned: map[string]Canned{BuyRoute: {Status: 202}}}
	if err := echo.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"unknown kind":  func(c *Config) { c.Kind = "wishful" },
		"not a product": func(c *Config) { c.Product = "A b" },
		"units":         func(c *Config) { c.Units = 0 },
		"pool of -1":    func(c *Config) { c.Pool = -1 },
		"postgres":      func(c *Config) { c.PostgresURL = "" },
		"redis":         func(c *Config) { c.RedisURL = "" },
		"canned":        func(c *Config) { c.Canned = echo.Canned },
		"nothing":       func(c *Config) { *c = Config{Kind: BareEcho} },
		"GET /elsewhere": func(c *Config) {
			*c = Config{Kind: BareEcho, Canned: map[string]Canned{"GET /elsewhere": {Status: 200}}}
		},
		"with status 100": func(c *Config) { *c = Config{Kind: BareEcho, Canned: map[string]Canned{BuyRoute: {Status: 100}}} },
	} {
		config := good
		change(&config)
		if _, err := New(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error about %q", err, want)
		}
	}
}

// TestSettings: each says what it is and how it is tuned, on one line.
func TestSettings(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	for _, kind := range Kinds() {
		if kind == BareEcho {
			continue
		}
		r, err := New(t.Context(), on(b, kind, 1))
		if err != nil {
			t.Fatal(err)
		}
		named := make(map[string]string)
		for _, s := range r.Settings() {
			if named[s.Name] != "" || s.Value == "" || strings.ContainsAny(s.Value, "\n\t") {
				t.Errorf("%s: setting %+v", kind, s)
			}
			named[s.Name] = s.Value
		}
		for _, name := range []string{"kind", "units", "postgres pool", "postgres isolation", "round trips"} {
			if named[name] == "" {
				t.Errorf("%s does not say its %s", kind, name)
			}
		}
		r.Close()
	}
}

func TestBareEcho(t *testing.T) {
	t.Parallel()
	r := made(t, Config{Kind: BareEcho, Canned: map[string]Canned{
		BuyRoute: {
			Status: http.StatusAccepted, Body: `{"state":"queued"}`,
			Header: map[string]string{"Content-Type": "application/json", "Location": "/queue/t", "ETag": `W/"1"`},
		},
		QueueRoute: {Status: http.StatusOK, Body: `{"state":"held"}`},
	}})
	ask := func(method, path, buyer string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(method, path, strings.NewReader(`{"quantity":1}`))
		if buyer != "" {
			request.Header.Set("X-Buyer-ID", buyer)
		}
		recorder := httptest.NewRecorder()
		r.Handler().ServeHTTP(recorder, request)
		return recorder
	}
	bought := ask(http.MethodPost, "/v1/products/console/buy", "ann")
	header := bought.Header()
	if bought.Code != http.StatusAccepted || bought.Body.String() != `{"state":"queued"}` ||
		header.Get("Location") != "/queue/t" || header.Get("ETag") != `W/"1"` || header.Get("Content-Type") != "application/json" {
		t.Errorf("a click: %d %v %s", bought.Code, header, bought.Body)
	}
	if polled := ask(http.MethodGet, "/queue/t", ""); polled.Code != http.StatusOK || polled.Body.String() != `{"state":"held"}` {
		t.Errorf("a poll: %d %s", polled.Code, polled.Body)
	}
	if unknown := ask(http.MethodPost, "/v1/products/console/buy", ""); unknown.Code != http.StatusUnauthorized {
		t.Errorf("a click of nobody: %d", unknown.Code)
	}
	if _, err := r.Tally(t.Context()); err == nil {
		t.Error("it sells nothing, and has a tally")
	}
	if diff := cmp.Diff([]Setting{{"kind", "bare_echo"}}, r.Settings()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
