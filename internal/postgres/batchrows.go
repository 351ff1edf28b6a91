package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	// What a batch's own records asked for is new, and the primary key refuses
	// what is not. The arrays are unnested where they are selected: FROM would
	// keep all of their rows in a file first.
	insertRequests = `
		INSERT INTO requests (partition, ` + requestColumns + `)
		SELECT $1, ` + requestUnnested
	// A request that is there changes only if its state is not final and was
	// caused before this batch.
	changeRequests = `
		INSERT INTO requests (partition, ` + requestColumns + `)
		SELECT $1, ` + requestColumns + ` FROM unnest(` + requestArrays + `) AS batch (` + requestColumns + `)
		ON CONFLICT (partition, request) DO UPDATE SET
			state = excluded.state, reason = excluded.reason, first = excluded.first, held_since = excluded.held_since,
			payment = excluded.payment, cause = excluded.cause, decided_at = excluded.decided_at,
			granted = excluded.granted, hold_for = excluded.hold_for
		WHERE requests.cause < $17 AND requests.sale = excluded.sale AND requests.quantity = excluded.quantity
			AND requests.state NOT IN (` + finalStates + `)`
	// A row that this transaction has not written is one that it may not write.
	refusedRequest = `
		SELECT request, state FROM requests
		WHERE partition = $1 AND request = ANY ($2) AND xmin <> pg_current_xact_id()::xid
		ORDER BY request LIMIT 1`
	finalStates = `'sold_out', 'rejected', 'expired', 'released', 'returned'`

	writeResults = `
		INSERT INTO results (partition, ` + resultColumns + `)
		SELECT $1, ` + resultColumns + ` FROM unnest(` + resultArrays + `) AS batch (` + resultColumns + `)`

	dropStarts  = `DELETE FROM starts WHERE partition = $1 AND below < $2`
	writeStarts = `
		INSERT INTO starts (partition, ` + startColumns + `)
		SELECT $1, ` + startColumns + ` FROM unnest(` + startArrays + `) AS batch (` + startColumns + `)`

	insertSales = `
		INSERT INTO sales (partition, ` + saleColumns + `)
		SELECT $1, ` + saleColumns + ` FROM unnest(` + saleArrays + `) AS batch (` + saleColumns + `)`
	updateSales = `
		UPDATE sales SET
			quantity = batch.quantity, hold_seconds = batch.hold_seconds, per_buyer_limit = batch.per_buyer_limit,
			max_quantity_per_request = batch.max_quantity_per_request, policy = batch.policy, stage = batch.stage,
			version = batch.version, revision = batch.revision, available = batch.available, reserved = batch.reserved,
			held = batch.held, confirmed = batch.confirmed, requests = batch.requests, sold_out = batch.sold_out,
			rejected = batch.rejected, defaults = batch.defaults, max_hold_seconds = batch.max_hold_seconds,
			waitlist_capacity = batch.waitlist_capacity, opens_at = batch.opens_at, closes_at = batch.closes_at,
			admit_per_second = batch.admit_per_second, max_active_holds = batch.max_active_holds,
			checkout_url = batch.checkout_url, waitlisted = batch.waitlisted, parked = batch.parked,
			opened_at = batch.opened_at, closed_at = batch.closed_at, pauses = batch.pauses, pace = batch.pace,
			retired_at = batch.retired_at
		FROM unnest(` + saleArrays + `, $37::bigint[]) AS batch (` + saleColumns + `, was)
		WHERE sales.partition = $1 AND sales.sale = batch.sale AND sales.revision = batch.was
		RETURNING sales.sale`
)

// batchRows are what a batch writes beside its partition's own row, whoever
// made it.
type batchRows struct {
	partition   int32
	from        sale.Offset    // of the batch
	requests    []sale.Request // each once
	results     []sale.Result
	starts      []sale.Start
	oldestStart sale.Offset

	made, changed []sale.Sale
	was           []int64 // the revisions that the ledger has the changed ones at
}

// addSale adds a sale that the ledger has at a revision, or at sale.None where
// it has not.
func (r *batchRows) addSale(s *sale.Sale, was sale.Offset) {
	if was == sale.None {
		r.made = append(r.made, *s)
		return
	}
	r.changed, r.was = append(r.changed, *s), append(r.was, int64(was))
}

