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
	// fence takes the partition's row, which no other owner's commit or claim
	// can have at the same time, and moves it on if nobody else has.
	fence = `
		UPDATE partitions
		SET next_offset = $4, log_time = $5, schema = $6, malformed = $7, last_digest = $8, oldest_start = $9,
			record_chain = $10, decision_chain = $11
		WHERE partition = $1 AND epoch = $2 AND next_offset = $3 AND NOT rebuilding`

	// moveOn is fence, and what the batch leaves beside its rows, in one
	// statement: a round trip more would hold the row longer. It counts a row
	// only if the fence let it pass.
	moveOn = `
		WITH moved AS (` + fence + ` RETURNING partition),
		published AS (
			INSERT INTO outbox (partition, from_offset, to_offset, decisions)
			SELECT partition, $3, $4, $13 FROM moved WHERE $13::bytea IS NOT NULL)
		INSERT INTO batches (partition, from_offset, to_offset, record_chain, decision_chain, marks)
		SELECT partition, $3, $4, $10, $11, $12 FROM moved`

	// A request that is there changes only if its state is not final and was
	// caused before this batch.
	writeRequests = `
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

// Commit implements [allocator.Ledger].
//
// Each statement is sent with a Sync of its own, and its answer awaited, before
// the next. Then the server spends every wait in the state "idle in
// transaction", with the timer of that state running, and a frozen owner loses
// the row after 2 s. A pgx.Batch would not do: pgx sends it with one Sync at its
// end, and until that comes the server waits with the row locked and no timer.
// What remains is told in frozen.go.
func (o *Owner) Commit(ctx context.Context, batch *allocator.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := o.commit(ctx, batch); err != nil {
		return fmt.Errorf("committing records [%d, %d) of partition %d: %w", batch.From, batch.To, batch.Partition, err)
	}
	return nil
}

func (o *Owner) commit(ctx context.Context, batch *allocator.Batch) error {
	if batch.To <= batch.From {
		// It would not move the row on, so that a second commit would succeed.
		return fmt.Errorf("%w: it has no records", allocator.ErrRefused)
	}
	tx, err := o.pool.begin(ctx)
	if err != nil {
		return err
	}
	defer end(ctx, tx)

	var decisions []byte // NULL: nothing to publish
	if len(batch.Decisions) > 0 {
		decisions = o.packager.pack(batch.Decisions)
	}
	marks := batch.Marks
	if marks == nil {
		marks = []byte{}
	}
	moved, err := tx.Exec(ctx, moveOn,
		batch.Partition, batch.Epoch, int64(batch.From), int64(batch.To),
		int64(batch.Now), batch.Schema, batch.Malformed, batch.Last[:], int64(batch.OldestStart),
		batch.RecordChain[:], batch.DecisionChain[:], marks, decisions)
	if err != nil {
		return refused("moving the partition on", err)
	}
	if moved.RowsAffected() != 1 {
		return allocator.ErrFenced
	}
	for _, write := range []func(context.Context, pgx.Tx, *allocator.Batch) error{
		commitRequests, commitResults, commitStarts, commitSales,
	} {
		if err := write(ctx, tx, batch); err != nil {
			return err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

func commitRequests(ctx context.Context, tx pgx.Tx, batch *allocator.Batch) error {
	if len(batch.Requests) == 0 {
		return nil
	}
	arguments := append(requestArguments(batch.Partition, batch.Requests), int64(batch.From))
	written, err := tx.Exec(ctx, writeRequests, arguments...)
	if err != nil {
		return refused("writing requests", err)
	}
	if written.RowsAffected() == int64(len(batch.Requests)) {
		return nil
	}
	var request sale.Offset
	var state sale.State
	offsets := column(batch.Requests, func(r *sale.Request) int64 { return int64(r.Offset) })
	if err := tx.QueryRow(ctx, refusedRequest, batch.Partition, offsets).Scan(&request, &state); err != nil {
		return fmt.Errorf("%w: it changes a request that cannot change; looking for it: %w", allocator.ErrRefused, err)
	}
	return fmt.Errorf("%w: request %d is %s and cannot change in this way", allocator.ErrRefused, request, state)
}

func commitResults(ctx context.Context, tx pgx.Tx, batch *allocator.Batch) error {
	if len(batch.Results) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, writeResults, resultArguments(batch.Partition, batch.Results)...); err != nil {
		return refused("writing results", err)
	}
	return nil
}

// commitStarts adds starts, and drops those that count no more. They are
// dropped only here, because readers leave them out by oldest_start, and a
// batch without starts does not make them more.
func commitStarts(ctx context.Context, tx pgx.Tx, batch *allocator.Batch) error {
	if len(batch.Starts) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, writeStarts, startArguments(batch.Partition, batch.Starts)...); err != nil {
		return refused("writing starts", err)
	}
	if _, err := tx.Exec(ctx, dropStarts, batch.Partition, int64(batch.OldestStart)); err != nil {
		return fmt.Errorf("dropping old starts: %w", err)
	}
	return nil
}

// commitSales writes changed sales before new ones: one that closes makes room
// for its product's next.
func commitSales(ctx context.Context, tx pgx.Tx, batch *allocator.Batch) error {
	var made, changed []sale.Sale
	var was []int64
	for _, change := range batch.Sales {
		if change.Was == sale.None {
			made = append(made, change.Sale)
		} else {
			changed, was = append(changed, change.Sale), append(was, int64(change.Was))
		}
	}
	if len(changed) > 0 {
		arguments, err := saleArguments(batch.Partition, changed)
		if err != nil {
			return err
		}
		updated, err := readAll(ctx, tx, pgx.RowTo[sale.Offset], updateSales, append(arguments, was)...)
		if err != nil {
			return refused("writing changed sales", err)
		}
		if err := checkUpdated(batch, updated); err != nil {
			return err
		}
	}
	if len(made) > 0 {
		arguments, err := saleArguments(batch.Partition, made)
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
func checkUpdated(batch *allocator.Batch, updated []sale.Offset) error {
	for _, change := range batch.Sales {
		if change.Was == sale.None {
			continue
		}
		i := slices.Index(updated, change.Sale.ID)
		if i < 0 {
			return fmt.Errorf("%w: sale %d is not at revision %d", allocator.ErrRefused, change.Sale.ID, change.Was)
		}
		updated = slices.Delete(updated, i, i+1)
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
