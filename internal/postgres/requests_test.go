package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestListPagesThroughASale(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		reader := newReader(t, b.PostgresURL)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		all := newModel()
		of := d.openWaitlist("tea", 3)
		other := d.apply(createRecord("cup", 9))
		for i := range 20 {
			d.apply(buyRecord(of, sale.Buyer(fmt.Sprint("buyer", i)), 1))
			d.apply(sale.Record{Time: 1000, Product: "cup", Body: sale.Buy{Sale: other, Buyer: sale.Buyer(fmt.Sprint(i)), Quantity: 1}})
		}
		d.apply(sale.Record{Time: 1000}) // which names no sale
		d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Confirm{Request: of + 2, PaymentReference: "p"}})
		d.apply(sale.Record{Time: 1000, Product: "tea", Body: sale.Release{Request: of + 20, By: sale.ByShopper}})
		all.add(d.commit(t.Context()))

		for _, state := range []sale.State{
			"", sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected,
			sale.Released, sale.Confirmed, sale.Expired, sale.Returned,
		} {
			var want, got []sale.Request
			for offset := range d.core.Next() {
				if r, ok := all.requests[offset]; ok && r.Sale == of && (state == "" || r.State == state) {
					want = append(want, r)
				}
			}
			page := ingress.Page{Partition: 1, Sale: of, State: state, After: sale.None, Limit: 4}
			for {
				requests, err := reader.List(t.Context(), page)
				check(t, err)
				got = append(got, requests...)
				if len(requests) > page.Limit {
					t.Fatalf("%d requests on a page of %d", len(requests), page.Limit)
				}
				if len(requests) < page.Limit {
					break
				}
				page.After = requests[len(requests)-1].Offset
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("in state %q (-want +got):\n%s", state, diff)
			}
		}
		for _, page := range []ingress.Page{
			{Partition: 0, Sale: of, After: sale.None, Limit: 9}, {Partition: 1, Sale: of, After: sale.None, Limit: 0},
			{Partition: 1, Sale: of, After: sale.None, Limit: -1}, {Partition: 1, Sale: of + 1000, After: sale.None, Limit: 9},
			{Partition: 1, Sale: of, After: d.core.Next(), Limit: 9},
		} {
			if requests, err := reader.List(t.Context(), page); err != nil || len(requests) > 0 {
				t.Errorf("%+v: %d requests, %v", page, len(requests), err)
			}
		}
		for _, state := range []sale.State{"lost", "held' OR state = 'expired"} {
			if _, err := reader.List(t.Context(), ingress.Page{Partition: 1, Sale: of, State: state, Limit: 9}); !errors.Is(err, ErrNoState) {
				t.Errorf("in state %q: %v, want ErrNoState", state, err)
			}
		}
	})
}

// TestSinceTellsWhoWaits where it does not give all requests, and only there.
func TestSinceTellsWhoWaits(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		reader := newReader(t, b.PostgresURL)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		of := d.openWaitlist("tea", 1)
		for i := range 10 {
			d.apply(buyRecord(of, sale.Buyer(fmt.Sprint("buyer", i)), 1))
		}
		d.commit(t.Context())
		for limit, want := range map[int]int{3: 9, 10: 0} {
			got, err := reader.Since(t.Context(), 1, of+1, limit)
			check(t, err)
			if len(got.Waiting) != want {
				t.Errorf("limit %d: from %d, %d of 9 who wait", limit, got.From, len(got.Waiting))
			}
		}
	})
}

// TestThoseWhoWaitAreFoundByTheirIndex among many others of their sale.
func TestThoseWhoWaitAreFoundByTheirIndex(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	migrated(t, b.PostgresURL, 2)
	execute(t, b.PostgresURL, `
		INSERT INTO requests
		SELECT 1, n, 1, 'tea', 'buyer-' || n, 1, n, CASE WHEN n % 1000 = 0 THEN 'waitlisted' ELSE 'expired' END, '', -1, n, '', n, n
		FROM generate_series(2, 50000) AS n`)
	connection := connect(t, b.PostgresURL)
	_, err := connection.Exec(t.Context(), `ANALYZE requests`)
	check(t, err)
	for query, index := range map[string]string{
		requestsWaiting: "requests_waiting",
		listRequests + ` AND state = 'waitlisted' ORDER BY request LIMIT $4`: "requests_waiting",
		listRequests + ` ORDER BY request LIMIT $4`:                          "requests_",
	} {
		arguments := []any{int32(1), int64(1), int64(20_000), 50}[:1+3*strings.Count(query, "$4")]
		rows, err := connection.Query(t.Context(), `EXPLAIN `+query, arguments...)
		check(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		check(t, err)
		plan := strings.Join(lines, "\n")
		if !strings.Contains(plan, index) || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") {
			t.Errorf("%s\n%s", query, plan)
		}
	}
}
