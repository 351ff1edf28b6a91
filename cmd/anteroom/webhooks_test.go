package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/client"
)

const webhookSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// shop is a shop's end of the webhooks. It refuses some of them.
type shop struct {
	server *httptest.Server
	verify *standardwebhooks.Webhook

	mu      sync.Mutex
	refuses string // messages of this type
	heard   map[string]heardMessage
	wrong   []error
}

type heardMessage struct {
	Type string `json:"type"`
	Data struct {
		Request string `json:"request"`
		Product string `json:"product"`
		State   string `json:"state"`
	} `json:"data"`
}

func newShop(t *testing.T) *shop {
	t.Helper()
	verify, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{verify: verify, heard: make(map[string]heardMessage)}
	s.server = httptest.NewServer(http.HandlerFunc(s.hear))
	t.Cleanup(s.server.Close)
	return s
}

func (s *shop) hear(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	err = errors.Join(err, s.verify.Verify(body, r.Header))
	var m heardMessage
	err = errors.Join(err, json.Unmarshal(body, &m))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.wrong = append(s.wrong, err)
	}
	if m.Type == s.refuses {
		w.WriteHeader(http.StatusGone)
		return
	}
	s.heard[r.Header.Get("webhook-id")] = m
}

// has reports whether a message of the type about the request, or the product,
// has come.
func (s *shop) has(kind, about string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.heard {
		if m.Type == kind && (m.Data.Request == about || m.Data.Product == about) {
			return true
		}
	}
	return false
}

func (s *shop) refuse(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = kind
}

// A shop hears, signed, of the sale and of holds; what it refuses for good an
// operator finds, and has sent again.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 2)
		shop := newShop(t)
		shop.refuse("hold.confirmed")
		config := w.config(t, roles{ingress: true, allocator: true})
		config.webhooks = webhookSettings{
			WebhookURL: shop.server.URL, WebhookSecret: []string{webhookSecret}, WebhookAllowPrivate: true, WebhookAttempts: 3,
		}
		if err := config.webhooks.validateFor(config.roles, config.backends.DecisionsTopic); err != nil {
			t.Fatal(err)
		}
		s, err := newService(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		w.runHere(t, s)
		address := s.public.Addr().String()
		w.openSale(t, address, client.NewSale{Product: "ring", Quantity: 1})
		ticket := buy(t, address, "ring", "ada")
		awaitTold := func(kind, about string) {
			t.Helper()
			await(t, kind, func() bool { return shop.has(kind, about) })
		}
		id := call(t, "GET", "http://"+address+"/queue/"+ticket, "").body["id"].(string)
		awaitTold("sale.opened", "ring")
		awaitTold("hold.opened", id)
		awaitTold("sale.sold_out", "ring")

		await(t, "the confirmation", func() bool {
			a := call(t, "POST", "http://"+address+"/v1/holds/"+id+"/confirm", `{"payment_reference":"pay-1"}`,
				"Authorization", "Bearer "+w.secrets.MerchantToken)
			return a.code == http.StatusOK
		})
		var dead []deadWebhook
		await(t, "the dead webhook", func() bool {
			dead = nil
			code, output := anteroom(t, "webhook", "dead", "list", "--json", "--postgres-url", w.postgres)
			if code != exitDone || json.Unmarshal([]byte(output), &dead) != nil {
				t.Fatalf("exit %d: %s", code, output)
			}
			return len(dead) > 0
		})
		if len(dead) != 1 || dead[0].Type != "hold.confirmed" || dead[0].LastStatus != http.StatusGone || dead[0].Attempts != 1 || !strings.Contains(dead[0].Body, "pay-1") {
			t.Errorf("dead: %+v", dead)
		}
		shop.refuse("")
		for want, arguments := range map[int][]string{exitMisuse: nil, exitFalse: {"0-999-9"}, exitDone: {"--all"}} {
			arguments = slices.Concat([]string{"webhook", "dead", "retry", "--postgres-url", w.postgres}, arguments)
			if code, output := anteroom(t, arguments...); code != want {
				t.Errorf("%v: exit %d: %s", arguments, code, output)
			}
		}
		awaitTold("hold.confirmed", id)
		shop.mu.Lock()
		defer shop.mu.Unlock()
		for _, err := range shop.wrong {
			t.Errorf("a message is wrong: %v", err)
		}
	})
}

// anteroom runs a command in this process.
func anteroom(t *testing.T, arguments ...string) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	code = run(context.Background(), arguments, terminal{out: &out, err: testWriter{t}})
	return code, out.String()
}

// Settings that cannot work are refused before anything is connected to.
func TestWebhookSettings(t *testing.T) {
	t.Parallel()
	good := webhookSettings{WebhookURL: "https://shop.example/hook", WebhookSecret: []string{webhookSecret}, WebhookAttempts: 14}
	for name, c := range map[string]struct {
		change func(*webhookSettings)
		parts  roles
		topic  string
		works  bool
	}{
		"none":              {func(s *webhookSettings) { *s = webhookSettings{} }, roles{allocator: true}, "d", true},
		"good":              {func(*webhookSettings) {}, roles{allocator: true}, "d", true},
		"a role of its own": {func(*webhookSettings) {}, roles{webhook: true}, "d", true},
		"role without URL":  {func(s *webhookSettings) { s.WebhookURL = "" }, roles{webhook: true}, "d", false},
		"no topic":          {func(*webhookSettings) {}, roles{webhook: true}, "", false},
		"no secret":         {func(s *webhookSettings) { s.WebhookSecret = nil }, roles{webhook: true}, "d", false},
		"a bad secret":      {func(s *webhookSettings) { s.WebhookSecret = []string{"whsec_"} }, roles{webhook: true}, "d", false},
		"private":           {func(s *webhookSettings) { s.WebhookURL = "https://127.0.0.1" }, roles{webhook: true}, "d", false},
		"no attempts":       {func(s *webhookSettings) { s.WebhookAttempts = 0 }, roles{webhook: true}, "d", false},
	} {
		settings := good
		c.change(&settings)
		if err := settings.validateFor(c.parts, c.topic); (err == nil) != c.works || err != nil && !errors.Is(err, errMisuse) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
