package whatif

import (
	"cmp"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

var updateReports = flag.Bool("update-reports", false, "write the comparisons of logs anew")

// salesMade gives the sales that a log made, in their order.
func salesMade(n *audittest.Plain) []sale.Offset {
	var made []sale.Offset
	for i, changed := range n.Sales {
		if slices.ContainsFunc(changed, func(s sale.Sale) bool { return s.ID == sale.Offset(i) }) {
			made = append(made, sale.Offset(i))
		}
	}
	return made
}

// outcome gives what a plain replay says of a sale.
func plainOutcome(n *audittest.Plain, id sale.Offset) (o Outcome, ends map[sale.Offset]End) {
	o.begin(n.Records[id].Body.(sale.Create))
	for _, s := range n.Core.Snapshot().Sales {
		if s.ID == id {
			o.Stage, o.Quantity, o.Available, o.Reserved, o.Held, o.Confirmed = s.Stage, s.Quantity, s.Available, s.Reserved, s.Held, s.Confirmed
			o.FillRate = float64(s.Confirmed) / float64(s.Quantity)
		}
	}
	ends = map[sale.Offset]End{}
	for request := id + 1; request < sale.Offset(len(n.Records)); request++ {
		b, ok := n.Records[request].Body.(sale.Buy)
		if !ok || b.Sale != id || n.Records[request].Product != n.Records[id].Product {
			continue
		}
		var units bool
		var appended sale.Time
		for _, d := range n.Decisions {
			if d.Kind != sale.OfRequest || d.Request.Offset != request {
				continue
			}
			if _, seen := ends[request]; !seen {
				appended = d.Time
			}
			ends[request] = End{d.Request.State, d.Request.Reason}
			if given := d.Request.State == sale.Held || d.Request.State == sale.Reserved; given && !units {
				units = true
				o.Granted++
				if d.Cause > request {
					o.Waits.Requests++
					o.Waits.Total += d.Time - appended
					o.Waits.Longest = max(o.Waits.Longest, d.Time-appended)
				}
			}
		}
	}
	counts := map[End]int64{}
	for _, end := range ends {
		counts[end]++
	}
	for end, requests := range counts {
		o.Counts = append(o.Counts, Count{end.State, end.Reason, requests})
	}
	slices.SortFunc(o.Counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Reason, b.Reason))
	})
	return o, ends
}

// TestSameSettings shows that settings that are the same change nothing.
func TestSameSettings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := audittest.Decide(saletest.Log(t))
		made := salesMade(n)
		if len(made) == 0 {
			return
		}
		id := rapid.SampledFrom(made).Draw(t, "sale")
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{saletest.Entries(n.Records)}}}
		got, err := Compare(t.Context(), h, 0, id, sale.Change{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Parts != nil || got.Otherwise != 0 || len(got.First) != 0 || got.Commands != 0 || len(got.Notes) != 0 {
			t.Errorf("the same settings end otherwise: %+v", got)
		}
		if d := diff.Diff(got.Was, got.Would); d != "" {
			t.Errorf("the same settings (-was +would):\n%s", d)
		}
	})
}

// drawChange draws other settings, most of which a sale can have.
func drawChange(t *rapid.T, of sale.Settings) sale.Change {
	number := func(name string, from ...int64) *int64 {
		if !rapid.Bool().Draw(t, name+"?") {
			return nil
		}
		return new(rapid.SampledFrom(from).Draw(t, name))
	}
	change := sale.Change{
		Quantity: number("quantity", 1, 2, 3, 5, 8), HoldSeconds: number("hold", 1, 2, 4), MaxHoldSeconds: number("max hold", 4, 5, 6),
		PerBuyerLimit: number("limit", 4, of.PerBuyerLimit, 1), MaxQuantityPerRequest: number("most", 1, 2), WaitlistCapacity: number("capacity", 0, 1, 5),
		AdmitPerSecond: number("pace", 0, 1, 3), MaxActiveHolds: number("holds", 0, 1, 2),
	}
	if rapid.Bool().Draw(t, "policy?") {
		change.Policy = new(rapid.SampledFrom([]sale.Policy{sale.PolicyWaitlist, sale.PolicyQueue, sale.PolicyReject}).Draw(t, "policy"))
	}
	if rapid.IntRange(0, 3).Draw(t, "closes?") == 0 {
		change.ClosesAt = new(saletest.Epoch + sale.Time(rapid.IntRange(0, 60_000).Draw(t, "closes")))
	}
	return change
}

