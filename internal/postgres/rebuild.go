package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/rebuild"
	"github.com/anteroomhq/anteroom/pkg/event"
)

const (
	// rebuildLock is the advisory lock, of the database, that a rebuild holds.
	rebuildLock int64 = 0x616e7465726f6f6d // "anteroom"
	// How long a rebuild waits for it: as long as the server may take to see
	// that the one before was killed.
	rebuildLockTimeout = "3s"
)

const (
	rebuildFence = `
		UPDATE partitions SET ` + rowMoved + `, rebuilding = NOT $2::boolean
		WHERE partition = $1 AND next_offset = $3 AND rebuilding`

	moveRebuilt = `WITH moved AS (` + rebuildFence + ` RETURNING partition)` + leave
)

// Rebuild is the ledger as a rebuild fills it. All that it does after Begin goes
// through one session, which holds the lock: a rebuild that has lost the lock
// has lost its connection too.
type Rebuild struct {
	url        string
	report     func(line string)
	packager   *packager
	connection *pgx.Conn // nil before Begin
}

var _ rebuild.Ledger = (*Rebuild)(nil)

// NewRebuild makes a Rebuild, which connects with Begin. report hears of
// migrations.
func NewRebuild(url string, report func(line string)) (*Rebuild, error) {
	packager, err := newPackager()
	if err != nil {
		return nil, err
	}
	return &Rebuild{url: url, report: report, packager: packager}, nil
}

// Close ends the session.
func (r *Rebuild) Close(ctx context.Context) {
	if r.connection != nil {
		closeConnection(ctx, r.connection)
	}
}

// connect opens a session without timeouts: emptying a large partition takes
// long, and no owner waits for a partition that is being rebuilt.
func (r *Rebuild) connect(ctx context.Context) error {
	config, err := pgx.ParseConfig(r.url)
	if err != nil {
		return fmt.Errorf("reading the address of postgres: %w", err)
	}
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["application_name"] = "anteroom rebuild"
	config.RuntimeParams["lock_timeout"] = rebuildLockTimeout
	// So that its lock ends soon after its machine.
	for name, value := range map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3"} {
		config.RuntimeParams[name] = value
	}
	if r.connection, err = pgx.ConnectConfig(ctx, config); err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	return nil
}

