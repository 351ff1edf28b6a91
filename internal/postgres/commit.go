package postgres

import (
	"context"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/allocator"
)

const (
	// rowMoved is what a batch makes of its partition's row.
	rowMoved = `next_offset = $4, log_time = $5, schema = $6, malformed = $7, last_digest = $8, oldest_start = $9,
			record_chain = $10, decision_chain = $11`

	// fence takes the partition's row, which no other owner's commit or claim
	// can have at the same time, and moves it on if nobody else has.
	fence = `
		UPDATE partitions SET ` + rowMoved + `
		WHERE partition = $1 AND epoch = $2 AND next_offset = $3 AND NOT rebuilding`

	// moveOn is fence, and what the batch leaves beside its rows, in one
	// statement: a round trip more would hold the row longer. It counts a row
	// only if the fence let it pass.
	moveOn = `WITH moved AS (` + fence + ` RETURNING partition)` + leave

	leave = `,
		published AS (
			INSERT INTO outbox (partition, from_offset, to_offset, decisions)
			SELECT partition, $3, $4, $13 FROM moved WHERE $13::bytea IS NOT NULL)
		INSERT INTO batches (partition, from_offset, to_offset, record_chain, decision_chain, marks)
		SELECT partition, $3, $4, $10, $11, $12 FROM moved`

	// What a large batch has to be published comes when it is packed.
	leavePacked = `INSERT INTO outbox (partition, from_offset, to_offset, decisions) VALUES ($1, $2, $3, $4)`
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
	var decisions []byte // NULL: nothing to publish, or later
	packed := func() []byte { return nil }
	switch {
	case isLarge(batch.Decisions):
		packed = o.packager.packing(batch.Decisions)
		defer packed()
	case len(batch.Decisions) > 0:
		decisions = batch.Decisions
	}
	tx, err := o.pool.begin(ctx)
	if err != nil {
		return err
	}
	defer end(ctx, tx)

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
	rows := rowsOf(batch)
	if err := rows.write(ctx, tx); err != nil {
		return err
	}
	if packed := packed(); packed != nil {
		_, err := tx.Exec(ctx, leavePacked, batch.Partition, int64(batch.From), int64(batch.To), packed)
		if err != nil {
			return refused("leaving what is to be published", err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

func rowsOf(batch *allocator.Batch) batchRows {
	rows := batchRows{
		partition: batch.Partition, from: batch.From,
		requests: batch.Requests, results: batch.Results, starts: batch.Starts, oldestStart: batch.OldestStart,
	}
	for i := range batch.Sales {
		rows.addSale(&batch.Sales[i].Sale, batch.Sales[i].Was)
	}
	return rows
}
