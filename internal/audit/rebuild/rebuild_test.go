package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// ownersDecisions are what an owner publishes of a log, cut into its batches.
func ownersDecisions(t *rapid.T, log *audittest.Log) (lines []*event.Decision, canonical []sale.Decision, final []sale.Sale) {
	core, standings := sale.New(), make(map[sale.Offset]event.Standing)
	var changes sale.Changes
	for i := range log.Entries[0] {
		if err := core.Apply(log.Entries[0][i].Record(), &changes); err != nil {
			t.Fatal(err)
		}
		if i < len(log.Entries[0])-1 && rapid.IntRange(0, 9).Draw(t, "cut") > 0 {
			continue
		}
		b := event.NewDecisionBatch()
		for _, s := range changes.Sales() {
			b.AddSale(s, standings[s.ID])
			standings[s.ID] = event.StandingOf(&s)
		}
		for j := range changes.Decisions {
			b.Add(&changes.Decisions[j])
		}
		canonical = append(canonical, changes.Decisions...)
		encoded, err := b.Encode(log.Topic(), 0, core.Now())
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, decoded(t, encoded)...)
		changes.Reset()
	}
	return lines, canonical, core.Snapshot().Sales
}

func decoded(t *rapid.T, lines []byte) (all []*event.Decision) {
	for _, value := range event.DecisionLines(lines) {
		d, err := event.DecodeDecision(value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// TestPublishesWhatIsMissing: an owner has published its batches up to
// any decision when the ledger is lost, perhaps with repetitions, and after the
// decisions of another log. A reader that leaves out what is not above the last
// that it saw is told of every decision, and of every step that a sale takes
// once, by then.
func TestPublishesWhatIsMissing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		log := audittest.Of(saletest.Entries(saletest.Log(rt)))
		lines, canonical, final := ownersDecisions(rt, log)
		published := publishedDecisions{{Cause: 1 << 40, Log: "another"}}
		published = append(published, lines[:rapid.IntRange(0, len(lines)).Draw(rt, "published")]...)
		end := len(published)
		from := rapid.IntRange(1, end).Draw(rt, "repeated from")
		published = append(published, published[from:rapid.IntRange(from, end).Draw(rt, "repeated to")]...)
		ledger := new(memoryLedger)
		config := Config{
			History: &audit.History{Log: log}, Ledger: ledger, Published: published, BatchRecords: rapid.IntRange(1, 40).Draw(rt, "records"),
		}
		if _, err := Run(context.Background(), config); err != nil {
			rt.Fatal(err)
		}
		told := published[1:]
		begins := sale.None
		for _, d := range told {
			begins = max(begins, d.Cause)
		}
		once := make(map[string]bool)
		for _, d := range told {
			if d.Cause < begins { // else it is told once more
				once[d.Sale+string(d.Type)] = true
			}
		}
		var last *event.Decision
		for _, b := range ledger.batches {
			for _, d := range decoded(rt, b.Decisions) {
				if d.Cause < b.From || d.Cause >= b.To {
					rt.Fatalf("decision %s is in the batch [%d, %d)", d.ID, b.From, b.To)
				}
				if last != nil && (d.Cause < last.Cause || (d.Cause == last.Cause && d.Index <= last.Index)) {
					rt.Fatalf("decision %s comes after %s", d.ID, last.ID)
				}
				if d.Type == event.SaleCreated || d.Type == event.SaleOpened || d.Type == event.SaleClosed {
					step := d.Sale + string(d.Type)
					if once[step] {
						rt.Fatalf("%s of sale %s is published twice", d.Type, d.Sale)
					}
					once[step] = true
				}
				last = d
				told = append(told, d)
			}
		}
		wantTold(rt, told, canonical, final)
	})
}