// TestEqualsAnEditedLog holds other settings against a plain replay of the
// log with the sale's creation edited.
func TestEqualsAnEditedLog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		was := audittest.Decide(saletest.Log(t))
		made := salesMade(was)
		if len(made) == 0 {
			return
		}
		id := rapid.SampledFrom(made).Draw(t, "sale")
		created := was.Records[id].Body.(sale.Create)
		change := drawChange(t, created.Settings)
		entries := saletest.Entries(was.Records)
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}}}
		if rapid.Bool().Draw(t, "from a snapshot") {
			h.Snapshots = audittest.Snapshot{Entries: entries, At: sale.Offset(rapid.IntRange(0, int(id)).Draw(t, "snapshot"))}
		}
		got, err := Compare(t.Context(), h, 0, id, change)
		edited := slices.Clone(was.Records)
		if err == nil {
			body := created
			body.Rules, body.Settings = got.Would.Rules, got.Would.CreatedWith
			body.Later = body.Settings != firstSettings(body.Settings)
			edited[id].Body = body
			if d := diff.Diff(change.Of(created.Settings), body.Settings, cmpopts.IgnoreFields(sale.Settings{}, "WaitlistCapacity", "MaxHoldSeconds")); d != "" {
				t.Fatalf("other settings than asked for: %s", d)
			}
		}
		switch {
		case errors.Is(err, sale.ErrInvalidSettings):
			if change.Of(created.Settings).Validate() == nil {
				t.Fatalf("refused: %v", err)
			}
			return
		case err != nil:
			t.Fatal(err)
		case len(got.Notes) > 0 && strings.Contains(got.Notes[len(got.Notes)-1], "schema"):
			return // a plain replay would refuse such a sale
		}
		would := audittest.Decide(edited)
		wasOutcome, wasEnds := plainOutcome(was, id)
		wouldOutcome, wouldEnds := plainOutcome(would, id)
		if d := diff.Diff([2]Outcome{wasOutcome, wouldOutcome}, [2]Outcome{got.Was, got.Would}); d != "" {
			t.Fatalf("outcomes (-plain +what-if):\n%s", d)
		}
		var differences []Difference
		for request := range sale.Offset(len(edited)) {
			if a, b := wasEnds[request], wouldEnds[request]; a != b {
				differences = append(differences, Difference{Request: ticket.PublicID(0, int64(request)), Was: a, Would: b})
			}
		}
		if got.Otherwise != int64(len(differences)) {
			t.Fatalf("%d end otherwise, %d in a plain replay", got.Otherwise, len(differences))
		}
		first := differences[:min(10, len(differences))]
		if d := diff.Diff(first, got.First, cmpopts.IgnoreUnexported(Difference{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("the first (-plain +what-if):\n%s", d)
		}
		if got.Requests != int64(len(wasEnds)) {
			t.Fatalf("%d requests, there were %d", got.Requests, len(wasEnds))
		}
		checkParting(t, got, was.Decisions, would.Decisions)
		checkCommands(t, got, was, would)
	})
}

// checkCommands holds commands with another result, and requests that only get
// units with the other settings, against plain replays.
func checkCommands(t *rapid.T, got *Comparison, was, would *audittest.Plain) {
	results := func(n *audittest.Plain) map[sale.Offset]sale.Code {
		of := map[sale.Offset]sale.Code{}
		for _, d := range n.Decisions {
			if d.Kind == sale.OfCommand && n.Records[d.Cause].Product == got.Product {
				of[d.Cause] = d.Result.Code
			}
		}
		return of
	}
	var commands, unpaid int64
	other := results(would)
	for command, code := range results(was) {
		if code != other[command] {
			commands++
			if _, ok := was.Records[command].Body.(sale.Confirm); ok && code == sale.CodeDone {
				unpaid++
			}
		}
	}
	_, id, _ := ticket.ParsePublicID(got.Sale)
	given := func(n *audittest.Plain) map[sale.Offset]bool {
		of := map[sale.Offset]bool{}
		for _, d := range n.Decisions {
			if d.Kind == sale.OfRequest && d.Request.Sale == sale.Offset(id) && (d.Request.State == sale.Held || d.Request.State == sale.Reserved) {
				of[d.Request.Offset] = true
			}
		}
		return of
	}
	var only int64
	had := given(was)
	for request := range given(would) {
		if !had[request] {
			only++
		}
	}
	if got.Commands != commands || got.Unpaid != unpaid || got.OnlyWould != only {
		t.Fatalf("%d commands and %d confirmations otherwise, %d given units; in plain replays %d, %d, %d", got.Commands, got.Unpaid, got.OnlyWould, commands, unpaid, only)
	}
}

