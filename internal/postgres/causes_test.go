package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// TestCausesAreFoundByIndexes: what is asked by cause reads what it gives, in
// order where that may be all there is, among many requests that were changed and many that
// were not.
func TestCausesAreFoundByIndexes(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	migrated(t, b.PostgresURL, 2)
	execute(t, b.PostgresURL, `
		INSERT INTO requests
		SELECT 1, n, 1, 'tea', 'buyer-' || n, 1, n, 'expired', '', -1, n, '', CASE WHEN n % 3 = 0 THEN n + 100 ELSE n END, n
		FROM generate_series(2, 50000) AS n`)
	connection := connect(t, b.PostgresURL)
	_, err := connection.Exec(t.Context(), `ANALYZE requests`)
	check(t, err)
	for query, arguments := range map[string][]any{
		requestsBeyond: {int32(1), int64(20_000), 100},
		requestsSince:  {int32(1), int64(49_000)},
		selectRequests + `1 AND ` + unchanged + ` ORDER BY request LIMIT 100`:      nil, // a page of an audit
		selectRequests + `1 AND ` + changed + ` ORDER BY cause, request LIMIT 100`: nil,
	} {
		rows, err := connection.Query(t.Context(), `EXPLAIN `+query, arguments...)
		check(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		check(t, err)
		plan := strings.Join(lines, "\n")
		sorts := arguments == nil && strings.Contains(plan, "Sort")
		if !strings.Contains(plan, "requests_") || strings.Contains(plan, "Seq Scan") || sorts {
			t.Errorf("%s\n%s", query, plan)
		}
	}
}
