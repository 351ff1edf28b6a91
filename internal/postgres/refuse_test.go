package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestLedgerRefuses: layer 5 holds against a core that has a bug. Each case
// spoils a batch that is right; the ledger refuses it, says why, and keeps
// nothing of it.
func TestLedgerRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		spoil func(batch *allocator.Batch)
		says  string
	}{
		{"a sale made from another revision", func(b *allocator.Batch) { b.Sales[0].Was-- }, "sale 1 is not at revision 4"},
		{"a sale that is not there", func(b *allocator.Batch) { b.Sales[0].Sale.ID = 2 }, "sale 2 is not at revision 5"},
		{"a sale twice", func(b *allocator.Batch) { b.Sales = append(b.Sales, b.Sales[0]) }, "sale 1 is not at revision 5"},
		{"a new sale that is there", func(b *allocator.Batch) { b.Sales[0].Was = sale.None }, "sales_"},
		{"a second open sale", func(b *allocator.Batch) {
			second := b.Sales[0]
			second.Sale.ID, second.Sale.Revision, second.Was = 6, 6, sale.None
			b.Sales = append(b.Sales, second)
		}, "sales_open"},
		{"more units than there are", func(b *allocator.Batch) {
			b.Sales[0].Sale.Available -= 2
			b.Sales[0].Sale.Held += 2
		}, "sales_available_check"},
		{"units that do not add up", func(b *allocator.Batch) { b.Sales[0].Sale.Held++ }, "sales_units_add_up"},
		{"a final state that changes", func(b *allocator.Batch) {
			b.Requests[0].Offset, b.Requests[0].Quantity = 3, 1
		}, "request 3 is released"},
		{"a request that is sold again", func(b *allocator.Batch) {
			b.Requests[0].Offset, b.Requests[0].Quantity = 2, 4
		}, "request 2 is held"},
		{"a new request twice", func(b *allocator.Batch) { b.Requests = append(b.Requests, b.Requests[0]) }, "requests_pkey"},
		{"a state that there is not", func(b *allocator.Batch) { b.Requests[0].State = "bought" }, "requests_state_check"},
		{"a hold without a place in time", func(b *allocator.Batch) { b.Requests[0].HeldSince = sale.None }, "requests_hold"},
		{"a cause before the request", func(b *allocator.Batch) { b.Requests[0].Cause = 1 }, "requests_cause"},
		{"a second result", func(b *allocator.Batch) { b.Results[0].Command = 5 }, "results_pkey"},
		{"a second start", func(b *allocator.Batch) { b.Starts[0].Below = 3 }, "starts_pkey"},
	}
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, int32(len(cases)))
		owner := newOwner(t, b.PostgresURL)
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				d := drive(t.Context(), t, owner, int32(i))
				of := d.open(3)
				d.apply(buyRecord(of, "ann", 1))                                                                     // 2, held
				d.apply(buyRecord(of, "bob", 1))                                                                     // 3
				d.apply(sale.Record{Time: 1000, Body: sale.Tick{Committed: 3}})                                      // 4, starts 2
				d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Release{Request: 3, By: sale.ByShopper}}) // 5
				d.commit(t.Context())
				before := d.core.Snapshot()

				d.apply(buyRecord(of, "cid", 1))                                                                     // 6, held
				d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Release{Request: 9, By: sale.ByShopper}}) // 7
				d.apply(sale.Record{Time: 1000, Body: sale.Tick{Committed: 7}})                                      // 8
				right, spoilt := d.seal(), &allocator.Batch{}
				*spoilt = *right
				spoilt.Sales = append([]allocator.SaleChange(nil), right.Sales...)
				spoilt.Requests = append([]sale.Request(nil), right.Requests...)
				spoilt.Results = append([]sale.Result(nil), right.Results...)
				spoilt.Starts = append([]sale.Start(nil), right.Starts...)
				c.spoil(spoilt)
				err := owner.Commit(t.Context(), spoilt)
				if !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v, want allocator.ErrRefused that says %q", err, c.says)
				}

				claim, err := owner.Claim(t.Context(), int32(i), proven)
				check(t, err)
				want, err := sale.Restore(before)
				check(t, err)
				wantState(t, claim, want)
				right.Epoch = claim.Epoch
				check(t, owner.Commit(t.Context(), right))
			})
		}
	})
}
