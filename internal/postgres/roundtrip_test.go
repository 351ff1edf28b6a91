package postgres

import (
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// TestLedgerHoldsTheCoresState commits random records in random batches, with
// claims in between, and compares what a claim, and a board, then read.
func TestLedgerHoldsTheCoresState(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 0)
		owner, reader := newOwner(t, b.PostgresURL), newReader(t, b.PostgresURL)
		var partitions atomic.Int32
		rapid.Check(t, func(rt *rapid.T) {
			partition := partitions.Add(1)
			_, err := PartitionRows(t.Context(), b.PostgresURL, testTopic(), []Bounds{{Partition: partition}})
			check(t, err)
			d := drive(t.Context(), rt, owner, partition)
			all := newModel()
			reference := sale.New()
			next := func() sale.Record { return randomRecord(rt, reference) }
			if rapid.Bool().Draw(rt, "a log of saletest") {
				given := saletest.Log(rt)
				next = func() sale.Record {
					if at := reference.Next(); at < sale.Offset(len(given)) {
						return given[at]
					}
					return randomRecord(rt, reference)
				}
			}
			for range rapid.IntRange(1, 12).Draw(rt, "batches") {
				for range rapid.IntRange(1, 15).Draw(rt, "records") {
					record := next()
					var ignored sale.Changes
					if err := reference.Apply(record, &ignored); err != nil {
						rt.Fatal(err)
					}
					d.apply(record)
				}
				all.add(d.commit(t.Context()))
				if rapid.IntRange(0, 3).Draw(rt, "claim") == 0 {
					d.claim(t.Context())
				}
			}
			claim, err := owner.Claim(t.Context(), partition, proven)
			if err != nil {
				rt.Fatal(err)
			}
			wantState(rt, claim, reference)

			from := sale.Offset(rapid.Int64Range(-1, int64(reference.Next())+1).Draw(rt, "from"))
			limit := rapid.IntRange(0, 30).Draw(rt, "limit")
			got, err := reader.Since(t.Context(), partition, from, limit)
			if err != nil {
				rt.Fatal(err)
			}
			want := all.since(from, limit)
			want.Topic, want.Epoch, want.Now = testTopic(), claim.Epoch, reference.Now()
			want.Watermark, want.OldestStart = reference.Next(), reference.OldestStart()
			want.Sales, want.Starts = reference.Snapshot().Sales, reference.Snapshot().Starts
			if want.From > from {
				want.Waiting = waitingIn(reference)
			}
			inOrder := cmpopts.SortSlices(func(a, b board.Waiting) bool { return a.Offset < b.Offset })
			if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), inOrder); diff != "" {
				rt.Fatalf("since %d, limit %d (-want +got):\n%s", from, limit, diff)
			}
			all.wantFound(t, rt, reader, partition, reference)
		})
	})
}

// waitingIn gives those of a core's requests that wait.
func waitingIn(core *sale.Partition) (waiting []board.Waiting) {
	for _, r := range core.Snapshot().Requests {
		if r.State == sale.Waitlisted || r.State == sale.Reserved {
			waiting = append(waiting, board.Waiting{Offset: r.Offset, Sale: r.Sale, State: r.State, Granted: r.Granted})
		}
	}
	return waiting
}

// model is what the rows of a partition should be.
type model struct {
	requests map[sale.Offset]sale.Request
	results  map[sale.Offset]sale.Result
}

func newModel() *model {
	return &model{requests: make(map[sale.Offset]sale.Request), results: make(map[sale.Offset]sale.Result)}
}

func (m *model) add(batch *allocator.Batch) {
	for _, r := range batch.Requests {
		m.requests[r.Offset] = r
	}
	for _, r := range batch.Results {
		m.results[r.Command] = r
	}
}

// since tries every offset from from on until no more than limit rows are left.
func (m *model) since(from sale.Offset, limit int) board.Extract {
	for ; ; from++ {
		extract := board.Extract{From: from}
		for _, offset := range slices.Sorted(maps.Keys(m.requests)) {
			if m.requests[offset].Cause >= from {
				extract.Requests = append(extract.Requests, m.requests[offset])
			}
		}
		for _, command := range slices.Sorted(maps.Keys(m.results)) {
			if command >= from {
				extract.Results = append(extract.Results, m.results[command])
			}
		}
		if len(extract.Requests) <= limit && len(extract.Results) <= limit {
			return extract
		}
	}
}

