package event_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func decisionTopic() event.TopicID { return event.TopicID{0: 1, 15: 2} }

const decisionNow = sale.Time(1_750_000_000_123)

func encodeDecisions(t *testing.T, b *event.DecisionBatch) []byte {
	t.Helper()
	encoded, err := b.Encode(decisionTopic(), 3, decisionNow)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// decoded reads the events back and checks what all of them have in common.
func decoded(t *testing.T, encoded []byte) []*event.Decision {
	t.Helper()
	var all []*event.Decision
	for key, value := range event.DecisionLines(encoded) {
		d, err := event.DecodeDecision(value)
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if d.Log != decisionTopic().String() || d.Partition != 3 || string(d.Product) != string(key) {
			t.Errorf("key %q, value %s", key, value)
		}
		if want := fmt.Sprintf("3-%d-%d", d.Cause, d.Index); d.ID != want {
			t.Errorf("id %s, want %s", d.ID, want)
		}
		if n := len(all); n > 0 && (d.Cause < all[n-1].Cause || d.Cause == all[n-1].Cause && d.Index <= all[n-1].Index) {
			t.Errorf("%s follows %s", d.ID, all[n-1].ID)
		}
		all = append(all, d)
	}
	return all
}

func soldOut(offset, of sale.Offset) *sale.Decision {
	return &sale.Decision{Cause: offset, Time: decisionNow, Kind: sale.OfRequest, Default: true, Request: sale.Request{
		Offset: offset, Sale: of, Product: "ring", Quantity: 1, State: sale.SoldOut, Reason: sale.ReasonSoldOut,
		First: sale.None, HeldSince: sale.None, Cause: offset, DecidedAt: decisionNow,
	}}
}

func row(cause sale.Offset, index int, r sale.Request) *sale.Decision {
	r.Product, r.Sale, r.Cause, r.DecidedAt, r.Buyer = "ring", 1, cause, decisionNow, "k1:secret-pseudonym"
	return &sale.Decision{Cause: cause, Index: index, Time: decisionNow, Kind: sale.OfRequest, Request: r}
}

// What is on the topic, in full, for one of each kind.
func TestDecisionValues(t *testing.T) {
	t.Parallel()
	b := event.NewDecisionBatch()
	b.AddSale(sale.Sale{
		ID: 1, Product: "ring", Rules: 2, BuyerKey: "k1", Stage: sale.StageOpen, CreatedAt: decisionNow, OpenedAt: decisionNow,
		Version: 1, Revision: 11, Held: 2, Requests: 5, SoldOut: 3,
		Settings: sale.Settings{
			Quantity: 2, HoldSeconds: 30, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue,
			ClosesAt: decisionNow + 1000, CheckoutURL: "https://shop.example/pay",
		},
	}, event.Standing{})
	b.Add(row(7, 0, sale.Request{
		Offset: 7, Quantity: 1, AcceptedAt: decisionNow - 1, State: sale.Held, First: sale.None, HeldSince: 7,
	}))
	b.Add(soldOut(8, 1))
	b.Add(row(9, 0, sale.Request{
		Offset: 9, Quantity: 1, State: sale.Rejected, Reason: sale.ReasonDuplicate, First: 7, HeldSince: sale.None,
	}))
	b.Add(row(9, 1, sale.Request{
		Offset: 7, Quantity: 1, State: sale.Held, First: sale.None, HeldSince: 7, HoldFor: 60_000,
	}))
	b.Add(&sale.Decision{Cause: 10, Time: decisionNow, Kind: sale.OfStart, Start: sale.Start{Below: 10, At: decisionNow, Cause: 10}})
	b.Add(soldOut(11, 1))
	b.Add(&sale.Decision{Cause: 12, Time: decisionNow, Kind: sale.OfCommand, Result: sale.Result{
		Command: 12, Product: "ring", Sale: 1, Request: 7, Code: sale.CodeOtherPayment, Time: decisionNow,
	}})
	b.Add(row(13, 0, sale.Request{
		Offset: 7, Quantity: 1, State: sale.Confirmed, First: sale.None, HeldSince: 7, Payment: "pay-1",
	}))
	b.Add(&sale.Decision{Cause: 13, Index: 1, Time: decisionNow, Kind: sale.OfCommand, Result: sale.Result{
		Command: 13, Product: "ring", Sale: 1, Request: 7, Time: decisionNow,
	}})
	encoded := encodeDecisions(t, b)
	decoded(t, encoded)

	common := func(cause, index int, kind string) string {
		return fmt.Sprintf(`ring	{"id":"3-%d-%d","type":"%s","log":"01000000000000000000000000000002","partition":3,"cause":%d,"index":%d,"time":"2025-06-15T15:06:40.123Z","product":"ring","sale":"3-1"`,
			cause, index, kind, cause, index)
	}
	snapshot := `,"snapshot":{"sale":"3-1","product":"ring","state":"open","quantity":2,"hold_seconds":30,"per_buyer_limit":1,"max_quantity_per_request":1,"policy":"queue","closes_at":"2025-06-15T15:06:41.123Z","checkout_url":"https://shop.example/pay",` +
		`"available":0,"reserved":0,"held":2,"confirmed":0,"waitlisted":0,"parked":0,"requests":5,"sold_out":3,"rejected":0,"version":1,"created_at":"2025-06-15T15:06:40.123Z","opened_at":"2025-06-15T15:06:40.123Z"}}`
	want := strings.Join([]string{
		common(7, 0, "request.held") + `,"request":"3-7","state":"held","quantity":1,"requested_at":"2025-06-15T15:06:40.122Z"}`,
		common(8, 0, "requests.sold_out") + `,"state":"sold_out","reason":"sold_out","from":8,"to":12,"count":2}`,
		common(9, 0, "request.rejected") + `,"request":"3-9","state":"rejected","reason":"duplicate","quantity":1,"first":"3-7"}`,
		common(9, 1, "request.extended") + `,"request":"3-7","state":"held","quantity":1,"hold_ms":60000}`,
		strings.Replace(common(10, 0, "hold.started"), `,"product":"ring","sale":"3-1"`, "", 1)[len("ring"):] + `,"below":10,"at":"2025-06-15T15:06:40.123Z"}`,
		common(11, 1, "sale.created") + snapshot,
		common(11, 2, "sale.opened") + snapshot,
		common(11, 3, "sale.sold_out") + snapshot,
		common(12, 0, "command.refused") + `,"request":"3-7","command":"3-12","code":"other_payment"}`,
		common(13, 0, "request.confirmed") + `,"request":"3-7","state":"confirmed","quantity":1,"payment_reference":"pay-1"}`,
		common(13, 1, "command.done") + `,"request":"3-7","command":"3-13"}`,
	}, "\n") + "\n"
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(encoded), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(string(encoded), "pseudonym") || strings.Contains(string(encoded), "buyer\"") {
		t.Error("a buyer is in it")
	}
}

// Losers cost nothing: however many there are, and whatever comes in between,
// a batch has one event for each sale and outcome.
func TestDecisionRuns(t *testing.T) {
	t.Parallel()
	b := event.NewDecisionBatch()
	for offset := sale.Offset(100); offset < 1100; offset++ {
		switch {
		case offset%100 == 50:
			b.Add(row(offset, 0, sale.Request{Offset: offset, Quantity: 1, State: sale.Rejected, Reason: sale.ReasonDuplicate, First: 7, HeldSince: sale.None}))
		case offset%3 == 0:
			closed := soldOut(offset, 2)
			closed.Request.State, closed.Request.Reason = sale.Rejected, sale.ReasonClosed
			b.Add(closed)
		default:
			b.Add(soldOut(offset, 1+offset%2*2))
		}
	}
	counts := make(map[string]int64)
	for _, d := range decoded(t, encodeDecisions(t, b)) {
		name := fmt.Sprint(d.Type, " ", d.Sale, " ", d.Reason)
		if d.Count > 0 {
			counts[name] += d.Count
			if *d.From < 100 || *d.To > 1100 || *d.From >= *d.To || d.Cause != *d.From {
				t.Errorf("%s: [%d, %d)", d.ID, *d.From, *d.To)
			}
		} else {
			counts[name]++
		}
		counts["events"]++
	}
	want := map[string]int64{
		"events": 13, "request.rejected 3-1 duplicate": 10, "requests.rejected 3-2 closed": 329,
		"requests.sold_out 3-1 sold_out": 327, "requests.sold_out 3-3 sold_out": 334,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Which events a sale's change gives.
func TestDecisionSteps(t *testing.T) {
	t.Parallel()
	scheduled := sale.Sale{Stage: sale.StageScheduled, Available: 1}
	open := sale.Sale{Stage: sale.StageOpen, OpenedAt: 1, Available: 1}
	sold := sale.Sale{Stage: sale.StageOpen, OpenedAt: 1}
	paused := sale.Sale{Stage: sale.StagePaused, OpenedAt: 1, Available: 1}
	closed := sale.Sale{Stage: sale.StageClosed, OpenedAt: 1, ClosedAt: 2, Available: 1}
	retired := sale.Sale{Stage: sale.StageClosed, OpenedAt: 1, ClosedAt: 2, RetiredAt: 3, Available: 1}
	never := sale.Sale{Stage: sale.StageClosed, ClosedAt: 2, Available: 1}
	for name, c := range map[string]struct {
		was  *sale.Sale
		is   sale.Sale
		want string
	}{
		"made":              {nil, scheduled, "created"},
		"made open":         {nil, open, "created opened"},
		"made and sold":     {nil, sold, "created opened sold_out"},
		"made and over":     {nil, closed, "created opened closed"},
		"opened":            {&scheduled, open, "opened"},
		"opened and paused": {&scheduled, paused, "opened paused"},
		"called off":        {&scheduled, never, "closed"},
		"sold":              {&open, sold, "sold_out"},
		"still sold":        {&sold, sold, "changed"},
		"back on sale":      {&sold, open, "changed"},
		"paused":            {&open, paused, "paused"},
		"resumed":           {&paused, open, "resumed"},
		"resumed and sold":  {&paused, sold, "resumed sold_out"},
		"closed":            {&open, closed, "closed"},
		"closed in a pause": {&paused, closed, "closed"},
		"after its end":     {&closed, closed, "changed"},
		"retired":           {&closed, retired, "retired"},
		"over and retired":  {&open, retired, "closed retired"},
		"after that":        {&retired, retired, "changed"},
		"a hold of it":      {&open, open, "changed"},
	} {
		var was event.Standing
		if c.was != nil {
			was = event.StandingOf(c.was)
		}
		c.is.Revision = 5
		b := event.NewDecisionBatch()
		b.AddSale(c.is, was)
		var got []string
		for _, d := range decoded(t, encodeDecisions(t, b)) {
			got = append(got, strings.TrimPrefix(string(d.Type), "sale."))
			if d.Time != event.Instant(decisionNow) {
				t.Errorf("%s: time %v", name, d.Time)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// Two sales that one record changed, such as a tick, have names of their own.
func TestDecisionNamesAreUnique(t *testing.T) {
	t.Parallel()
	b := event.NewDecisionBatch()
	b.AddSale(sale.Sale{ID: 1, Product: "ring", Stage: sale.StageOpen, Revision: 9}, event.Standing{})
	b.AddSale(sale.Sale{ID: 2, Product: "lamp", Stage: sale.StageClosed, Revision: 9}, event.Standing{})
	b.Add(&sale.Decision{Cause: 9, Time: 5, Kind: sale.OfStart})
	seen := make(map[string]bool)
	for _, d := range decoded(t, encodeDecisions(t, b)) {
		if seen[d.ID] {
			t.Errorf("%s twice", d.ID)
		}
		seen[d.ID] = true
		if d.Time != 5 {
			t.Errorf("%s: time %d", d.ID, d.Time)
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d events: %v", len(seen), seen)
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	for at, want := range map[event.Instant]string{
		0: "1970-01-01T00:00:00.000Z", 1_750_000_000_007: "2025-06-15T15:06:40.007Z",
		1<<63 - 1: "9999-12-31T23:59:59.999Z", -1 << 63: "0000-01-01T00:00:00.000Z",
	} {
		text, err := at.MarshalText()
		if err != nil || string(text) != want {
			t.Errorf("%d is %s, want %s (%v)", at, text, want, err)
		}
	}
	var read event.Instant
	if err := read.UnmarshalText([]byte("2025-06-15T17:06:40.007+02:00")); err != nil || read != 1_750_000_000_007 {
		t.Errorf("%d, %v", read, err)
	}
	if err := read.UnmarshalText([]byte("tomorrow")); err == nil {
		t.Error("read a time that is none")
	}
}
