package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	outboxTimeout = 5 * time.Second
	// How many rows one read gives at most, and looks at.
	outboxRows = 1000
	// How many times smaller decisions may be while they wait: what fits a limit
	// is reckoned by it.
	outboxPacked = 16
	// How many one statement removes, so that statement_timeout is far.
	outboxRemoved = 5000
)

// Outbox gives what batches left to be published. It needs no ownership.
type Outbox struct {
	pool     *pool
	packager *packager
}

var _ allocator.Outbox = (*Outbox)(nil)

// NewOutbox makes an Outbox, which connects when it is first used.
func NewOutbox(ctx context.Context, config Config) (*Outbox, error) {
	pool, err := newPool(ctx, config, map[string]string{
		"application_name":                    "anteroom outbox",
		"idle_in_transaction_session_timeout": "5s",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "5s",
		// It only removes. What a crash brings back is published once more.
		"synchronous_commit": "off",
	})
	if err != nil {
		return nil, err
	}
	packager, err := newPackager()
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Outbox{pool: pool, packager: packager}, nil
}

// Close closes the connections, after the calls that use them have returned.
func (o *Outbox) Close() { o.pool.Close() }

// Waiting implements [allocator.Outbox].
func (o *Outbox) Waiting(ctx context.Context, partition int32, from sale.Offset, limit int) ([]allocator.Outgoing, error) {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	var waiting []allocator.Outgoing
	err := o.pool.within(ctx, func(tx pgx.Tx) (err error) {
		waiting, err = readAll(ctx, tx, func(row pgx.CollectableRow) (w allocator.Outgoing, err error) {
			var packed []byte
			if err := row.Scan(&w.From, &w.To, &packed); err != nil {
				return w, err
			}
			w.Lines, err = o.packager.unpack(packed)
			return w, err
		}, `
			SELECT from_offset, to_offset, decisions FROM (
				SELECT *, sum(octet_length(decisions)) OVER (ORDER BY from_offset) - octet_length(decisions) AS before
				FROM (SELECT * FROM outbox WHERE partition = $1 AND from_offset >= $2 ORDER BY from_offset LIMIT $4) AS next
			) AS sized
			WHERE before < $3 ORDER BY from_offset`,
			partition, int64(from), (limit+outboxPacked-1)/outboxPacked, outboxRows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what partition %d has to publish: %w", partition, err)
	}
	return waiting, nil
}

// Remove implements [allocator.Outbox].
func (o *Outbox) Remove(ctx context.Context, partition int32, below sale.Offset) error {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	for {
		var removed int64
		err := o.pool.within(ctx, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, `
				DELETE FROM outbox WHERE partition = $1 AND to_offset <= $2 AND from_offset <= (
					SELECT max(from_offset) FROM (
						SELECT from_offset FROM outbox WHERE partition = $1 AND from_offset < $2
						ORDER BY from_offset LIMIT $3) AS first)`,
				partition, int64(below), outboxRemoved)
			removed = tag.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("removing what partition %d has published: %w", partition, err)
		}
		if removed < outboxRemoved {
			return nil
		}
	}
}

// within runs what work does in one transaction.
func (p *pool) within(ctx context.Context, work func(tx pgx.Tx) error) error {
	tx, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end(ctx, tx)
	if err := work(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}
