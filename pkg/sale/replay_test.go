package sale_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// whole replays a log in one piece and gives its decisions as bytes.
func whole(t rapid.TB, records []sale.Record) string {
	t.Helper()
	p := sale.New()
	var changes sale.Changes
	for _, r := range records {
		if err := p.Apply(r, &changes); err != nil {
			t.Fatal(err)
		}
	}
	return encoded(t, changes.Decisions)
}

// TestBatchesChangeNothing cuts the log at random places. Two Changes take
// turns, and the one before is reset in the middle of the next batch, as when
// a batch is applied while the last one commits.
func TestBatchesChangeNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := saletest.Log(t)
		cuts := rapid.SliceOfN(rapid.Bool(), len(records), len(records)).Draw(t, "cuts")
		resets := rapid.SliceOfN(rapid.Bool(), len(records), len(records)).Draw(t, "resets")

		p, other := sale.New(), sale.New()
		current, previous := new(sale.Changes), new(sale.Changes)
		decisions := []sale.Decision(nil)
		before := salesByID(p.Snapshot())
		batch := map[sale.Offset]sale.Sale{} // changed since the cut, from record-wise changes
		for i, r := range records {
			if err := p.Apply(r, current); err != nil {
				t.Fatal(err)
			}
			var one sale.Changes
			if err := other.Apply(r, &one); err != nil {
				t.Fatal(err)
			}
			for _, s := range one.Sales() {
				batch[s.ID] = s
			}
			if resets[i] {
				previous.Reset()
			}
			if !cuts[i] && i != len(records)-1 {
				continue
			}
			got := map[sale.Offset]sale.Sale{}
			for _, s := range current.Sales() {
				if _, twice := got[s.ID]; twice {
					t.Fatalf("the batch that ends with record %d has sale %d twice", r.Offset, s.ID)
				}
				if before[s.ID].ID == s.ID && before[s.ID].Revision >= s.Revision {
					t.Fatalf("record %d: sale %d did not change", r.Offset, s.ID)
				}
				got[s.ID] = s
			}
			if diff := cmp.Diff(batch, got); diff != "" {
				t.Fatalf("the batch that ends with record %d (-record by record +batch):\n%s", r.Offset, diff)
			}
			before, batch = salesByID(p.Snapshot()), map[sale.Offset]sale.Sale{}
			decisions = append(decisions, current.Decisions...)
			current, previous = previous, current
			current.Reset()
		}
		if want, got := whole(t, records), encoded(t, decisions); want != got {
			t.Fatalf("decisions differ\n%s\n%s", want, got)
		}
	})
}

// TestRestoreChangesNothing takes and restores snapshots at random places, as
// rows that come back in any order.
func TestRestoreChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := saletest.Log(t)
		cuts := rapid.SliceOfN(rapid.IntRange(0, 9), len(records), len(records)).Draw(t, "cuts at 9")
		p, undisturbed := sale.New(), sale.New()
		decisions := []sale.Decision(nil)
		for i, r := range records {
			if cuts[i] == 9 {
				p = restored(t, p)
			}
			decisions = append(decisions, apply(t, p, r)...)
			apply(t, undisturbed, r)
			checkSame(t, undisturbed, p)
			if cuts[i] < 8 && i != len(records)-1 {
				continue
			}
			if diff := difference(undisturbed.Snapshot(), p.Snapshot()); diff != "" {
				t.Fatalf("record %d (-undisturbed +restored):\n%s", r.Offset, diff)
			}
		}
		if want, got := whole(t, records), encoded(t, decisions); want != got {
			t.Fatalf("decisions differ\n%s\n%s", want, got)
		}
	})
}

// difference tells snapshots apart. It looks quickly first.
func difference(want, got sale.Snapshot) string {
	sameSale := func(a, b sale.Sale) bool { return reflect.DeepEqual(a, b) }
	if want.Next == got.Next && want.Now == got.Now && want.Schema == got.Schema && want.Malformed == got.Malformed &&
		slices.EqualFunc(want.Sales, got.Sales, sameSale) && slices.Equal(want.Requests, got.Requests) && slices.Equal(want.Starts, got.Starts) {
		return ""
	}
	return cmp.Diff(want, got)
}

// checkSame compares what an owner asks a partition.
func checkSame(t *rapid.T, want, got *sale.Partition) {
	t.Helper()
	facts := func(p *sale.Partition) string {
		due, isDue := p.Due()
		unstarted, isUnstarted := p.OldestUnstarted()
		return fmt.Sprint(p.Next(), p.Now(), p.Schema(), p.Malformed(), due, isDue, unstarted, isUnstarted, p.OldestStart())
	}
	if w, g := facts(want), facts(got); w != g {
		t.Fatalf("the undisturbed partition says %s, the restored one %s", w, g)
	}
}

