package main

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

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
		"no such scenario":    {[]string{"bench", "--only", "reject", "--only", "nonsense"}, exitMisuse, "the scenarios are million, burst"},
		"rounds below none":   {[]string{"bench", "--rounds=-1"}, exitMisuse, "--rounds"},
		"no such report":      {[]string{"bench", "--from", "/nowhere/report.json"}, exitMisuse, "/nowhere/report.json"},
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
	sale := func(command string) (code int, out, complaints string) {
		t.Helper()
		return try(t, append(append([]string{"sale"}, strings.Fields(command)...), "--url", url, "--operator-token", w.secrets.OperatorToken)...)
	}
	answered := func(command string) (s client.Sale) {
		t.Helper()
		code, out, complaints := sale(command + " --json")
		if err := json.Unmarshal([]byte(out), &s); code != exitDone || err != nil {
			t.Fatalf("%s: exit %d, %v, %s%s", command, code, err, out, complaints)
		}
		return s
	}
	refused := func(command, says string) {
		t.Helper()
		if code, out, complaints := sale(command); code != exitFailed || out != "" || !strings.Contains(complaints, says) {
			t.Errorf("%s: exit %d, want %d and %q, %s%s", command, code, exitFailed, says, out, complaints)
		}
	}
	said := func(command string, says ...string) {
		t.Helper()
		code, out, complaints := sale(command)
		for _, text := range says {
			if code != exitDone || !strings.Contains(out, text) {
				t.Errorf("%s: exit %d, want %q, %s%s", command, code, text, out, complaints)
			}
		}
	}

	created := answered("create console --quantity 5 --hold-seconds 60 --opens-at +1h --closes-at +2h --admit-per-second 3 --checkout-url https://shop.test/pay --actor mia --reason launch")
	if created.Sale == "" || created.Quantity != 5 || created.HoldSeconds != 60 || created.MaxHoldSeconds != 1800 || created.Policy != "waitlist" ||
		created.WaitlistCapacity != 10 || created.AdmitPerSecond != 3 || created.State != "scheduled" ||
		time.Until(created.OpensAt) > time.Hour || created.ClosesAt.Sub(created.OpensAt) != time.Hour {
		t.Errorf("created %+v", created)
	}
	refused("create console --quantity 5", "already_open")
	refused("create second --quantity 5 --per-buyer-limit 1 --max-quantity-per-request 2", "invalid_request")
	said("list", "console", "first", "scheduled")
	said("show console", created.Sale, "scheduled", "https://shop.test/pay")
	refused("show nothing", "unknown_product")
	refused("pause console", "not_open")

	updated := answered("update console --opens-at none --closes-at none --checkout-url none --quantity 7 --policy queue --actor mia")
	if updated.CheckoutURL != "" || !updated.OpensAt.IsZero() || !updated.ClosesAt.IsZero() || updated.Quantity != 7 ||
		updated.Policy != "queue" || updated.HoldSeconds != 60 || updated.AdmitPerSecond != 3 || updated.Version <= created.Version {
		t.Errorf("updated %+v", updated)
	}
	await(t, "the sale to open", func() bool { return answered("show console").State == "open" }) // at the next tick
	refused("update console --quantity 8 --version "+strconv.FormatInt(created.Version, 10), "stale_version")
	said("update console --quantity 8 --version "+strconv.FormatInt(updated.Version, 10), "8: 8 available")

	said("pause console --reason fire", "sale "+created.Sale+" is paused")
	said("pause console", "is paused")
	said("requests console", "REQUEST")
	said("resume console", "is open")
	buy(t, strings.TrimPrefix(url, "http://"), "console", "ada")
	await(t, "the request to be listed", func() bool {
		_, out, _ := sale("requests console --json --state held")
		return strings.Count(out, "\n") == 1 && strings.Contains(out, created.Sale)
	})
	said("close console --actor mia --reason over", "is closed since", "1 held")
	refused("resume console", "sale_closed")
	refused("update console --quantity 9", "sale_closed")
	said("watch console --until-closed", "console  closed")

	if code, _, complaints := try(t, "sale", "list", "--url", url); code != exitFailed || !strings.Contains(complaints, "unauthorized") {
		t.Errorf("list without a token: exit %d, %s", code, complaints)
	}
}
