package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Tally is what the ledger holds, counted.
type Tally struct {
	Partitions []PartitionTally // all, in order
}

// PartitionTally is what the ledger holds of one partition.
type PartitionTally struct {
	Partition int32
	Watermark sale.Offset
	Malformed int64
	Sales     []SaleTally          // all, in order
	NoSale    map[sale.State]Count // requests that named no sale
}

// SaleTally is a sale beside what its requests' rows add up to. Requests that
// the sale's default answers for have no row: Sale.SoldOut and Sale.Rejected
// count them as well.
type SaleTally struct {
	Sale sale.Sale
	Rows map[sale.State]Count
}

// Count is how many requests there are, and the units that they ask for.
type Count struct {
	Requests int64
	Units    int64
}

// Tally counts, in one snapshot of the database.
func (r *Reader) Tally(ctx context.Context) (Tally, error) {
	var tally Tally
	err := r.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		tally, err = readTally(ctx, tx)
		return err
	})
	if err != nil {
		return Tally{}, fmt.Errorf("counting what the ledger holds: %w", err)
	}
	return tally, nil
}

// place names a sale among all partitions.
type place struct {
	partition int32
	sale      sale.Offset
}

func readTally(ctx context.Context, tx pgx.Tx) (Tally, error) {
	counts, err := readCounts(ctx, tx)
	if err != nil {
		return Tally{}, err
	}
	partitions, err := readAll(ctx, tx, func(row pgx.CollectableRow) (p PartitionTally, err error) {
		err = row.Scan(&p.Partition, &p.Watermark, &p.Malformed)
		return p, err
	}, `SELECT partition, next_offset, malformed FROM partitions ORDER BY partition`)
	if err != nil {
		return Tally{}, fmt.Errorf("reading the partitions: %w", err)
	}
	for i := range partitions {
		p := &partitions[i]
		p.NoSale = counts[place{p.Partition, sale.None}]
		sales, err := readSales(ctx, tx, p.Partition)
		if err != nil {
			return Tally{}, err
		}
		for _, s := range sales {
			p.Sales = append(p.Sales, SaleTally{Sale: s, Rows: counts[place{p.Partition, s.ID}]})
		}
	}
	return Tally{Partitions: partitions}, nil
}

func readCounts(ctx context.Context, tx pgx.Tx) (map[place]map[sale.State]Count, error) {
	// A malformed or foreign record can ask for any number: numeric adds them
	// up, and what no count of units can be is cut off.
	rows, err := tx.Query(ctx, `
		SELECT partition, sale, state, count(*), least(greatest(sum(quantity::numeric), 0), 9e18)::bigint
		FROM requests GROUP BY partition, sale, state`)
	if err != nil {
		return nil, fmt.Errorf("counting requests: %w", err)
	}
	counts := make(map[place]map[sale.State]Count)
	var at place
	var state sale.State
	var count Count
	_, err = pgx.ForEachRow(rows, []any{&at.partition, &at.sale, &state, &count.Requests, &count.Units}, func() error {
		if counts[at] == nil {
			counts[at] = make(map[sale.State]Count)
		}
		counts[at][state] = count
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("counting requests: %w", err)
	}
	return counts, nil
}
