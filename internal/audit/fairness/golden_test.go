package fairness

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

var updateReports = flag.Bool("update", false, "write the golden reports anew")

// TestGoldenReports reports on some of the golden logs: testdata/reports
// has what must come out. Its definitions are left out.
func TestGoldenReports(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"malformed", "pause-parks", "pause-stops-the-clock", "resume-order", "return-goes-to-the-waitlist", "second-sale",
		"update-quantity-up", "update-stale-version", "waitlist-passes-who-cannot-be-served", "windows-open-at-ticks",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &audit.History{Log: audittest.Of(audittest.File(t, filepath.Join(audittest.Golden, name+".jsonl")))}
			report, err := Compute(t.Context(), h, Query{})
			if err != nil {
				t.Fatal(err)
			}
			report.Definitions, report.Unseen = nil, nil
			got, err := json.Marshal(report, jsontext.WithIndent("  "), json.Deterministic(true))
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "reports", name+".json")
			if *updateReports {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got)+"\n", "\n")); diff != "" {
				t.Errorf("report (-%s +got):\n%s", golden, diff)
			}
		})
	}
}

// twoPartitions has sales 0-1 and 0-4 of rings and 1-1 of lamps.
func twoPartitions(t *testing.T) *audittest.Log {
	rings := newStory(t)
	rings.buys(rings.create(sale.Settings{Quantity: 1, Policy: sale.PolicyQueue}), 1)
	rings.add("ring", sale.Close{Sale: 1})
	rings.buys(rings.create(sale.Settings{Quantity: 3, Policy: sale.PolicyQueue}), 2)
	rings.buys(1, 1)
	lamps := newStory(t)
	lamps.add("lamp", sale.Create{Rules: sale.NewestRules, BuyerKey: "b1", Later: true, Settings: sale.Settings{
		Quantity: 1, HoldSeconds: 10, MaxHoldSeconds: 10, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue,
	}})
	return &audittest.Log{Entries: [][]event.Entry{saletest.Entries(rings.records), saletest.Entries(lamps.records)}}
}

// TestQuery: a report is of the sales that are asked for.
func TestQuery(t *testing.T) {
	t.Parallel()
	log := twoPartitions(t)
	for name, c := range map[string]struct {
		query      Query
		sales      []string
		partitions int
		says       string // of the error
	}{
		"all":                   {Query{}, []string{"0-1", "0-4", "1-1"}, 2, ""},
		"a product":             {Query{Product: "ring"}, []string{"0-1", "0-4"}, 2, ""},
		"a sale":                {Query{Sale: &Place{0, 4}}, []string{"0-4"}, 1, ""},
		"a sale of its product": {Query{Product: "lamp", Sale: &Place{1, 1}}, []string{"1-1"}, 1, ""},
		"a sale of another":     {Query{Product: "lamp", Sale: &Place{0, 1}}, nil, 0, "offset 1 of partition 0"},
		"no sale":               {Query{Sale: &Place{0, 2}}, nil, 0, "offset 2 of partition 0"},
		"no partition":          {Query{Sale: &Place{2, 1}}, nil, 0, "partition 2 of 2"},
		"no product":            {Query{Product: "cup"}, nil, 0, `no sale of "cup", but of: lamp, ring`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Compute(t.Context(), &audit.History{Log: log}, c.query)
			if c.says != "" {
				if !errors.Is(err, ErrNoSuchSale) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v, want it to say %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var sales []string
			for _, s := range report.Sales {
				sales = append(sales, s.Sale)
			}
			if diff := cmp.Diff(c.sales, sales); diff != "" || len(report.Partitions) != c.partitions {
				t.Errorf("%d partitions, sales (-want +got):\n%s", len(report.Partitions), diff)
			}
		})
	}
}

// noSnapshots fails a test that asks for any.
type noSnapshots struct{ t *testing.T }

func (s noSnapshots) Newest(event.TopicID, int32, sale.Offset, sale.Offset) (audit.State, bool, error) {
	s.t.Error("a snapshot has none of a sale's history")
	return audit.State{}, false, nil
}

// TestNeedsTheWholeLog: neither a snapshot nor a log without its beginning
// will do.
func TestNeedsTheWholeLog(t *testing.T) {
	t.Parallel()
	log := twoPartitions(t)
	if _, err := Compute(t.Context(), &audit.History{Log: log, Snapshots: noSnapshots{t}}, Query{}); err != nil {
		t.Error(err)
	}
	log.Start = 2
	if _, err := Compute(t.Context(), &audit.History{Log: log, Snapshots: noSnapshots{t}}, Query{}); !errors.Is(err, audit.ErrTruncated) {
		t.Errorf("%v, want it to be truncated", err)
	}
}

// TestDigests: the report says which log it is of.
func TestDigests(t *testing.T) {
	t.Parallel()
	log := twoPartitions(t)
	partition := func() Partition {
		report, err := Compute(context.Background(), &audit.History{Log: log}, Query{Product: "ring"})
		if err != nil {
			t.Fatal(err)
		}
		return report.Partitions[0]
	}
	before := partition()
	if before.Next != 8 || before.Records != 8 || before.Unnamed != 1 || len(before.RecordDigest) != 64 || len(before.DecisionDigest) != 64 {
		t.Errorf("%+v", before)
	}
	log.Entries[0][2].Time-- // no decision sees it
	if after := partition(); after.RecordDigest == before.RecordDigest || after.DecisionDigest != before.DecisionDigest {
		t.Errorf("%+v\n%+v", before, after)
	}
}
