package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var _ ingress.Requests = (*Reader)(nil)

// ErrNoState is returned by [Reader.List] for a state that no request can have.
var ErrNoState = errors.New("no request has such a state")

const listRequests = `SELECT ` + requestColumns + ` FROM requests WHERE partition = $1 AND sale = $2 AND request > $3`

// List implements [ingress.Requests].
//
// The index requests_sale has the rows in the order of the page, so that one
// ends after its last row, wherever it begins. With a state, rows of others are
// read and left out; a page of a rare state may read all of the sale's rows,
// which statement_timeout bounds. Those who wait are rare among many who have
// waited, and asked for most: requests_waiting has nobody else. The state is
// part of the statement's text, because the planner uses that index only where
// it knows the state beforehand; there are as many statements as states.
func (r *Reader) List(ctx context.Context, page ingress.Page) ([]sale.Request, error) {
	query := listRequests
	switch page.State {
	case "":
	case sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected,
		sale.Released, sale.Confirmed, sale.Expired, sale.Returned:
		query += ` AND state = '` + string(page.State) + `'`
	default:
		return nil, fmt.Errorf("listing requests in state %q: %w", page.State, ErrNoState)
	}
	query += ` ORDER BY request LIMIT $4`
	var requests []sale.Request
	err := r.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		requests, err = readAll(ctx, tx, scanRequest, query, page.Partition, int64(page.Sale), int64(page.After), max(page.Limit, 0))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing the requests of sale %d-%d: %w", page.Partition, page.Sale, err)
	}
	return requests, nil
}
