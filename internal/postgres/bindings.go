package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const bindTimeout = 5 * time.Second

// Bindings is the ledger as an ingress binds products with it.
type Bindings struct {
	pool *pool
}

var _ ingress.Bindings = (*Bindings)(nil)

// NewBindings makes a Bindings, which connects when it is first used.
func NewBindings(ctx context.Context, config Config) (*Bindings, error) {
	pool, err := newPool(ctx, config, map[string]string{
		"application_name":                    "anteroom bindings",
		"idle_in_transaction_session_timeout": "2s",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "5s",
	})
	if err != nil {
		return nil, err
	}
	return &Bindings{pool: pool}, nil
}

// Close closes the connections, after the calls that use them have returned.
func (b *Bindings) Close() { b.pool.Close() }

// Bind implements [ingress.Bindings]. A wanted partition that the ledger does
// not know, or that is being rebuilt, is ingress.ErrNoSuchPartition. While any
// partition is being rebuilt, a product without a binding gets none
// (allocator.ErrRebuilding): the one that it was given for ever may be among
// those that are not restored yet.
func (b *Bindings) Bind(ctx context.Context, product sale.Product, wanted *int32) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	partition, err := b.bind(ctx, product, wanted)
	if err != nil {
		return 0, fmt.Errorf("binding product %q to a partition: %w", product, err)
	}
	if wanted != nil && *wanted != partition {
		return partition, fmt.Errorf("product %q belongs to partition %d, not %d: %w", product, partition, *wanted, ingress.ErrBound)
	}
	return partition, nil
}

func (b *Bindings) bind(ctx context.Context, product sale.Product, wanted *int32) (int32, error) {
	tx, err := b.pool.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end(ctx, tx)
	if bound, err := readBinding(ctx, tx, product); !errors.Is(err, pgx.ErrNoRows) {
		return bound, err
	}
	chosen, err := choose(ctx, tx, wanted)
	if err != nil {
		return 0, err
	}
	// Of two at once, one waits here for the other's commit and then inserts
	// nothing; both read what was committed first.
	_, err = tx.Exec(ctx, `INSERT INTO products (product, partition) VALUES ($1, $2) ON CONFLICT (product) DO NOTHING`,
		string(product), chosen)
	if err != nil {
		return 0, fmt.Errorf("writing the binding: %w", err)
	}
	bound, err := readBinding(ctx, tx, product)
	if err != nil {
		return 0, err
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, fmt.Errorf("committing: %w", err)
	}
	return bound, nil
}

// readBinding gives a product's partition, or pgx.ErrNoRows.
func readBinding(ctx context.Context, tx pgx.Tx, product sale.Product) (bound int32, err error) {
	err = tx.QueryRow(ctx, `SELECT partition FROM products WHERE product = $1`, string(product)).Scan(&bound)
	if err != nil {
		return 0, fmt.Errorf("reading the binding: %w", err)
	}
	return bound, nil
}

// choose gives the partition for a product that has none.
func choose(ctx context.Context, tx pgx.Tx, wanted *int32) (int32, error) {
	type candidate struct {
		partition  int32
		rebuilding bool
	}
	candidates, err := readAll(ctx, tx, func(row pgx.CollectableRow) (c candidate, err error) {
		err = row.Scan(&c.partition, &c.rebuilding)
		return c, err
	}, `
		SELECT partition, rebuilding FROM partitions LEFT JOIN sales USING (partition)
		GROUP BY partition ORDER BY count(sale) FILTER (WHERE stage <> 'closed'), partition`)
	if err != nil {
		return 0, fmt.Errorf("reading the partitions: %w", err)
	}
	var rebuilding, known bool
	for _, c := range candidates {
		rebuilding = rebuilding || c.rebuilding
		known = known || wanted == nil || (c.partition == *wanted && !c.rebuilding)
	}
	switch {
	case !known:
		return 0, ingress.ErrNoSuchPartition
	case rebuilding:
		return 0, fmt.Errorf("%w; until then no product gets a partition", allocator.ErrRebuilding)
	case wanted != nil:
		return *wanted, nil
	}
	return candidates[0].partition, nil
}
