package postgres

import (
	"context"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// A request's cause is its own record until a later one changes it. So what is
// asked by cause is asked in two parts: of those that are as their own records
// made them, by the primary key, and of the others by the index
// requests_changed.
const (
	unchanged = `cause <= request`
	changed   = `cause > request`

	// The cause of the row after the newest limit rows, if so many were caused at or
	// after an offset. Those that were caused after it are the most that can be
	// given without giving half of what one record caused.
	requestsBeyond = `
		SELECT cause FROM (
			(SELECT request AS cause FROM requests WHERE partition = $1 AND request >= $2 AND ` + unchanged + ` ORDER BY request DESC LIMIT $3::bigint + 1)
			UNION ALL
			(SELECT cause FROM requests WHERE partition = $1 AND cause >= $2 AND ` + changed + ` ORDER BY cause DESC LIMIT $3::bigint + 1)
		) AS newest ORDER BY cause DESC OFFSET $3::bigint LIMIT 1`

	requestsSince = `
		SELECT ` + requestColumns + ` FROM requests WHERE partition = $1 AND request >= $2
		UNION ALL
		SELECT ` + requestColumns + ` FROM requests WHERE partition = $1 AND request < $2 AND cause >= $2 AND ` + changed + `
		ORDER BY request`
)

// byCause gives requests in the order of (cause, request).
type byCause struct {
	unchanged, changed ahead
}

// openByCause begins to read a partition's requests.
func openByCause(ctx context.Context, c *auditCut, partition int32) (audit.Rows[sale.Request], error) {
	var rows byCause
	for _, part := range []struct {
		of    *ahead
		query string
	}{
		{&rows.unchanged, unchanged + ` ORDER BY request`},
		{&rows.changed, changed + ` ORDER BY cause, request`},
	} {
		var err error
		part.of.rows, err = openCursor(ctx, c, rowPage, scanRequest, fmt.Sprintf(selectRequests+`%d AND `+part.query, partition))
		if err != nil {
			return nil, err
		}
	}
	return &rows, nil
}

// Page implements [audit.Rows].
func (b *byCause) Page(ctx context.Context) ([]sale.Request, error) {
	page := make([]sale.Request, 0, rowPage)
	for len(page) < rowPage {
		for _, part := range []*ahead{&b.unchanged, &b.changed} {
			if err := part.fill(ctx); err != nil {
				return nil, err
			}
		}
		next := &b.unchanged
		if len(next.page) == 0 || len(b.changed.page) > 0 && causedBefore(&b.changed.page[0], &next.page[0]) {
			next = &b.changed
		}
		if len(next.page) == 0 {
			break
		}
		page = append(page, next.page[0])
		next.page = next.page[1:]
	}
	return page, nil
}

func causedBefore(a, b *sale.Request) bool {
	return a.Cause < b.Cause || a.Cause == b.Cause && a.Offset < b.Offset
}

// ahead is rows, and what is read of them and not yet given.
type ahead struct {
	rows audit.Rows[sale.Request]
	page []sale.Request
}

// fill reads on if nothing is left of what was read.
func (a *ahead) fill(ctx context.Context) (err error) {
	if len(a.page) == 0 {
		a.page, err = a.rows.Page(ctx)
	}
	return err
}