func checkParting(t *rapid.T, got *Comparison, was, would []sale.Decision) {
	parts := sale.None
	for i := 0; i < len(was) || i < len(would); i++ {
		if i < len(was) && i < len(would) && was[i] == would[i] {
			continue
		}
		parts = 1 << 40
		if i < len(was) {
			parts = was[i].Cause
		}
		if i < len(would) {
			parts = min(parts, would[i].Cause)
		}
		break
	}
	if (got.Parts == nil) != (parts == sale.None) || got.Parts != nil && *got.Parts != parts {
		t.Fatalf("they are told to part at %v, they do at %d", got.Parts, parts)
	}
}

// TestCompare shows a sale with other settings, and what is said about it.
func TestCompare(t *testing.T) {
	t.Parallel()
	waitlist := audittest.File(t, "../../../testdata/logs/waitlist-first-waiter-gets-the-freed-unit.jsonl")
	first := audittest.File(t, "../../../testdata/logs/first-come-first-served.jsonl")
	many := []event.Entry{first[0], first[1]}
	for i := range 20 {
		many = append(many, saletest.Entries([]sale.Record{{Offset: sale.Offset(i + 2), Time: first[1].Time, Product: "ring", Body: sale.Buy{Sale: 1, Buyer: sale.Buyer("b" + string(rune('a'+i))), Quantity: 1}}})...)
	}
	golden := func(name string, text string) {
		path := "testdata/reports/" + name + ".txt"
		if *updateReports {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff.Diff(strings.Split(string(want), "\n"), strings.Split(text, "\n")); d != "" {
			t.Errorf("(-%s +compared):\n%s", path, d)
		}
	}
	queue, reject := sale.PolicyQueue, sale.PolicyReject
	for name, c := range map[string]struct {
		entries []event.Entry
		change  sale.Change
		says    []string
	}{
		"fewer places": {waitlist, sale.Change{Policy: &queue}, []string{"policy", "never confirms it", "absolute"}},
		"more units":   {many, sale.Change{Quantity: new(int64(15))}, []string{"quantity, when created", "requests end otherwise", "was sold_out, would be held", "more\n", "get units with the other settings alone"}},
		"later rules":  {first, sale.Change{Policy: &reject}, []string{"rules 2 are taken instead", "let them all in"}},
		"a waitlist":   {first, sale.Change{Policy: new(sale.PolicyWaitlist)}, []string{"one with 10 places is taken"}},
	} {
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{c.entries}}}
		got, err := Compare(t.Context(), h, 0, 1, c.change)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden(strings.ReplaceAll(name, " ", "-"), got.Text())
		for _, says := range c.says {
			if text := got.Text(); !strings.Contains(text, says) {
				t.Errorf("%s does not say %q:\n%s", name, says, text)
			}
		}
	}
}

// TestRefuses shows what is said of a sale that is none.
func TestRefuses(t *testing.T) {
	t.Parallel()
	entries := audittest.File(t, "../../../testdata/logs/second-sale.jsonl")
	refused := sale.None
	n := &audittest.Plain{Core: sale.New()}
	var changes sale.Changes
	for i := range entries {
		if err := n.Core.Apply(entries[i].Record(), &changes); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range changes.Decisions {
		if _, ok := entries[d.Cause].Record().Body.(sale.Create); ok && d.Kind == sale.OfCommand && d.Result.Code == sale.CodeAlreadyOpen {
			refused = d.Cause
		}
	}
	if refused == sale.None {
		t.Fatal("no sale.create of the log is refused")
	}
	h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries, nil}}}
	for name, c := range map[string]struct {
		partition int32
		id        sale.Offset
		change    sale.Change
		is        error
		says      string
	}{
		"no sale.create":    {0, 0, sale.Change{}, ErrNoSale, "0-0 is no sale.create"},
		"a refused one":     {0, refused, sale.Change{}, ErrNoSale, "was refused"},
		"past the end":      {1, 0, sale.Change{}, ErrNoSale, "ends before offset 0"},
		"no such partition": {2, 0, sale.Change{}, ErrNoSale, "no partition 2"},
		"no units":          {0, 1, sale.Change{Quantity: new(int64)}, sale.ErrInvalidSettings, "quantity must be from 1"},
		"no such policy":    {0, 1, sale.Change{Policy: new(sale.Policy("lottery"))}, sale.ErrInvalidSettings, `not "lottery"`},
	} {
		_, err := Compare(t.Context(), h, c.partition, c.id, c.change)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v saying %q", name, err, c.is, c.says)
		}
	}
	if partition, id, err := LatestSale(t.Context(), h, "ring"); err != nil || partition != 0 || id <= 1 {
		t.Errorf("the latest sale is %d-%d, %v", partition, id, err)
	}
	if _, _, err := LatestSale(t.Context(), h, "unheard-of"); !errors.Is(err, ErrNoSale) {
		t.Errorf("a product without a sale: %v", err)
	}
}
