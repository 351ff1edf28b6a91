package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestClaimAfterRetirement: what a claim gives restores the state, and has no
// request of a sale that has retired, whose rows stay.
func TestClaimAfterRetirement(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		owner, reader := newOwner(t, b.PostgresURL), newReader(t, b.PostgresURL)
		d := drive(t.Context(), t, owner, 1)
		first := d.openWaitlist("tea", 2)
		sold, left := d.apply(buyRecord(first, "ann", 1)), d.apply(buyRecord(first, "bob", 1))
		twice := d.apply(buyRecord(first, "bob", 1))
		record := func(at sale.Time, body sale.Body) sale.Offset {
			return d.apply(sale.Record{Time: at, Product: "tea", Body: body})
		}
		record(1000, sale.Confirm{Request: sold, PaymentReference: "p"})
		record(1000, sale.Release{Request: left, By: sale.ByShopper})
		record(1000, sale.Close{Sale: first})
		d.commit(t.Context())
		const month = 30 * 24 * 3600 * 1000
		second := d.openWaitlist("tea", 2)
		later := d.apply(buyRecord(second, "ann", 1))
		record(1000+month, sale.Tick{})
		d.commit(t.Context())

		claim, err := owner.Claim(t.Context(), 1, proven)
		check(t, err)
		wantState(t, claim, d.core)
		if claim.State.Sales[0].RetiredAt != 1000+month || claim.State.Sales[1].RetiredAt != 0 {
			t.Errorf("the sales are %+v", claim.State.Sales)
		}
		if got := claim.State.Requests; len(got) != 1 || got[0].Offset != later {
			t.Errorf("the claim has read %+v, want request %d alone", got, later)
		}
		d.begin(claim)
		record(1000+month, sale.Return{Request: sold})
		d.commit(t.Context())
		result, _, err := reader.Result(t.Context(), 1, d.core.Next()-1)
		check(t, err)
		if result.Code != sale.CodeSaleRetired {
			t.Errorf("the new owner decides %+v", result)
		}
		for offset, state := range map[sale.Offset]sale.State{sold: sale.Confirmed, left: sale.Released, twice: sale.Rejected} {
			found, err := reader.Request(t.Context(), 1, offset)
			check(t, err)
			if found.Row == nil || found.Row.State != state {
				t.Errorf("the row of request %d is %+v, want it %s", offset, found.Row, state)
			}
		}
	})
}

// TestClaimPassesOverTheRetired: where most rows are of sales that have retired
// the claim goes by an index, to those that it needs.
func TestClaimPassesOverTheRetired(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		execute(t, b.PostgresURL, `
			INSERT INTO requests
			SELECT 1, n, CASE WHEN n % 100 = 0 THEN 7 ELSE 1 END, 'tea', 'buyer-' || n, 1, n, 'expired', '', -1, n, '', n, n
			FROM generate_series(8, 50000) AS n`)
		execute(t, b.PostgresURL, `ANALYZE requests`)
		sales := remembered([]sale.Sale{{ID: 1, RetiredAt: 5}, {ID: 7}, {ID: 9}})
		if sales != "{7,9}" || remembered(nil) != "{}" {
			t.Errorf("the sales are %s", sales)
		}
		rows, err := connect(t, b.PostgresURL).Query(t.Context(), `EXPLAIN `+stateRequests(1, sales))
		check(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		check(t, err)
		if !strings.Contains(strings.Join(plan, "\n"), "requests_sale") {
			t.Errorf("the claim reads them all:\n%s", strings.Join(plan, "\n"))
		}
	})
}
