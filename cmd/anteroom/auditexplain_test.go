package main

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit/explain"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// soldOutWorld has a sale of one unit, which ada has, and for which bob waits.
func soldOutWorld(t *testing.T) (w *world, created client.Sale, ada, bob string) {
	t.Helper()
	w = newWorld(t, devstacktest.Embedded(t), 2)
	address := w.serveHere(t).public.Addr().String()
	created = w.openSale(t, address, client.NewSale{Product: "console", Quantity: 1})
	ada = buy(t, address, "console", "ada")
	await(t, "ada's hold", func() bool { return state(t, address, ada) == "held" })
	bob = buy(t, address, "console", "bob")
	await(t, "bob's place", func() bool { return state(t, address, bob) == "waitlisted" })
	if _, err := w.client(t, address).Confirm(t.Context(), ada, "pay-1"); err != nil {
		t.Fatal(err)
	}
	await(t, "ada's unit being sold", func() bool { return state(t, address, ada) == "confirmed" })
	return w, created, ada, bob
}

// TestAuditExplain tells requests' stories on the embedded stack.
func TestAuditExplain(t *testing.T) {
	w, created, ada, bob := soldOutWorld(t)
	ask := func(arguments ...string) (code int, out, complaints string) {
		t.Helper()
		return try(t, append([]string{"audit", "explain", "--kafka-brokers", w.kafka, "--topic", w.topic}, arguments...)...)
	}
	adas, bobs := w.parse(t, ada), w.parse(t, bob)
	sign := func(t *testing.T, keys string, change func(*ticket.Ticket)) string {
		t.Helper()
		parsed, err := ticket.ParseKeys("keys", keys)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := ticket.NewKeyring(parsed)
		if err != nil {
			t.Fatal(err)
		}
		made := bobs
		change(&made)
		text, err := ring.Sign(made)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	other, err := ticket.GenerateKey("other")
	if err != nil {
		t.Fatal(err)
	}
	otherKeys := ticket.Keys{other}.Setting()
	same := func(*ticket.Ticket) {}
	keys := []string{"--ticket-keys", w.secrets.TicketKeys}
	for name, c := range map[string]struct {
		request string
		flags   []string
		code    int
		says    []string
	}{
		"a public id":       {bobs.PublicID(), nil, exitDone, []string{"Request " + bobs.PublicID() + ": waits for a unit", "went to request " + adas.PublicID(), "sale " + created.Sale, "policy waitlist"}},
		"another":           {adas.PublicID(), nil, exitDone, []string{"confirmed", `"pay-1"`, "0 requests of its sale", "hold was decided"}},
		"a ticket":          {bob, keys, exitDone, []string{"Request " + bobs.PublicID()}},
		"without keys":      {bob, nil, exitDone, []string{"Request " + bobs.PublicID(), "signature was not checked"}},
		"a forged ticket":   {sign(t, otherKeys, same), keys, exitFalse, []string{"forged, or signed by a key that is not among"}},
		"a claim too much":  {sign(t, otherKeys, func(t *ticket.Ticket) { t.Quantity = 7 }), nil, exitFalse, []string{"is forged", "not so in the log"}},
		"another product":   {sign(t, otherKeys, func(t *ticket.Ticket) { t.Product = "lamp" }), nil, exitFalse, []string{"is forged"}},
		"another sale":      {sign(t, otherKeys, func(t *ticket.Ticket) { t.Sale++ }), nil, exitFalse, []string{"is forged"}},
		"another time":      {sign(t, otherKeys, func(t *ticket.Ticket) { t.AcceptedAt++ }), nil, exitFalse, []string{"is forged"}},
		"another log":       {sign(t, w.secrets.TicketKeys, func(t *ticket.Ticket) { t.Log[0]++ }), keys, exitFalse, []string{"of another log"}},
		"a ticket of none":  {sign(t, w.secrets.TicketKeys, func(t *ticket.Ticket) { t.Offset = 100_000 }), keys, exitFalse, []string{"ends before offset"}},
		"a sale":            {created.Sale, nil, exitFalse, []string{created.Sale + " is a sale.create"}},
		"past the end":      {ticket.PublicID(bobs.Partition, 100_000), nil, exitFalse, []string{"ends before offset"}},
		"no such partition": {"7-0", nil, exitFalse, []string{"no partition 7, but 0 to 1"}},
		"nonsense":          {"nonsense", keys, exitMisuse, []string{"neither by a public id"}},
		"a leading zero":    {"00-1", nil, exitMisuse, []string{"neither by a public id"}},
		"bad keys":          {bob, []string{"--ticket-keys", "k1"}, exitMisuse, []string{"ANTEROOM_TICKET_KEYS", "colon"}},
		"no request":        {"", nil, exitMisuse, []string{"neither by a public id"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, complaints := ask(append(c.flags, c.request)...)
			for _, says := range c.says {
				if code != c.code || !strings.Contains(out+complaints, says) {
					t.Errorf("exit %d, want %d, saying %q; it said:\n%s%s", code, c.code, says, out, complaints)
				}
			}
			if strings.Contains(out+complaints, bob) {
				t.Error("it printed a ticket")
			}
		})
	}

	var told struct {
		Found  bool          `json:"found"`
		Ticket string        `json:"ticket"`
		Why    string        `json:"why"`
		Story  explain.Story `json:"story"`
	}
	code, out, complaints := ask("--json", bob)
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != exitDone || complaints != "" {
		t.Fatalf("exit %d, %v, %s%s", code, err, out, complaints)
	}
	story := &told.Story
	if !told.Found || told.Ticket != "unverified" || story.ID != bobs.PublicID() || story.State != sale.Waitlisted || story.LastUnit == nil ||
		int64(story.LastUnit.Request) != adas.Offset || story.Appended == 0 || int64(story.Accepted) != bobs.AcceptedAt || story.RequestsBefore != 1 {
		t.Errorf("told %s", out)
	}
	code, out, _ = ask("--json", created.Sale)
	if code != exitFalse || !strings.Contains(out, `"found": false`) || !strings.Contains(out, "sale.create") {
		t.Errorf("a sale: exit %d, %s", code, out)
	}
	if code, _, complaints := try(t, "audit", "explain", "0-1"); code != exitMisuse || !strings.Contains(complaints, "ANTEROOM_KAFKA_BROKERS") {
		t.Errorf("without brokers: exit %d, %s", code, complaints)
	}
	if code, _, complaints := try(t, "audit", "explain", "0-1", "--kafka-brokers", w.kafka, "--topic", w.topic+"-not"); code != exitFailed || !strings.Contains(complaints, "opening the log") {
		t.Errorf("no such topic: exit %d, %s", code, complaints)
	}
}