// restored makes a partition of another's snapshot, as if it had been through
// a ledger.
func restored(t *rapid.T, p *sale.Partition) *sale.Partition {
	t.Helper()
	snapshot := p.Snapshot()
	bytes, err := json.Marshal(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var read sale.Snapshot
	if err := json.Unmarshal(bytes, &read); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(read.Requests)
	slices.Reverse(read.Sales)
	again, err := sale.Restore(read)
	if err != nil {
		t.Fatalf("restoring %s: %v", bytes, err)
	}
	if diff := difference(snapshot, again.Snapshot()); diff != "" {
		t.Fatalf("snapshot of what was restored (-before +after):\n%s", diff)
	}
	return again
}

// TestLogsAreReadAsTheyAreMeant: a random record is the same after it has been
// written to a log and read.
func TestLogsAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := saletest.Log(t)
		for i, entry := range saletest.Entries(records) {
			want, got := records[i], entry.Record()
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("(-meant +read):\n%s", cmp.Diff(want, got))
			}
		}
	})
}

// TestRestoreOfTwoFromOneSnapshot: two partitions that were restored from one
// snapshot share nothing that either changes.
func TestRestoreOfTwoFromOneSnapshot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := saletest.Log(t)
		at := rapid.IntRange(0, len(records)).Draw(t, "at")
		p := sale.New()
		for _, r := range records[:at] {
			apply(t, p, r)
		}
		snapshot := p.Snapshot()
		one, err := sale.Restore(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		two, err := sale.Restore(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records[at:] {
			want := encoded(t, apply(t, p, r))
			if got := encoded(t, apply(t, one, r)); got != want {
				t.Fatalf("record %d: the first decides %s, not %s", r.Offset, got, want)
			}
		}
		for _, r := range records[at:] {
			apply(t, two, r)
		}
		if diff := difference(p.Snapshot(), two.Snapshot()); diff != "" {
			t.Fatalf("the second (-want +got):\n%s", diff)
		}
	})
}

// TestRestoredGoTheirOwnWays: two partitions that were restored from one
// snapshot share nothing that either changes, though they go on in turns and in
// different ways.
func TestRestoredGoTheirOwnWays(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	of := l.sale(waiting(1))
	for range 3 {
		l.do(sale.Pause{Sale: of})
		l.time += 1_000
		l.do(sale.Resume{Sale: of})
	}
	open := l.state.Snapshot()
	l.do(sale.Pause{Sale: of})
	for _, snapshot := range []sale.Snapshot{open, l.state.Snapshot()} {
		before := throughJSON(t, snapshot.Sales)
		snapshot.Sales[0].Pauses = slices.Grow(snapshot.Sales[0].Pauses, 4) // as a decoder may leave it
		snapshot.Sales[0].Defaults = slices.Grow(snapshot.Sales[0].Defaults, 4)
		var ways [2]*sale.Partition
		var given [2]sale.Sale
		for way := range ways {
			p, err := sale.Restore(snapshot)
			if err != nil {
				t.Fatal(err)
			}
			ways[way] = p
		}
		for i, body := range []sale.Body{sale.Pause{Sale: of}, sale.Resume{Sale: of}, sale.Pause{Sale: of}, sale.Resume{Sale: of}, sale.Close{Sale: of}} {
			for way, p := range ways {
				at := l.time + sale.Time(1+way)*100*sale.Time(i+1)
				for range 1 + way { // so that offsets differ, too
					var changes sale.Changes
					if err := p.Apply(sale.Record{Offset: p.Next(), Time: at, Product: "ring", Body: body}, &changes); err != nil {
						t.Fatal(err)
					}
				}
				given[way] = throughJSON(t, p.Snapshot().Sales[0])
				if other := ways[1-way].Snapshot().Sales[0]; (i > 0 || way > 0) && !reflect.DeepEqual(throughJSON(t, other), given[1-way]) {
					t.Fatalf("step %d of way %d changed the other (-as it was +as it is):\n%s", i, way, cmp.Diff(given[1-way], other))
				}
			}
		}
		if diff := cmp.Diff(before, snapshot.Sales); diff != "" {
			t.Errorf("the snapshot has changed:\n%s", diff)
		}
	}
}

// TestBoard keeps what a board does that has heard of every batch: the latest
// rows and sales, and starts, of which it adds the new ones and drops those
// below the highest OldestStart that it was told. All of it comes as JSON. It
// must be able to compute every hold's end.
func TestBoard(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := saletest.Log(t)
		cuts := rapid.SliceOfN(rapid.Bool(), len(records), len(records)).Draw(t, "cuts")
		p, m := sale.New(), new(reference)
		var board sale.Starts
		rows, sales := map[sale.Offset]sale.Request{}, map[sale.Offset]sale.Sale{}
		var batch sale.Changes
		oldest := sale.Offset(0)
		for i, r := range records {
			m.decide(r)
			if err := p.Apply(r, &batch); err != nil {
				t.Fatal(err)
			}
			if !cuts[i] {
				continue
			}
			if p.OldestStart() < oldest {
				t.Fatalf("record %d: the oldest start fell from %d to %d", r.Offset, oldest, p.OldestStart())
			}
			oldest = p.OldestStart()
			for _, d := range throughJSON(t, batch.Decisions) {
				switch {
				case d.Kind == sale.OfStart:
					board = append(board, d.Start)
				case d.Kind == sale.OfRequest && !d.Default:
					rows[d.Request.Offset] = d.Request
				}
			}
			for _, s := range throughJSON(t, batch.Sales()) {
				sales[s.ID] = s
			}
			batch.Reset()
			board = slices.DeleteFunc(board, func(s sale.Start) bool { return s.Below < oldest })
			if snapshot := p.Snapshot(); !slices.Equal(snapshot.Starts, board) {
				t.Fatalf("record %d: the core has the starts %+v, the board %+v", r.Offset, snapshot.Starts, board)
			}
			checkStarts(t, sales, rows, board, m)
		}
	})
}

