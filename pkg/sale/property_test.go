package sale_test

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// TestMain makes the ordinary run quick, and draw the same logs every time. With
// -rapid.checks or -rapid.seed it draws what it is told to.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { chosen[f.Name] = true })
	set := func(name, value string) {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	if !chosen["rapid.seed"] && !chosen["rapid.checks"] {
		set("rapid.seed", "1")
		set("rapid.checks", "60")
	}
	if !chosen["rapid.nofailfile"] {
		set("rapid.nofailfile", "true")
	}
	if !chosen["rapid.shrinktime"] {
		set("rapid.shrinktime", "5s")
	}
	os.Exit(m.Run())
}

// apply applies one record and gives what it decided.
func apply(t rapid.TB, p *sale.Partition, r sale.Record) []sale.Decision {
	var changes sale.Changes
	if err := p.Apply(r, &changes); err != nil {
		t.Fatalf("applying record %d: %v", r.Offset, err)
	}
	return changes.Decisions
}

// encoded gives decisions as bytes.
func encoded(t rapid.TB, decisions []sale.Decision) string {
	t.Helper()
	bytes, err := json.Marshal(decisions)
	if err != nil {
		t.Fatalf("encoding decisions: %v", err)
	}
	return string(bytes)
}

// TestUnitsAddUp keeps rows from the decisions alone, as a ledger does, and
// counts.
func TestUnitsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := sale.New()
		var changes sale.Changes
		rows := map[sale.Offset]sale.Request{}
		ledger := map[sale.Offset]sale.Sale{}
		named := map[sale.Offset][3]int64{} // requests, sold out, rejected
		for _, r := range saletest.Log(t) {
			changes.Reset()
			before := ledger
			if err := p.Apply(r, &changes); err != nil {
				t.Fatal(err)
			}
			for _, d := range changes.Decisions {
				if d.Kind != sale.OfRequest {
					continue
				}
				if !d.Default {
					rows[d.Request.Offset] = d.Request
				}
				if d.Request.Sale != sale.None {
					n := named[d.Request.Sale]
					if d.Request.Offset == r.Offset {
						n[0]++
					}
					if d.Request.State == sale.SoldOut {
						n[1]++
					}
					if d.Request.State == sale.Rejected {
						n[2]++
					}
					named[d.Request.Sale] = n
				}
			}
			for _, s := range changes.Sales() {
				if s.Revision != r.Offset {
					t.Fatalf("record %d changed sale %d, whose revision is %d", r.Offset, s.ID, s.Revision)
				}
				if before[s.ID].ID == s.ID && before[s.ID].Revision >= s.Revision {
					t.Fatalf("record %d: the revision of sale %d did not rise", r.Offset, s.ID)
				}
				ledger[s.ID] = s
			}
			snapshot := p.Snapshot()
			if !reflect.DeepEqual(salesByID(snapshot), ledger) {
				t.Fatalf("record %d: changed sales are not all that changed (-state +changes):\n%s", r.Offset, cmp.Diff(salesByID(snapshot), ledger))
			}
			checkUnits(t, snapshot, rows)
			for _, s := range snapshot.Sales {
				if n := named[s.ID]; n != [3]int64{s.Requests, s.SoldOut, s.Rejected} {
					t.Fatalf("record %d: sale %d counts %d requests, %d sold out, %d rejected; want %v", r.Offset, s.ID, s.Requests, s.SoldOut, s.Rejected, n)
				}
			}
		}
	})
}

func checkUnits(t *rapid.T, snapshot sale.Snapshot, rows map[sale.Offset]sale.Request) {
	t.Helper()
	for _, s := range snapshot.Sales {
		units, requests := map[sale.State]int64{}, map[sale.State]int64{}
		for _, r := range rows {
			if r.Sale == s.ID {
				units[r.State] += r.Quantity
				requests[r.State]++
			}
		}
		want := [5]int64{units[sale.Reserved], units[sale.Held], units[sale.Confirmed], requests[sale.Waitlisted], requests[sale.Queued]}
		if got := [5]int64{s.Reserved, s.Held, s.Confirmed, s.Waitlisted, s.Parked}; got != want {
			t.Fatalf("sale %d counts %v reserved, held, confirmed, waitlisted and parked; its rows have %v", s.ID, got, want)
		}
		if s.Available < 0 || s.Available+want[0]+want[1]+want[2] != s.Quantity {
			t.Fatalf("sale %d of %d: %d available, %d reserved, %d held, %d confirmed", s.ID, s.Quantity, s.Available, s.Reserved, s.Held, s.Confirmed)
		}
		if !s.Balanced() {
			t.Fatalf("sale %d is not balanced", s.ID)
		}
		if s.SoldOutForGood() != (s.Confirmed == s.Quantity) {
			t.Fatalf("sale %d: sold out for good is %t with %d of %d confirmed", s.ID, s.SoldOutForGood(), s.Confirmed, s.Quantity)
		}
	}
}