// Begin implements [rebuild.Ledger]. It looks before it makes tables, so that
// a ledger which is refused has not even been migrated.
func (r *Rebuild) Begin(ctx context.Context, topic event.TopicID, extents []audit.Extent) ([]audit.Extent, error) {
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	_, err := r.connection.Exec(ctx, `SELECT pg_advisory_lock($1)`, rebuildLock)
	if isLockTimeout(err) {
		return nil, rebuild.ErrUnderWay
	}
	if err != nil {
		return nil, fmt.Errorf("taking the lock of rebuilds: %w", err)
	}
	var made bool
	if err := r.connection.QueryRow(ctx, `SELECT to_regclass('partitions') IS NOT NULL`).Scan(&made); err != nil {
		return nil, fmt.Errorf("looking for the ledger: %w", err)
	}
	if made {
		err := r.within(ctx, func(tx pgx.Tx) error {
			_, err := rebuildable(ctx, tx, topic)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if err := Migrate(ctx, r.url, r.report); err != nil {
		return nil, err
	}
	bounds := make([]Bounds, len(extents))
	for i, extent := range extents {
		bounds[i] = Bounds{Partition: extent.Partition, End: extent.To}
	}
	if _, err := PartitionRows(ctx, r.url, topic, bounds); err != nil {
		return nil, err
	}
	var chosen []audit.Extent
	err = r.within(ctx, func(tx pgx.Tx) error {
		waiting, err := rebuildable(ctx, tx, topic)
		if err != nil {
			return err
		}
		for _, extent := range extents {
			if rebuilding, ok := waiting[extent.Partition]; ok && (rebuilding || extent.To > 0) {
				chosen = append(chosen, extent)
			}
		}
		return reserve(ctx, tx, chosen)
	})
	if err != nil {
		return nil, err
	}
	return chosen, nil
}

// rebuildable locks the partitions' rows and gives those that a rebuild may
// fill, and whether they are rebuilding.
//
// Where some are rebuilding, those that are not are left alone: they were
// finished by a rebuild that was interrupted, or nothing of them was ever lost.
// Where none is, all have to be empty.
func rebuildable(ctx context.Context, tx pgx.Tx, topic event.TopicID) (map[int32]bool, error) {
	type standing struct {
		partition         int32
		topic             []byte
		rebuilding, empty bool
	}
	standings, err := readAll(ctx, tx, func(row pgx.CollectableRow) (s standing, err error) {
		err = row.Scan(&s.partition, &s.topic, &s.rebuilding, &s.empty)
		return s, err
	}, `
		SELECT partition, topic, rebuilding, next_offset = 0
			AND NOT EXISTS (SELECT FROM requests WHERE requests.partition = partitions.partition)
			AND NOT EXISTS (SELECT FROM results WHERE results.partition = partitions.partition)
			AND NOT EXISTS (SELECT FROM sales WHERE sales.partition = partitions.partition)
			AND NOT EXISTS (SELECT FROM starts WHERE starts.partition = partitions.partition)
		FROM partitions ORDER BY partition FOR UPDATE`)
	if err != nil {
		return nil, fmt.Errorf("looking at the partitions: %w", err)
	}
	waiting, empty := make(map[int32]bool), make(map[int32]bool)
	var full []int32
	for _, s := range standings {
		if event.TopicID(s.topic) != topic {
			return nil, fmt.Errorf("partition %d is of topic %v, not %v: %w: %w", s.partition, event.TopicID(s.topic), topic, rebuild.ErrNotEmpty, ErrOtherLog)
		}
		switch {
		case s.rebuilding:
			waiting[s.partition] = true
		case s.empty:
			empty[s.partition] = false
		default:
			full = append(full, s.partition)
		}
	}
	switch {
	case len(full) == 0:
		for partition := range empty {
			waiting[partition] = false
		}
	case len(waiting) == 0:
		return nil, fmt.Errorf("%w: partitions %v have been decided, and none waits for being rebuilt; nothing was changed", rebuild.ErrNotEmpty, full)
	}
	return waiting, nil
}

// reserve keeps owners off the partitions. An owner from before the ledger was
// lost may still be there, with an epoch that the lost ledger gave it. No epoch
// is as high as the time in milliseconds, so none of those that come is one of
// those that were.
func reserve(ctx context.Context, tx pgx.Tx, extents []audit.Extent) error {
	_, err := tx.Exec(ctx, `
		UPDATE partitions SET rebuilding = true, stopped = '',
			epoch = greatest(epoch, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
		WHERE partition = ANY ($1)`,
		column(extents, func(e *audit.Extent) int32 { return e.Partition }))
	if err != nil {
		return fmt.Errorf("keeping owners off the partitions: %w", err)
	}
	return nil
}

// Clear implements [rebuild.Ledger]. What an interrupted rebuild has written
// is written again, rather than trusted. Bindings stay: they are for ever.
func (r *Rebuild) Clear(ctx context.Context, partition int32) error {
	return r.within(ctx, func(tx pgx.Tx) error {
		cleared, err := tx.Exec(ctx, `
			UPDATE partitions SET next_offset = 0, log_time = 0, schema = 0, malformed = 0, oldest_start = 0, chain_start = 0,
				last_digest = $2, record_chain = $2, decision_chain = $2
			WHERE partition = $1 AND rebuilding`,
			partition, make([]byte, len(event.Digest{})))
		if err != nil {
			return fmt.Errorf("setting it back: %w", err)
		}
		if cleared.RowsAffected() != 1 {
			return rebuild.ErrOvertaken
		}
		for _, table := range []string{"requests", "results", "starts", "sales", "batches", "outbox"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE partition = $1`, partition); err != nil {
				return fmt.Errorf("emptying table %s: %w", table, err)
			}
		}
		return nil
	})
}

// Seat implements [rebuild.Ledger].
func (r *Rebuild) Seat(ctx context.Context, partition int32, state *audit.State) error {
	core := state.Core
	seat := &rebuild.Batch{
		Partition: partition, To: core.Next(), Now: core.Now(), Schema: core.Schema(), Malformed: core.Malformed(), Last: state.Last,
		OldestStart: core.OldestStart(), RecordChain: state.RecordChain, DecisionChain: state.DecisionChain,
	}
	return r.within(ctx, func(tx pgx.Tx) error {
		moved, err := tx.Exec(ctx, rebuildFence, moveArguments(seat, false)...)
		if err != nil {
			return fmt.Errorf("moving the partition on: %w", err)
		}
		if moved.RowsAffected() != 1 {
			return rebuild.ErrOvertaken
		}
		if _, err := tx.Exec(ctx, `UPDATE partitions SET chain_start = $2 WHERE partition = $1`, partition, int64(state.ChainStart)); err != nil {
			return fmt.Errorf("noting where the chains begin: %w", err)
		}
		// One batch, without marks, stands for those that were lost.
		_, err = tx.Exec(ctx, `
			INSERT INTO batches (partition, from_offset, to_offset, record_chain, decision_chain, marks)
			SELECT $1, $2, $3, $4, $5, '' WHERE $2::bigint < $3::bigint`,
			partition, int64(state.ChainStart), int64(core.Next()), state.RecordChain[:], state.DecisionChain[:])
		if err != nil {
			return fmt.Errorf("writing the heads of the chains: %w", err)
		}
		return nil
	})
}

// Write implements [rebuild.Ledger].
func (r *Rebuild) Write(ctx context.Context, batch *rebuild.Batch) error {
	return r.within(ctx, func(tx pgx.Tx) error { return r.write(ctx, tx, batch, false) })
}

// Finish implements [rebuild.Ledger].
func (r *Rebuild) Finish(ctx context.Context, batch *rebuild.Batch) (twice []rebuild.BoundTwice, err error) {
	err = r.within(ctx, func(tx pgx.Tx) error {
		if err := r.write(ctx, tx, batch, true); err != nil {
			return err
		}
		twice, err = bindSold(ctx, tx, batch.Partition)
		return err
	})
	if err != nil {
		return nil, err
	}
	return twice, nil
}

// writtenAtOnce is how many requests one statement writes.
const writtenAtOnce = 20_000

func (r *Rebuild) write(ctx context.Context, tx pgx.Tx, batch *rebuild.Batch, finished bool) error {
	move, arguments := rebuildFence, moveArguments(batch, finished)
	if batch.To > batch.From {
		var decisions []byte // NULL: nothing to publish
		if len(batch.Decisions) > 0 {
			decisions = r.packager.pack(batch.Decisions)
		}
		move, arguments = moveRebuilt, append(arguments, batch.Marks, decisions)
	}
	moved, err := tx.Exec(ctx, move, arguments...)
	if err != nil {
		return refused("moving the partition on", err)
	}
	if moved.RowsAffected() != 1 {
		return rebuild.ErrOvertaken
	}
	for chunk := range slices.Chunk(batch.Requests, writtenAtOnce) {
		some := batchRows{partition: batch.Partition, from: batch.From, requests: chunk}
		if err := some.write(ctx, tx); err != nil {
			return err
		}
	}
	rows := batchRows{
		partition: batch.Partition, from: batch.From, results: batch.Results, starts: batch.Starts, oldestStart: batch.OldestStart,
	}
	for i := range batch.Sales {
		rows.addSale(&batch.Sales[i].Sale, batch.Sales[i].Was)
	}
	return rows.write(ctx, tx)
}

// moveArguments are rebuildFence's.
func moveArguments(b *rebuild.Batch, finished bool) []any {
	return []any{
		b.Partition, finished, int64(b.From), int64(b.To),
		int64(b.Now), b.Schema, b.Malformed, b.Last[:], int64(b.OldestStart),
		b.RecordChain[:], b.DecisionChain[:],
	}
}

// bindSold binds products to the partition that had their sales. Where two had,
// the one with the first sale keeps the product: a binding is older than all
// sales, so that is most likely where it was bound.
func bindSold(ctx context.Context, tx pgx.Tx, partition int32) ([]rebuild.BoundTwice, error) {
	_, err := tx.Exec(ctx, `
		INSERT INTO products (product, partition)
		SELECT DISTINCT product, partition FROM sales WHERE partition = $1
		ON CONFLICT (product) DO NOTHING`, partition)
	if err != nil {
		return nil, fmt.Errorf("binding products: %w", err)
	}
	twice, err := readAll(ctx, tx, func(row pgx.CollectableRow) (twice rebuild.BoundTwice, err error) {
		var earlier bool
		if err = row.Scan(&twice.Product, &twice.Bound, &earlier); err != nil {
			return twice, err
		}
		if twice.Other = partition; earlier {
			twice.Bound, twice.Other = twice.Other, twice.Bound
		}
		return twice, nil
	}, `
		SELECT product, products.partition, coalesce(min(sales.created_at) <
			(SELECT min(created_at) FROM sales AS bound WHERE bound.partition = products.partition AND bound.product = products.product), false)
		FROM products JOIN sales USING (product)
		WHERE sales.partition = $1 AND products.partition <> $1
		GROUP BY product, products.partition ORDER BY product`, partition)
	if err != nil {
		return nil, fmt.Errorf("looking for products that are bound elsewhere: %w", err)
	}
	for i := range twice {
		if twice[i].Bound != partition {
			continue
		}
		_, err := tx.Exec(ctx, `UPDATE products SET partition = $2 WHERE product = $1`, string(twice[i].Product), partition)
		if err != nil {
			return nil, fmt.Errorf("binding product %q: %w", twice[i].Product, err)
		}
	}
	return twice, nil
}

// within runs what work does in one transaction of the session.
func (r *Rebuild) within(ctx context.Context, work func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, r.connection, work)
}
