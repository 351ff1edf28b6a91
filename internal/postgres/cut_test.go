package postgres

import (
	"cmp"
	"context"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// everyRow reads pages to their end.
func everyRow[Row any](ctx context.Context, t *testing.T, rows audit.Rows[Row], err error) (all []Row) {
	t.Helper()
	check(t, err)
	for {
		page, err := rows.Page(ctx)
		check(t, err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

// TestACutIsOneMoment: rows of many pages, in their order, while the service
// goes on. What it commits is in none of them.
func TestACutIsOneMoment(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 3)
		owner := newOwner(t, b.PostgresURL)
		d := drive(t.Context(), t, owner, 1)
		d.open(1000)
		var want []*allocator.Batch
		requests := make(map[sale.Offset]sale.Request)
		commit := func() {
			batch := chained(d.seal())
			check(t, owner.Commit(t.Context(), batch))
			want = append(want, batch)
			for _, r := range batch.Requests {
				requests[r.Offset] = r
			}
		}
		commit()
		for len(want) < batchPage+10 { // later causes than neighbours have
			first := d.apply(buyRecord(1, sale.Buyer(rune('a'+len(want)%26)), 1))
			for i := range 3 * rowPage / batchPage {
				d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Buy{Sale: 1, Buyer: "x", Quantity: -int64(i)}})
			}
			commit()
			d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Release{Request: first, By: sale.ByShopper}})
			commit()
		}
		rows := make([]sale.Request, 0, len(requests))
		for _, row := range requests {
			rows = append(rows, row)
		}
		slices.SortFunc(rows, func(a, b sale.Request) int {
			return cmp.Or(cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Offset, b.Offset))
		})
		execute(t, b.PostgresURL, `INSERT INTO results SELECT 1, n, 'tea', 1, -1, '', n FROM generate_series(100000, $1::bigint + 100000) AS n`, rowPage)
		execute(t, b.PostgresURL, `INSERT INTO results SELECT 2, n, 'tea', 1, -1, '', n FROM generate_series(1, 9) AS n`)
		execute(t, b.PostgresURL, `UPDATE partitions SET chain_start = 17 WHERE partition = 2`)

		auditor, err := NewAuditor(t.Context(), Config{URL: b.PostgresURL})
		check(t, err)
		defer auditor.Close()
		check(t, auditor.Cut(t.Context(), func(ctx context.Context, cut audit.Cut) error {
			partitions, err := cut.Partitions(ctx)
			check(t, err)
			next := d.core.Next()
			d.apply(buyRecord(1, "later", 1))
			check(t, owner.Commit(t.Context(), chained(d.seal())))

			last := want[len(want)-1]
			if p := partitions[1]; len(partitions) != 3 || p.Partition != 1 || p.Next != next || p.RecordChain != last.RecordChain || p.ChainStart != 0 {
				t.Errorf("the partitions are %+v", partitions)
			}
			if partitions[2].ChainStart != 17 {
				t.Errorf("the chains of partition 2 begin at %d, want 17", partitions[2].ChainStart)
			}
			read, err := cut.Requests(ctx, 1)
			if diff := gocmp.Diff(rows, everyRow(ctx, t, read, err)); diff != "" || len(rows) <= rowPage {
				t.Errorf("%d requests (-want +got):\n%s", len(rows), diff)
			}
			batches, err := cut.Batches(ctx, 1)
			if got := everyRow(ctx, t, batches, err); len(got) != len(want) {
				t.Errorf("%d batches, want %d", len(got), len(want))
			} else {
				for i, batch := range want {
					if diff := gocmp.Diff(batchRowOf(batch), got[i]); diff != "" {
						t.Errorf("batch %d (-want +got):\n%s", i, diff)
					}
				}
			}
			results, err := cut.Results(ctx, 1)
			got := everyRow(ctx, t, results, err)
			if !slices.IsSortedFunc(got, func(a, b sale.Result) int { return cmp.Compare(a.Command, b.Command) }) || len(got) <= rowPage || got[0].Command >= 100000 {
				t.Errorf("%d results, not all in order", len(got))
			}
			other, err := cut.Results(ctx, 2)
			if got := everyRow(ctx, t, other, err); len(got) != 9 {
				t.Errorf("%d results of the other partition, want 9", len(got))
			}
			return nil
		}))
	})
}