// TestOneOutcome: every request gets one first outcome, at its own offset, and
// then only goes along the graph; every command gets one result; decisions are
// named by cause and index, without gaps.
func TestOneOutcome(t *testing.T) {
	t.Parallel()
	next := map[sale.State][]sale.State{ // the design's graph
		sale.Queued:     {sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected, sale.Released},
		sale.Waitlisted: {sale.Held, sale.Reserved, sale.Released, sale.SoldOut},
		sale.Reserved:   {sale.Held, sale.Released},
		sale.Held:       {sale.Confirmed, sale.Expired, sale.Released},
		sale.Confirmed:  {sale.Returned},
	}
	rapid.Check(t, func(t *rapid.T) {
		p := sale.New()
		states := map[sale.Offset]sale.State{}
		lasts := map[sale.Offset]sale.Time{}
		for _, r := range saletest.Log(t) {
			requests, results := 0, 0
			for i, d := range apply(t, p, r) {
				if d.Cause != r.Offset || d.Index != i || d.Time != p.Now() {
					t.Fatalf("record %d: decision %d is named (%d, %d), at %d", r.Offset, i, d.Cause, d.Index, d.Time)
				}
				switch d.Kind {
				case sale.OfRequest:
					from, known := states[d.Request.Offset]
					if !known {
						from = sale.Queued
						if d.Request.Offset != r.Offset {
							t.Fatalf("record %d decided request %d, which was not decided by its own", r.Offset, d.Request.Offset)
						}
						requests++
					}
					extended := from == sale.Held && d.Request.State == sale.Held && d.Request.HoldFor > lasts[d.Request.Offset]
					kept := !known && d.Request.State == sale.Queued // by a pause
					if !slices.Contains(next[from], d.Request.State) && !extended && !kept {
						t.Fatalf("record %d: request %d went from %s to %s", r.Offset, d.Request.Offset, from, d.Request.State)
					}
					if d.Request.Cause != r.Offset || d.Request.DecidedAt != p.Now() {
						t.Fatalf("record %d: request %d names %d at %d as its cause", r.Offset, d.Request.Offset, d.Request.Cause, d.Request.DecidedAt)
					}
					states[d.Request.Offset] = d.Request.State
					lasts[d.Request.Offset] = d.Request.HoldFor
				case sale.OfCommand:
					results++
					if d.Result.Command != r.Offset || d.Result.Product != r.Product || d.Result.Time != p.Now() {
						t.Fatalf("record %d has the result %+v", r.Offset, d.Result)
					}
				case sale.OfStart:
					if d.Start.Cause != r.Offset || d.Start.At != p.Now() {
						t.Fatalf("record %d has the start %+v", r.Offset, d.Start)
					}
				default:
					t.Fatalf("record %d: kind %d", r.Offset, d.Kind)
				}
			}
			malformed := states[r.Offset] == sale.Rejected && requests == 1
			wantRequests, wantResults := 0, 0
			switch r.Body.(type) {
			case sale.Buy, nil:
				wantRequests = 1
			case sale.Tick, sale.Schema:
				if malformed {
					wantRequests = 1
				}
			default:
				wantResults = 1
				if malformed {
					wantRequests, wantResults = 1, 0
				}
			}
			if requests != wantRequests || results != wantResults {
				t.Fatalf("record %d %T: %d first outcomes and %d results, want %d and %d", r.Offset, r.Body, requests, results, wantRequests, wantResults)
			}
		}
	})
}