// wantTold reads as a reader that goes by (Cause, Index).
func wantTold(t *rapid.T, told []*event.Decision, canonical []sale.Decision, final []sale.Sale) {
	ids, covered := make(map[string]bool), make(map[sale.Offset]bool)
	steps := make(map[string]map[event.DecisionType]bool)
	latest := make(map[string]*event.SaleSnapshot)
	seen := event.Decision{Cause: sale.None}
	for _, d := range told {
		if d.Cause < seen.Cause || (d.Cause == seen.Cause && d.Index <= seen.Index) {
			continue
		}
		seen = *d
		if d.Snapshot != nil {
			if steps[d.Sale] == nil {
				steps[d.Sale] = make(map[event.DecisionType]bool)
			}
			steps[d.Sale][d.Type], latest[d.Sale] = true, d.Snapshot
			continue
		}
		ids[d.ID] = true
		if d.From != nil {
			for offset := *d.From; offset < *d.To; offset++ {
				covered[offset] = true
			}
		}
	}
	for _, d := range canonical {
		id := fmt.Sprintf("0-%d-%d", d.Cause, d.Index)
		if !ids[id] && (d.Kind != sale.OfRequest || !d.Default || !covered[d.Request.Offset]) {
			t.Fatalf("decision %s was never told", id)
		}
	}
	for i := range final {
		s, name := &final[i], fmt.Sprintf("0-%d", final[i].ID)
		is := event.StandingOf(s)
		for step, taken := range map[event.DecisionType]bool{
			event.SaleCreated: true, event.SaleOpened: is.Opened, event.SaleClosed: s.Stage == sale.StageClosed, event.SaleSoldOut: is.SoldOut,
		} {
			if taken && !steps[name][step] {
				t.Fatalf("%s of sale %s was never told; %v were", step, name, steps[name])
			}
		}
		if got := latest[name]; got.State != s.Stage || got.Available != s.Available || got.Requests != s.Requests || got.Version != s.Version {
			t.Fatalf("sale %s was last told as %+v, it is %+v", name, got, s)
		}
	}
}