// wantFound reads one offset in every way.
func (m *model) wantFound(t *testing.T, rt *rapid.T, reader *Reader, partition int32, core *sale.Partition) {
	offset := sale.Offset(rapid.Int64Range(-1, int64(core.Next())).Draw(rt, "offset"))
	found, err := reader.Request(t.Context(), partition, offset)
	if err != nil {
		rt.Fatal(err)
	}
	want := board.Found{Watermark: core.Next()}
	if row, ok := m.requests[offset]; ok {
		want.Row = &row
	}
	if diff := gocmp.Diff(want, found, cmpopts.EquateEmpty()); diff != "" {
		rt.Fatalf("request %d (-want +got):\n%s", offset, diff)
	}
	result, ok, err := reader.Result(t.Context(), partition, offset)
	if err != nil {
		rt.Fatal(err)
	}
	wantResult, wantOK := m.results[offset]
	if ok != wantOK || result != wantResult {
		rt.Fatalf("result of %d: %+v, %v; want %+v, %v", offset, result, ok, wantResult, wantOK)
	}
}

// TestClaimReadsALargeState: more than many pages, among rows that it leaves out.
func TestClaimReadsALargeState(t *testing.T) {
	t.Parallel()
	const rows = 100_000
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		d.open(1)
		d.commit(t.Context())
		execute(t, b.PostgresURL, `
			INSERT INTO requests
			SELECT 1, n, 1, 'tea', 'buyer-' || n, 1, n, CASE n % 10 WHEN 0 THEN 'rejected' ELSE 'expired' END, '', -1, n, '', n, n
			FROM generate_series(2, $1::bigint + 1) AS n`, rows)
		claim, err := d.owner.Claim(t.Context(), 1, proven)
		check(t, err)
		seen := make(map[sale.Offset]bool)
		for _, r := range claim.State.Requests {
			seen[r.Offset] = true
		}
		if want := rows * 9 / 10; len(seen) != want || len(claim.State.Requests) != want {
			t.Errorf("read %d rows of %d requests, want %d", len(claim.State.Requests), len(seen), want)
		}
	})
}

// TestARequestOnItsWay is committed at each of its steps: it waits, gets a unit
// and its turn, then a hold, which is extended, and a pause keeps its neighbour.
func TestARequestOnItsWay(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		owner, reader := newOwner(t, b.PostgresURL), newReader(t, b.PostgresURL)
		d := drive(t.Context(), t, owner, 1)
		of := d.openPaced("tea", 1)
		first := d.apply(buyRecord(of, "first", 1))
		second := d.apply(buyRecord(of, "second", 1))
		all := newModel()
		for _, step := range []struct {
			body sale.Body
			want sale.State
		}{
			{sale.Tick{}, sale.Waitlisted},
			{sale.Release{Request: first, By: sale.ByShopper}, sale.Reserved},
			{sale.Tick{}, sale.Held},
			{sale.Tick{Committed: second + 4}, sale.Held},
			{sale.Extend{Request: second, Seconds: 15}, sale.Held},
			{sale.Pause{Sale: of}, sale.Held},
			{sale.Buy{Sale: of, Buyer: "third", Quantity: 1}, sale.Held},
			{sale.Resume{Sale: of}, sale.Held},
			{sale.Confirm{Request: second, PaymentReference: "p"}, sale.Confirmed},
			{sale.Return{Request: second}, sale.Returned},
		} {
			d.apply(sale.Record{Time: d.core.Now() + 2000, Product: "tea", Body: step.body})
			all.add(d.commit(t.Context()))
			found, err := reader.Request(t.Context(), 1, second)
			check(t, err)
			if diff := gocmp.Diff(all.requests[second], *found.Row); diff != "" || found.Row.State != step.want {
				t.Fatalf("after %+v the row is %s, expected %s (-core +ledger):\n%s", step.body, found.Row.State, step.want, diff)
			}
			claim, err := owner.Claim(t.Context(), 1, proven)
			check(t, err)
			wantState(t, claim, d.core)
			d.begin(claim)
		}
	})
}