// TestLogsAreWorthwhile counts what the random logs make happen, so that the
// properties above are not true of nothing. It draws 100 logs in any run.
func TestLogsAreWorthwhile(t *testing.T) {
	t.Parallel()
	logs := rapid.Custom(saletest.Log)
	seen := map[string]int{}
	for seed := range 100 {
		p := sale.New()
		rows := map[sale.Offset]sale.Request{}
		for _, r := range logs.Example(seed) {
			before := p.Snapshot()
			for _, d := range apply(t, p, r) {
				switch d.Kind {
				case sale.OfRequest:
					seen[string(d.Request.State)+" "+string(d.Request.Reason)]++
					noteworthy(seen, rows, d)
					rows[d.Request.Offset] = d.Request
				case sale.OfCommand:
					seen["result "+string(d.Result.Code)]++
				case sale.OfStart:
					seen["start"]++
				}
			}
			noteworthySales(seen, r, before, p.Snapshot())
		}
	}
	for _, what := range []string{
		"held ", "confirmed ", "expired ", "released by_shopper", "released by_merchant", "sold_out sold_out",
		"reserved ", "waitlisted ", "queued ", "returned ", "sold_out closed", "extended", "served by waitlist", "window", "decided after a pause",
		"rejected duplicate", "rejected buyer_limit", "rejected invalid_quantity", "rejected unknown_sale", "rejected malformed",
		"rejected not_open", "rejected closed", "parked rejected closed", "passed", "kept",
		"result ", "result not_held", "result hold_expired", "result other_payment", "result already_open", "result invalid", "start",
		"result hold_limit", "result not_confirmed", "result unknown_sale", "result stale_version", "result quantity_in_use",
		"result sale_closed", "result not_open", "opened by itself", "closed by itself", "second sale", "updated", "schema raised",
		"first rules under the second schema", "earlier sale",
		"result sale_retired", "retired", "retired with its last hold", "retired by a command", "retired by its schema", "bought after retirement",
	} {
		if seen[what] < 5 {
			t.Errorf("%q happened %d times", what, seen[what])
		}
	}
	t.Log(seen)
}

// noteworthy counts what a decision about a request shows beyond its outcome.
func noteworthy(seen map[string]int, rows map[sale.Offset]sale.Request, d sale.Decision) {
	was, is := rows[d.Request.Offset], d.Request.State
	if is != was.State && (is == sale.Held || is == sale.Reserved) && was.State != sale.Reserved {
		for _, r := range rows {
			if r.Sale == d.Request.Sale && r.State == sale.Waitlisted && r.Offset < d.Request.Offset {
				seen["passed"]++
				break
			}
		}
	}
	switch {
	case was.State == sale.Held && is == sale.Held:
		seen["extended"]++
	case was.State == sale.Waitlisted && (is == sale.Held || is == sale.Reserved):
		seen["served by waitlist"]++
	case was.State == sale.Reserved && is == sale.Held:
		seen["window"]++
	case was.State == sale.Queued && d.Request.Reason == sale.ReasonClosed:
		seen["parked rejected closed"]++
	case was.State == sale.Queued && is != sale.Released:
		seen["decided after a pause"]++
	}
}

// noteworthySales counts what a record did to sales.
func noteworthySales(seen map[string]int, r sale.Record, before, after sale.Snapshot) {
	_, isClose := r.Body.(sale.Close)
	was, products := salesByID(before), map[sale.Product]int{}
	waiting := map[sale.Offset]bool{}
	for _, q := range after.Requests {
		waiting[q.Sale] = waiting[q.Sale] || q.State == sale.Waitlisted
	}
	if before.Schema == sale.FirstSchema && after.Schema > before.Schema && len(before.Sales) > 0 {
		seen["schema raised"]++
	}
	for _, s := range after.Sales {
		products[s.Product]++
		old := was[s.ID]
		switch {
		case old.ID != s.ID && products[s.Product] > 1:
			seen["second sale"]++
		case old.ID != s.ID:
		case old.Stage == sale.StageScheduled && s.Stage == sale.StageOpen:
			seen["opened by itself"]++
		case old.Stage != sale.StageClosed && s.Stage == sale.StageClosed && !isClose:
			seen["closed by itself"]++
		case old.Version != s.Version:
			seen["updated"]++
		case old.RetiredAt != s.RetiredAt:
			retired(seen, r, old, s)
		case old.RetiredAt != 0 && old.Requests != s.Requests:
			seen["bought after retirement"]++
		case old.Stage == sale.StageClosed && (old.Held != s.Held || old.Confirmed != s.Confirmed):
			seen["earlier sale"]++
		}
		if s.Rules == sale.FirstRules && s.Revision == r.Offset && after.Schema > sale.FirstSchema {
			seen["first rules under the second schema"]++
		}
		if s.Stage == sale.StageOpen && s.Available > 0 && waiting[s.ID] {
			seen["kept"]++
		}
	}
}

// retired counts how a sale retired.
func retired(seen map[string]int, r sale.Record, old, s sale.Sale) {
	_, isSchema := r.Body.(sale.Schema)
	_, isConfirm := r.Body.(sale.Confirm)
	_, isRelease := r.Body.(sale.Release)
	seen["retired"]++
	switch late := s.RetiredAt > s.ClosedAt+30*24*3600*1000+1; {
	case isSchema && late:
		seen["retired by its schema"]++
	case old.Held+old.Reserved > 0 && (isConfirm || isRelease):
		seen["retired by a command"]++
	case old.Held+old.Reserved > 0:
		seen["retired with its last hold"]++
	}
}