// write writes them in a transaction that has moved the partition on.
func (r *batchRows) write(ctx context.Context, tx pgx.Tx) error {
	for _, write := range []func(context.Context, pgx.Tx) error{
		r.writeRequests, r.writeResults, r.writeStarts, r.writeSales,
	} {
		if err := write(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// writeRequests writes the requests that the batch's records made as new rows,
// and the others as what became of those that are there.
func (r *batchRows) writeRequests(ctx context.Context, tx pgx.Tx) error {
	made, changed := r.split()
	groups, others := alike(made)
	for i := range groups {
		if err := groups[i].insert(ctx, tx, r.partition); err != nil {
			return refused("writing new requests", err)
		}
	}
	if len(others) > 0 {
		if _, err := tx.Exec(ctx, insertRequests, requestArguments(r.partition, others)...); err != nil {
			return refused("writing new requests", err)
		}
	}
	if len(changed) > 0 {
		return r.changeRequests(ctx, tx, changed)
	}
	return nil
}

// split tells the requests that the batch's records made from earlier ones.
func (r *batchRows) split() (made, changed []sale.Request) {
	earlier := 0
	for i := range r.requests {
		if r.requests[i].Offset < r.from {
			earlier++
		}
	}
	switch earlier {
	case 0:
		return r.requests, nil
	case len(r.requests):
		return nil, r.requests
	}
	made, changed = make([]sale.Request, 0, len(r.requests)-earlier), make([]sale.Request, 0, earlier)
	for i := range r.requests {
		if r.requests[i].Offset < r.from {
			changed = append(changed, r.requests[i])
		} else {
			made = append(made, r.requests[i])
		}
	}
	return made, changed
}

func (r *batchRows) changeRequests(ctx context.Context, tx pgx.Tx, changed []sale.Request) error {
	written, err := tx.Exec(ctx, changeRequests, append(requestArguments(r.partition, changed), int64(r.from))...)
	if err != nil {
		return refused("writing changed requests", err)
	}
	if written.RowsAffected() == int64(len(changed)) {
		return nil
	}
	var request sale.Offset
	var state sale.State
	offsets := column(changed, func(r *sale.Request) int64 { return int64(r.Offset) })
	if err := tx.QueryRow(ctx, refusedRequest, r.partition, offsets).Scan(&request, &state); err != nil {
		return fmt.Errorf("%w: it changes a request that cannot change; looking for it: %w", allocator.ErrRefused, err)
	}
	return fmt.Errorf("%w: request %d is %s and cannot change in this way", allocator.ErrRefused, request, state)
}

func (r *batchRows) writeResults(ctx context.Context, tx pgx.Tx) error {
	if len(r.results) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, writeResults, resultArguments(r.partition, r.results)...); err != nil {
		return refused("writing results", err)
	}
	return nil
}

// writeStarts adds starts, and drops those that count no more. They are
// dropped only here, because readers leave them out by oldest_start, and a
// batch without starts does not make them more.
func (r *batchRows) writeStarts(ctx context.Context, tx pgx.Tx) error {
	if len(r.starts) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, writeStarts, startArguments(r.partition, r.starts)...); err != nil {
		return refused("writing starts", err)
	}
	if _, err := tx.Exec(ctx, dropStarts, r.partition, int64(r.oldestStart)); err != nil {
		return fmt.Errorf("dropping old starts: %w", err)
	}
	return nil
}

// writeSales writes changed sales before new ones: one that closes makes room
// for its product's next.
func (r *batchRows) writeSales(ctx context.Context, tx pgx.Tx) error {
	if len(r.changed) > 0 {
		arguments, err := saleArguments(r.partition, r.changed)
		if err != nil {
			return err
		}
		updated, err := readAll(ctx, tx, pgx.RowTo[sale.Offset], updateSales, append(arguments, r.was)...)
		if err != nil {
			return refused("writing changed sales", err)
		}
		if err := r.checkUpdated(updated); err != nil {
			return err
		}
	}
	if len(r.made) > 0 {
		arguments, err := saleArguments(r.partition, r.made)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertSales, arguments...); err != nil {
			return refused("writing new sales", err)
		}
	}
	return nil
}

// checkUpdated names the first sale that was not at the revision which the
// batch was made from.
func (r *batchRows) checkUpdated(updated []sale.Offset) error {
	for i := range r.changed {
		id := r.changed[i].ID
		at := slices.Index(updated, id)
		if at < 0 {
			return fmt.Errorf("%w: sale %d is not at revision %d", allocator.ErrRefused, id, r.was[i])
		}
		updated = slices.Delete(updated, at, at+1)
	}
	return nil
}

// refused wraps the error of a write, with allocator.ErrRefused if a constraint made it.
func refused(what string, err error) error {
	var failed *pgconn.PgError
	if errors.As(err, &failed) && violatesConstraint(failed.Code) {
		return fmt.Errorf("%s: %w: %w", what, allocator.ErrRefused, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// violatesConstraint reports whether an SQLSTATE is of the class "integrity
// constraint violation".
func violatesConstraint(code string) bool { return strings.HasPrefix(code, "23") }
