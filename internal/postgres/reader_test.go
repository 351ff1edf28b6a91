package postgres

import (
	"errors"
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestSinceGivesAllOfACauseOrNothing: one tick ends many holds.
func TestSinceGivesAllOfACauseOrNothing(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		reader := newReader(t, b.PostgresURL)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		of := d.open(10)
		for i := range 8 { // 2 to 9
			d.apply(buyRecord(of, sale.Buyer(fmt.Sprint("buyer", i)), 1))
		}
		d.apply(sale.Record{Time: 1000, Body: sale.Tick{Committed: 9}}) // 10 starts all but the last
		d.apply(sale.Record{Time: 90_000, Body: sale.Tick{}})           // 11 ends seven
		d.apply(buyRecord(of, "late", 1))                               // 12
		d.commit(t.Context())

		for limit, want := range map[int]struct {
			from sale.Offset
			rows int
		}{
			0: {13, 0}, 1: {12, 1}, 2: {12, 1}, 7: {12, 1}, 8: {10, 8}, 9: {2, 9}, 100: {2, 9},
		} {
			got, err := reader.Since(t.Context(), 1, 2, limit)
			check(t, err)
			if got.From != want.from || len(got.Requests) != want.rows {
				t.Errorf("limit %d: %d rows from %d, want %d from %d", limit, len(got.Requests), got.From, want.rows, want.from)
			}
		}
		if _, err := reader.Since(t.Context(), 7, 0, 1); !errors.Is(err, allocator.ErrNoPartition) {
			t.Errorf("a partition that is not there: %v, want ErrNoPartition", err)
		}
		if _, err := reader.Request(t.Context(), 7, 0); !errors.Is(err, allocator.ErrNoPartition) {
			t.Errorf("a request of a partition that is not there: %v, want ErrNoPartition", err)
		}
	})
}

// TestReadsAreOfOneSnapshot while an owner commits: every request is one unit.
func TestReadsAreOfOneSnapshot(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		const units = 150
		migrated(t, b.PostgresURL, 2)
		reader := newReader(t, b.PostgresURL)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		of := d.open(units)
		opening := d.commit(t.Context())
		done := make(chan error, 1)
		go func() {
			for i := range units {
				d.apply(buyRecord(of, sale.Buyer(fmt.Sprint("buyer", i)), 1))
				if err := d.owner.Commit(t.Context(), d.seal()); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for reads, running := 0, true; running; reads++ {
			select {
			case err := <-done:
				check(t, err)
				running = false
			default:
			}
			got, err := reader.Since(t.Context(), 1, 0, units)
			check(t, err)
			held := got.Sales[0].Held
			if int64(len(got.Requests)) != held || int64(got.Watermark-opening.To) != held {
				t.Fatalf("%d rows and watermark %d beside %d units held", len(got.Requests), got.Watermark, held)
			}
			tally, err := reader.Tally(t.Context())
			check(t, err)
			p := tally.Partitions[1]
			if s := p.Sales[0]; s.Rows[sale.Held].Units != s.Sale.Held || int64(p.Watermark-opening.To) != s.Sale.Held {
				t.Fatalf("%+v at watermark %d", s, p.Watermark)
			}
		}
	})
}

func TestReaderCannotWrite(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 1)
		if _, err := newReader(t, b.PostgresURL).pool.Exec(t.Context(), `UPDATE partitions SET epoch = 9`); err == nil {
			t.Error("a reader has written")
		}
	})
}

func TestTallyCountsBySaleAndState(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		of := d.open(3)
		d.apply(buyRecord(of, "ann", 2))
		d.apply(buyRecord(of, "ann", 1))                                                                              // duplicate
		d.apply(buyRecord(of, "bob", 1))                                                                              // 4
		d.apply(buyRecord(of, "cid", 1))                                                                              // sold out: no row
		d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Confirm{Request: 2, PaymentReference: "p"}})       // 6
		d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Buy{Sale: 99, Buyer: "dot", Quantity: 1<<63 - 1}}) // names no sale
		d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Buy{Sale: 99, Buyer: "dot", Quantity: 1<<63 - 1}})
		d.apply(sale.Record{Time: 1000})
		d.commit(t.Context())

		got, err := newReader(t, b.PostgresURL).Tally(t.Context())
		check(t, err)
		want := Tally{Partitions: []PartitionTally{{}, {
			Partition: 1, Watermark: 10, Malformed: 1,
			Sales: []SaleTally{{
				Sale: d.core.Snapshot().Sales[0],
				Rows: map[sale.State]Count{sale.Confirmed: {1, 2}, sale.Rejected: {1, 1}, sale.Held: {1, 1}},
			}},
			NoSale: map[sale.State]Count{sale.Rejected: {3, 9e18}},
		}}}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
