package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// try runs a command in this process.
func try(t *testing.T, arguments ...string) (code int, out, complaints string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), arguments, terminal{out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// TestExitCodes holds the contract with scripts.
func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		arguments []string
		code      int
		says      string // on either stream
	}{
		"no command":          {nil, exitDone, "demo"},
		"help":                {[]string{"--help"}, exitDone, "serve"},
		"help of a command":   {[]string{"serve", "--help"}, exitDone, "ANTEROOM_TICKET_KEYS"},
		"unknown command":     {[]string{"sell"}, exitMisuse, "sell"},
		"unknown flag":        {[]string{"dev", "--colour"}, exitMisuse, "--colour"},
		"missing flag":        {[]string{"sale", "create", "console"}, exitMisuse, "--quantity"},
		"no brokers":          {[]string{"migrate"}, exitMisuse, "ANTEROOM_KAFKA_BROKERS"},
		"no postgres":         {[]string{"migrate", "--kafka-brokers", "127.0.0.1:1"}, exitMisuse, "ANTEROOM_POSTGRES_URL"},
		"unknown role":        {[]string{"serve", "--role", "cook"}, exitMisuse, "cook"},
		"no redis":            {[]string{"serve", "--role", "allocator", "--kafka-brokers", "127.0.0.1:1", "--postgres-url", "postgres://127.0.0.1:1/x"}, exitMisuse, "ANTEROOM_REDIS_URL"},
		"not a URL":           {[]string{"sale", "list", "--url", "nonsense"}, exitMisuse, "nonsense"},
		"nobody listens":      {[]string{"sale", "list", "--url", "http://127.0.0.1:1"}, exitFailed, "asking the service"},
		"nobody is healthy":   {[]string{"healthcheck", "--url", "http://127.0.0.1:1"}, exitFailed, "asking for health"},
		"a demo of nobody":    {[]string{"demo", "--buyers", "0"}, exitMisuse, "--buyers"},
		"a crowd of nobody":   {[]string{"crowd", "--addresses", "127.0.0.1:1", "--product", "x", "--buyers", "0"}, exitFailed, "0 buyers"},
		"a level that is odd": {[]string{"migrate", "--log-level", "loud"}, exitMisuse, "loud"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, complaints := try(t, c.arguments...)
			if code != c.code || !strings.Contains(out+complaints, c.says) {
				t.Errorf("exit %d, want %d, saying %q; it said:\n%s%s", code, c.code, c.says, out, complaints)
			}
		})
	}
}

// TestNoKeysNoService shows that serve does not start without keys, or with bad
// ones, and does not print them.
func TestNoKeysNoService(t *testing.T) {
	w := newWorld(t, devstacktest.Embedded(t), 1)
	settings := []string{
		"serve", "--role", "ingress", "--kafka-brokers", w.kafka, "--topic", w.topic, "--single-broker",
		"--postgres-url", w.postgres, "--redis-url", w.redis, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
	}
	for name, c := range map[string]struct {
		keys []string
		says string
	}{
		"no keys":       {nil, "ANTEROOM_TICKET_KEYS"},
		"no buyer keys": {[]string{"--ticket-keys", w.secrets.TicketKeys}, "ANTEROOM_BUYER_KEYS"},
		"a short key":   {[]string{"--ticket-keys", "k1:c2hvcnRzZWNyZXQ=", "--buyer-keys", w.secrets.BuyerKeys}, "ANTEROOM_TICKET_KEYS"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, complaints := try(t, append(settings, c.keys...)...)
			if code != exitMisuse || !strings.Contains(complaints, c.says) {
				t.Errorf("exit %d, want %d, naming %s; it said:\n%s", code, exitMisuse, c.says, complaints)
			}
			if strings.Contains(out+complaints, "c2hvcnRzZWNyZXQ") {
				t.Errorf("it printed a secret: %s%s", out, complaints)
			}
		})
	}
}

// TestSaleCommands runs an operator's commands against the service.
func TestSaleCommands(t *testing.T) {
	w := newWorld(t, devstacktest.Embedded(t), 2)
	url := "http://" + w.serveHere(t).public.Addr().String()
	w.openSale(t, strings.TrimPrefix(url, "http://"), client.NewSale{Product: "first", Quantity: 1})
	api := []string{"--url", url, "--operator-token", w.secrets.OperatorToken}

	code, out, complaints := try(t, append([]string{"sale", "create", "console", "--quantity", "5", "--hold-seconds", "60", "--json"}, api...)...)
	var created client.Sale
	if err := json.Unmarshal([]byte(out), &created); code != exitDone || err != nil || created.Quantity != 5 || created.HoldSeconds != 60 {
		t.Fatalf("create: exit %d, %v, %s%s", code, err, out, complaints)
	}
	if created.Partition == 0 && created.Sale == "" {
		t.Errorf("the sale has no id: %+v", created)
	}
	if code, _, complaints := try(t, append([]string{"sale", "create", "console", "--quantity", "5"}, api...)...); code != exitFailed || !strings.Contains(complaints, "already_open") {
		t.Errorf("create again: exit %d, %s, want %d and already_open", code, complaints, exitFailed)
	}
	if code, out, complaints := try(t, append([]string{"sale", "list"}, api...)...); code != exitDone || !strings.Contains(out, "console") || !strings.Contains(out, "first") {
		t.Errorf("list: exit %d, %s%s", code, out, complaints)
	}
	if code, out, complaints := try(t, append([]string{"sale", "show", "console"}, api...)...); code != exitDone || !strings.Contains(out, created.Sale) {
		t.Errorf("show: exit %d, %s%s", code, out, complaints)
	}
	if code, _, complaints := try(t, append([]string{"sale", "show", "nothing"}, api...)...); code != exitFailed || !strings.Contains(complaints, "unknown_product") {
		t.Errorf("show of nothing: exit %d, %s", code, complaints)
	}
	if code, _, complaints := try(t, "sale", "list", "--url", url); code != exitFailed || !strings.Contains(complaints, "unauthorized") {
		t.Errorf("list without a token: exit %d, %s", code, complaints)
	}
}