// throughJSON gives what arrives of a value that is sent.
func throughJSON[T any](t rapid.TB, sent T) T {
	t.Helper()
	bytes, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var received T
	if err := json.Unmarshal(bytes, &received); err != nil {
		t.Fatal(err)
	}
	return received
}

func checkStarts(t *rapid.T, sales map[sale.Offset]sale.Sale, rows map[sale.Offset]sale.Request, board sale.Starts, m *reference) {
	t.Helper()
	needed := false
	for _, q := range m.requests {
		if q.state != "held" {
			continue
		}
		r := rows[sale.Offset(q.at)]
		end, runs := endOf(sales, board, &r)
		if want, begun := m.endOf(q); runs != begun || runs && int64(end) != want {
			t.Fatalf("request %d ends at %d, %t; want %d, %t", q.at, end, runs, want, begun)
		}
		needed = needed || q.begun && r.HeldSince < board[0].Below
	}
	if len(board) > 0 && !needed {
		t.Fatalf("nothing runs from the oldest start %+v", board[0])
	}
	for i := 1; i < len(board); i++ {
		if board[i].Below <= board[i-1].Below || board[i].At < board[i-1].At {
			t.Fatalf("starts out of order: %+v", board)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	good := func() sale.Snapshot {
		l := newLine(t)
		l.sale(ring(3))
		held := l.buy("ann", 1)
		l.do(sale.Confirm{Request: held, PaymentReference: "pay-1"})
		l.buy("bob", 1)
		return l.state.Snapshot()
	}
	if _, err := sale.Restore(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*sale.Snapshot){
		"units that do not add up":    func(s *sale.Snapshot) { s.Sales[0].Available++ },
		"a negative number of units":  func(s *sale.Snapshot) { s.Sales[0].Available, s.Sales[0].Held = -1, 3 },
		"a hold without its request":  func(s *sale.Snapshot) { s.Requests = s.Requests[:1] },
		"a request of no sale":        func(s *sale.Snapshot) { s.Requests[0].Sale = 77 },
		"a place without a count":     func(s *sale.Snapshot) { s.Requests[1].State = sale.Waitlisted },
		"a queued row":                func(s *sale.Snapshot) { s.Requests[1].State = sale.Queued },
		"a turn without its unit":     func(s *sale.Snapshot) { s.Requests[1].State = sale.Reserved },
		"a reserved unit too many":    func(s *sale.Snapshot) { s.Sales[0].Available, s.Sales[0].Reserved = 0, 1 },
		"a confirmed unit too many":   func(s *sale.Snapshot) { s.Sales[0].Available, s.Sales[0].Confirmed = 0, 2 },
		"a waiter too many":           func(s *sale.Snapshot) { s.Sales[0].Waitlisted = 1 },
		"a parked request too many":   func(s *sale.Snapshot) { s.Sales[0].Parked = 1 },
		"a hold of a retired sale":    func(s *sale.Snapshot) { s.Sales[0].RetiredAt = 9 },
		"an unknown state":            func(s *sale.Snapshot) { s.Requests[1].State = "lost" },
		"no state":                    func(s *sale.Snapshot) { s.Requests[1].State = "" },
		"a schema newer than program": func(s *sale.Snapshot) { s.Schema = sale.NewestSchema + 1 },
	} {
		snapshot := good()
		change(&snapshot)
		if _, err := sale.Restore(snapshot); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	snapshot := good()
	snapshot.Schema = sale.NewestSchema + 1
	if _, err := sale.Restore(snapshot); !errors.Is(err, sale.ErrSchemaTooNew) {
		t.Errorf("a newer schema is %v", err)
	}
}

// TestRestoreOfSeveralSales: the latest sale of a product is its current one,
// in whatever order the rows come.
func TestRestoreOfSeveralSales(t *testing.T) {
	t.Parallel()
	for _, order := range [][2]sale.Offset{{1, 5}, {5, 1}} {
		l := newLine(t)
		l.sale(ring(3))
		snapshot := l.state.Snapshot()
		first := snapshot.Sales[0]
		snapshot.Next, snapshot.Sales = 9, nil
		for _, id := range order {
			s := first
			s.ID = id
			snapshot.Sales = append(snapshot.Sales, s)
		}
		p, err := sale.Restore(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		l.state, l.current = p, 5
		at := l.buy("ann", 1)
		l.wants(fmt.Sprintf("request %d held", at))
		l.current = 1
		at = l.buy("bob", 1)
		l.wants(fmt.Sprintf("request %d rejected unknown_sale", at))
	}
}
