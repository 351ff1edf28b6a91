package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// crowd buys in one batch: more winners than one statement takes, some of whom
// are released at once, others who ask for two, one who asks again and again,
// and some whose request names no sale.
func crowd(d *driver) *allocator.Batch {
	of := d.open(2 * mostAlike)
	d.commit(d.t.(testing.TB).Context())
	for i := range mostAlike + 2*leastAlike {
		d.apply(buyRecord(of, sale.Buyer(fmt.Sprintf("buyer-%d", i)), 1))
	}
	for i := range leastAlike {
		d.apply(buyRecord(of, sale.Buyer(fmt.Sprint("pair-", i)), 2))
		d.apply(buyRecord(of, "pair-0", 1))
		d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Release{Request: of + 1 + sale.Offset(i), By: sale.ByShopper}})
	}
	for i := range leastAlike - 1 {
		d.apply(buyRecord(of+1, sale.Buyer(fmt.Sprint("lost-", i)), 1))
	}
	return d.seal()
}

// TestRequestsThatAreAlike are written as any others are.
func TestRequestsThatAreAlike(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		batch := crowd(d)
		groups, others := alike(batch.Requests)
		sizes := make([]int, len(groups))
		for i := range groups {
			sizes[i] = len(groups[i].rows)
		}
		if diff := gocmp.Diff([]int{mostAlike + leastAlike, leastAlike, leastAlike}, sizes); diff != "" || len(others) != 2*leastAlike-1 {
			t.Fatalf("%d others, and groups of (-want +got):\n%s", len(others), diff)
		}
		check(t, d.owner.Commit(t.Context(), batch))

		slices.SortFunc(batch.Requests, func(a, b sale.Request) int { return cmp.Compare(a.Offset, b.Offset) })
		check(t, pgx.BeginFunc(t.Context(), connect(t, b.PostgresURL), func(tx pgx.Tx) error {
			rows, err := readAll(t.Context(), tx, scanRequest, selectRequests+`1 ORDER BY request`)
			if diff := gocmp.Diff(batch.Requests, rows); diff != "" {
				t.Errorf("the rows (-want +got):\n%s", diff)
			}
			return err
		}))
		claim, err := d.owner.Claim(context.WithoutCancel(t.Context()), 1, proven)
		check(t, err)
		wantState(t, claim, d.core)
	})
}

// TestLedgerRefusesAmongMany: as TestLedgerRefuses, of requests that are alike.
func TestLedgerRefusesAmongMany(t *testing.T) {
	t.Parallel()
	each := func(spoil func(r *sale.Request)) func(*allocator.Batch) {
		return func(b *allocator.Batch) {
			for i := range b.Requests {
				spoil(&b.Requests[i])
			}
		}
	}
	cases := []struct {
		name  string
		spoil func(batch *allocator.Batch)
		says  string
	}{
		{"a new request twice", func(b *allocator.Batch) { b.Requests = append(b.Requests, b.Requests[9]) }, "requests_pkey"},
		{"a state that there is not", each(func(r *sale.Request) { r.State = "bought" }), "requests_state_check"},
		{"holds without a place in time", each(func(r *sale.Request) { r.HeldSince = sale.None }), "requests_hold"},
		{"holds of no sale", each(func(r *sale.Request) { r.Sale = sale.None }), "requests_hold"},
		{"turns that nothing gave", each(func(r *sale.Request) { r.State = sale.Reserved }), "requests_reserved"},
		{"a time below 0", each(func(r *sale.Request) { r.HoldFor = -1 }), "requests_hold_for_check"},
		{"a cause before the request", func(b *allocator.Batch) { b.Requests[9].Cause-- }, "requests_cause"},
	}
	b := devstacktest.Embedded(t)
	migrated(t, b.PostgresURL, int32(len(cases)))
	owner := newOwner(t, b.PostgresURL)
	for i, c := range cases {
		d := drive(t.Context(), t, owner, int32(i))
		of := d.open(2 * leastAlike)
		d.commit(t.Context())
		for i := range 2 * leastAlike {
			d.apply(buyRecord(of, sale.Buyer(fmt.Sprint("buyer-", i)), 1))
		}
		batch := d.seal()
		right := slices.Clone(batch.Requests)
		c.spoil(batch)
		if err := owner.Commit(t.Context(), batch); !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want allocator.ErrRefused that says %q", c.name, err, c.says)
		}
		batch.Requests = right
		check(t, owner.Commit(t.Context(), batch))
	}
}

// TestOddRequestsAreNotAlike: what a statement for many would tell otherwise
// than it is goes by itself, even if no core makes it.
func TestOddRequestsAreNotAlike(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*sale.Request){
		"held since another record":  func(r *sale.Request) { r.HeldSince-- },
		"decided by another record":  func(r *sale.Request) { r.Cause++ },
		"neither held nor its cause": func(r *sale.Request) { r.HeldSince, r.Cause = sale.None, r.Cause+1 },
	} {
		requests := make([]sale.Request, leastAlike+1)
		for i := range requests {
			requests[i] = aWinner(sale.Offset(i + 2))
		}
		spoil(&requests[7])
		groups, others := alike(requests)
		if len(groups) != 1 || len(groups[0].rows) != leastAlike || len(others) != 1 || others[0] != requests[7] {
			t.Errorf("%s: %d groups, others %+v", name, len(groups), others)
		}
	}
}
