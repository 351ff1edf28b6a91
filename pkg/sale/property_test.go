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

func TestDecisionsAreThoseOfTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, m := sale.New(), new(reference)
		malformed := int64(0)
		for _, r := range saletest.Log(t) {
			want := m.decide(r)
			var got []string
			for _, d := range apply(t, p, r) {
				got = append(got, told(d))
				if d.Request.Reason == sale.ReasonMalformed {
					malformed++
				}
			}
			if p.Malformed() != malformed {
				t.Fatalf("record %d: %d malformed records are counted, not %d", r.Offset, p.Malformed(), malformed)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("record %d %#v (-reference +core):\n%s", r.Offset, r, diff)
			}
			checkEnds(t, p, m)
		}
	})
}

// checkEnds compares the end of every hold, as a board computes it from rows
// and starts, and the next thing due with the reference.
func checkEnds(t *rapid.T, p *sale.Partition, m *reference) {
	t.Helper()
	snapshot := p.Snapshot()
	sales := salesByID(snapshot)
	first, oldest := int64(-1), sale.None
	for i := range snapshot.Requests {
		r := &snapshot.Requests[i]
		want, held := m.endOf(r.Offset)
		if held != (r.State == sale.Held) {
			t.Fatalf("request %d is %s", r.Offset, r.State)
		}
		if !held {
			continue
		}
		end, begun := endOf(sales, snapshot.Starts, r)
		switch {
		case begun && int64(end) != want:
			t.Fatalf("request %d: the hold ends at %d, not %d", r.Offset, end, want)
		case begun && (first < 0 || int64(end) < first):
			first = int64(end)
		case !begun && want < 1<<62:
			t.Fatalf("request %d: the hold has begun and ends at %d", r.Offset, want)
		case !begun && oldest == sale.None:
			oldest = r.HeldSince
		}
	}
	if due, ok := p.Due(); ok != (first >= 0) || ok && int64(due) != first {
		t.Fatalf("due at %d, %t, want %d", due, ok, first)
	}
	if unstarted, ok := p.OldestUnstarted(); ok != (oldest != sale.None) || ok && unstarted != oldest {
		t.Fatalf("oldest unstarted %d, %t, want %d", unstarted, ok, oldest)
	}
}

func salesByID(snapshot sale.Snapshot) map[sale.Offset]sale.Sale {
	sales := make(map[sale.Offset]sale.Sale, len(snapshot.Sales))
	for _, s := range snapshot.Sales {
		sales[s.ID] = s
	}
	return sales
}

// endOf computes the end of a hold as a board does.
func endOf(sales map[sale.Offset]sale.Sale, starts sale.Starts, r *sale.Request) (sale.Time, bool) {
	of := sales[r.Sale]
	return of.EndOf(r, starts)
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
				if d.Request.Offset == r.Offset && d.Request.Sale != sale.None {
					n := named[d.Request.Sale]
					n[0]++
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
		var held, confirmed int64
		for _, r := range rows {
			if r.Sale != s.ID {
				continue
			}
			if r.State == sale.Held {
				held += r.Quantity
			}
			if r.State == sale.Confirmed {
				confirmed += r.Quantity
			}
		}
		if s.Available < 0 || s.Reserved != 0 || s.Held != held || s.Confirmed != confirmed || s.Available+held+confirmed != s.Quantity {
			t.Fatalf("sale %d of %d: %d available, %d held, %d confirmed; its rows have %d held, %d confirmed",
				s.ID, s.Quantity, s.Available, s.Held, s.Confirmed, held, confirmed)
		}
		if !s.Balanced() {
			t.Fatalf("sale %d is not balanced", s.ID)
		}
		if s.SoldOutForGood() != (confirmed == s.Quantity) {
			t.Fatalf("sale %d: sold out for good is %t with %d of %d confirmed", s.ID, s.SoldOutForGood(), confirmed, s.Quantity)
		}
	}
}