// TestPublishesNothing where there is no topic of decisions, and nothing
// again where all is published.
func TestPublishesNothing(t *testing.T) {
	t.Parallel()
	log := audittest.Of(saletest.Entries(rapid.Custom(saletest.Log).Example(4)))
	for what, published := range map[string]Published{
		"no topic": nil, "all published": publishedDecisions{{Cause: sale.Offset(len(log.Entries[0])), Log: log.Topic().String()}},
	} {
		ledger := new(memoryLedger)
		done, err := Run(t.Context(), Config{History: &audit.History{Log: log}, Ledger: ledger, Published: published, BatchRecords: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range ledger.batches {
			if len(b.Decisions) > 0 {
				t.Errorf("%s: [%d, %d) has decisions", what, b.From, b.To)
			}
		}
		if !ledger.finished || done.Records != int64(len(log.Entries[0])) || done.Partitions[0].Publishes < done.Partitions[0].To {
			t.Errorf("%s: %+v, finished %v", what, done, ledger.finished)
		}
	}
}

// severalSnapshots are those of a log's one partition, at these offsets.
type severalSnapshots struct {
	entries []event.Entry
	at      []sale.Offset // rising
}

func (s severalSnapshots) Newest(topic event.TopicID, partition int32, least, most sale.Offset) (audit.State, bool, error) {
	for _, at := range slices.Backward(s.at) {
		state, found, err := audittest.Snapshot{Entries: s.entries, At: at}.Newest(topic, partition, least, most)
		if found || err != nil {
			state.Kept = noRows{}
			return state, found, err
		}
	}
	return audit.State{}, false, nil
}

type noRows struct{}

func (noRows) Requests(func(sale.Request) error) error { return nil }
func (noRows) Results(func(sale.Result) error) error   { return nil }

// TestFromASnapshotThatIsEarlyEnough: a later one is passed over while there is
// an earlier one, or the log's beginning.
func TestFromASnapshotThatIsEarlyEnough(t *testing.T) {
	t.Parallel()
	entries := saletest.Entries(rapid.Custom(saletest.Log).Example(4))
	for name, c := range map[string]struct {
		start sale.Offset // of the log
		at    []sale.Offset
		from  sale.Offset // where the replay begins
		err   error
	}{
		"the later one is too late":     {0, []sale.Offset{30, 50}, 30, nil},
		"the later one is not":          {0, []sale.Offset{30, 49}, 49, nil},
		"all are too late":              {0, []sale.Offset{50, 60}, 0, nil},
		"and the log begins later":      {10, []sale.Offset{50, 60}, 0, ErrUnpublished},
		"the first is early enough":     {10, []sale.Offset{30, 60}, 30, nil},
		"there is none":                 {10, nil, 0, audit.ErrTruncated},
		"there is none, nor need to be": {0, nil, 0, nil},
	} {
		log := audittest.Of(entries[c.start:])
		log.Start = c.start
		config := Config{
			History: &audit.History{Log: log, Snapshots: severalSnapshots{entries, c.at}}, Ledger: new(memoryLedger),
			Published: publishedDecisions{{Cause: 49, Log: log.Topic().String()}},
		}
		done, err := Run(t.Context(), config)
		if !errors.Is(err, c.err) || err == nil && done.Partitions[0].From != c.from {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
}

// TestFromASnapshotAboveWhatIsPublished: what is between could not be
// told again.
func TestFromASnapshotAboveWhatIsPublished(t *testing.T) {
	t.Parallel()
	log := audittest.Of(saletest.Entries(rapid.Custom(saletest.Log).Example(4)))
	replay := audit.NewReplay(0, audit.Beginning())
	if err := replay.Run(t.Context(), log, 50, func(audit.Step) error { return nil }); err != nil {
		t.Fatal(err)
	}
	ledger := new(memoryLedger)
	config := Config{
		History: &audit.History{Log: log, Snapshots: oneSnapshot{replay.State()}}, Ledger: ledger,
		Published: publishedDecisions{{Cause: 49, Log: log.Topic().String()}},
	}
	if _, err := Run(t.Context(), config); !errors.Is(err, ErrUnpublished) {
		t.Errorf("%v, want ErrUnpublished", err)
	}
	if len(ledger.batches) > 0 {
		t.Error("something was written")
	}
}

type oneSnapshot struct{ state audit.State }

func (s oneSnapshot) Newest(event.TopicID, int32, sale.Offset, sale.Offset) (audit.State, bool, error) {
	return s.state, true, nil
}

// TestStopsAtAnError and says what it had finished.
func TestStopsAtAnError(t *testing.T) {
	t.Parallel()
	log := audittest.Of(saletest.Entries(rapid.Custom(saletest.Log).Example(4)))
	broken := errors.New("broken")
	ledger := &memoryLedger{failing: broken}
	done, err := Run(t.Context(), Config{History: &audit.History{Log: log}, Ledger: ledger})
	if !errors.Is(err, broken) || done == nil || len(done.Partitions) != 0 || ledger.finished {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestBatchesAreBounded in records, and in rows but for those of one
// record.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	schema, err := event.Encode(sale.Schema{Version: sale.NewestSchema})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		value   []byte
		records int // of a batch, at most
	}{
		"records without rows": {schema, 0}, "rows": {[]byte("garbage"), 1 << 30},
	} {
		var entries []event.Entry
		for i := range 2*maxRecords + 5 {
			entries = append(entries, event.Entry{Offset: sale.Offset(i), Value: c.value})
		}
		ledger := new(memoryLedger)
		if _, err := Run(t.Context(), Config{History: &audit.History{Log: audittest.Of(entries)}, Ledger: ledger, BatchRecords: c.records}); err != nil {
			t.Fatal(err)
		}
		next := sale.Offset(0)
		for _, b := range ledger.batches {
			if b.From != next || b.To-b.From > maxRecords || len(b.Requests) > maxRows || len(b.Marks) != event.MarkBytes*int(b.To-b.From) {
				t.Fatalf("%s: [%d, %d) after %d with %d rows and %d bytes of marks", what, b.From, b.To, next, len(b.Requests), len(b.Marks))
			}
			if b.Last != entries[b.To-1].Digest() {
				t.Fatalf("%s: [%d, %d) does not end with the digest of its last record", what, b.From, b.To)
			}
			next = b.To
		}
		if next != sale.Offset(len(entries)) {
			t.Errorf("%s: written up to %d", what, next)
		}
	}
}