// TestOneOutcome: every request gets one first outcome, at its own offset, and
// then only goes along the graph; every command gets one result; decisions are
// named by cause and index, without gaps.
func TestOneOutcome(t *testing.T) {
	t.Parallel()
	next := map[sale.State][]sale.State{ // of the rules so far, from the design's graph
		sale.Queued: {sale.Held, sale.SoldOut, sale.Rejected},
		sale.Held:   {sale.Confirmed, sale.Expired, sale.Released},
	}
	rapid.Check(t, func(t *rapid.T) {
		p := sale.New()
		states := map[sale.Offset]sale.State{}
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
					if !slices.Contains(next[from], d.Request.State) {
						t.Fatalf("record %d: request %d went from %s to %s", r.Offset, d.Request.Offset, from, d.Request.State)
					}
					if d.Request.Cause != r.Offset || d.Request.DecidedAt != p.Now() {
						t.Fatalf("record %d: request %d names %d at %d as its cause", r.Offset, d.Request.Offset, d.Request.Cause, d.Request.DecidedAt)
					}
					states[d.Request.Offset] = d.Request.State
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

// TestNobodyIsPassedOver looks at the decisions alone: who got units had asked
// for no more than was left, and who was told sold_out had asked for more, so
// that no one who came later was preferred to one who was eligible.
func TestNobodyIsPassedOver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := sale.New()
		rows := map[sale.Offset]sale.Request{}
		for _, r := range saletest.Log(t) {
			decisions := apply(t, p, r)
			b, isBuy := r.Body.(sale.Buy)
			for _, d := range decisions {
				if isBuy && d.Kind == sale.OfRequest && d.Request.Offset == r.Offset && d.Request.Sale != sale.None {
					var taken, has int64
					live := sale.None
					for _, row := range rows {
						if row.Sale != d.Request.Sale || row.State != sale.Held && row.State != sale.Confirmed {
							continue
						}
						taken += row.Quantity
						if row.Buyer == b.Buyer {
							has += row.Quantity
							if row.State == sale.Held {
								live = row.Offset
							}
						}
					}
					s := salesByID(p.Snapshot())[d.Request.Sale]
					eligible := live == sale.None && b.Quantity >= 1 && b.Quantity <= s.MaxQuantityPerRequest && has+b.Quantity <= s.PerBuyerLimit
					fits := eligible && b.Quantity <= s.Quantity-taken
					switch {
					case fits != (d.Request.State == sale.Held):
						t.Fatalf("request %d for %d of %d left is %s", r.Offset, b.Quantity, s.Quantity-taken, d.Request.State)
					case eligible && !fits && d.Request.State != sale.SoldOut:
						t.Fatalf("request %d is eligible, and %s", r.Offset, d.Request.State)
					case d.Request.State != sale.Held && d.Request.Reason == "":
						t.Fatalf("request %d is %s and not told why", r.Offset, d.Request.State)
					}
				}
				if d.Kind == sale.OfRequest && !d.Default {
					rows[d.Request.Offset] = d.Request
				}
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
		for _, r := range logs.Example(seed) {
			for _, d := range apply(t, p, r) {
				switch d.Kind {
				case sale.OfRequest:
					seen[string(d.Request.State)+" "+string(d.Request.Reason)]++
				case sale.OfCommand:
					seen["result "+string(d.Result.Code)]++
				case sale.OfStart:
					seen["start"]++
				}
			}
		}
	}
	for _, what := range []string{
		"held ", "confirmed ", "expired ", "released by_shopper", "released by_merchant", "sold_out sold_out",
		"rejected duplicate", "rejected buyer_limit", "rejected invalid_quantity", "rejected unknown_sale", "rejected malformed",
		"result ", "result not_held", "result hold_expired", "result other_payment", "result already_open", "result invalid", "start",
	} {
		if seen[what] < 5 {
			t.Errorf("%q happened %d times", what, seen[what])
		}
	}
	t.Log(seen)
}
