package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// ErrOtherLog means that the ledger is a fold of another topic than the one
// that is there now.
var ErrOtherLog = errors.New("the ledger was made from another log: the topic has been deleted and made again, or this is another cluster's database")

// Bounds says how far a partition of the log goes.
type Bounds struct {
	Partition int32
	End       sale.Offset // the offset that its next record will get
}

// Partition is a partition as the ledger knows it.
type Partition struct {
	Partition  int32
	Schema     int  // the version that the ledger's fold has reached
	Rebuilding bool // no claims, no bindings, until audit rebuild has restored it
}

// PartitionRows makes the rows of partitions that have none. A row that is made
// for a log which has records already is rebuilding: what those records decided
// has been lost here, and is in the log. It changes no row that is there, and
// returns all that were asked for, in their order. ErrOtherLog: a row belongs
// to another topic; then nothing is made.
func PartitionRows(ctx context.Context, url string, topic event.TopicID, bounds []Bounds) ([]Partition, error) {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connecting to postgres: %w", err)
	}
	defer closeConnection(ctx, connection)

	var partitions []Partition
	err = pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO partitions (partition, topic, rebuilding)
			SELECT partition, $1, log_end > 0 FROM unnest($2::integer[], $3::bigint[]) AS log (partition, log_end)
			ON CONFLICT (partition) DO NOTHING`,
			topic[:],
			column(bounds, func(b *Bounds) int32 { return b.Partition }),
			column(bounds, func(b *Bounds) int64 { return int64(b.End) }))
		if err != nil {
			return fmt.Errorf("making rows of partitions: %w", err)
		}
		for _, b := range bounds {
			var raw []byte
			p := Partition{Partition: b.Partition}
			err := tx.QueryRow(ctx, `SELECT topic, schema, rebuilding FROM partitions WHERE partition = $1`, b.Partition).
				Scan(&raw, &p.Schema, &p.Rebuilding)
			if err != nil {
				return fmt.Errorf("reading the row of partition %d: %w", b.Partition, err)
			}
			if event.TopicID(raw) != topic {
				return fmt.Errorf("partition %d is of topic %v, not %v: %w", b.Partition, event.TopicID(raw), topic, ErrOtherLog)
			}
			partitions = append(partitions, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the partitions in the ledger: %w", err)
	}
	return partitions, nil
}

// partitionRow is a partition's own row.
type partitionRow struct {
	topic       event.TopicID
	epoch       int64
	next        sale.Offset
	now         sale.Time
	schema      int
	malformed   int64
	last        event.Digest
	oldestStart sale.Offset
	rebuilding  bool
	stopped     string

	recordChain, decisionChain event.Digest
	chainStart                 sale.Offset
}

const selectPartition = `
	SELECT topic, epoch, next_offset, log_time, schema, malformed, last_digest, oldest_start, rebuilding, stopped,
		record_chain, decision_chain, chain_start
	FROM partitions WHERE partition = $1`

// readPartition reads the row with selectPartition, or that and a lock.
func readPartition(ctx context.Context, tx pgx.Tx, query string, partition int32) (partitionRow, error) {
	var row partitionRow
	var topic, last, records, decisions []byte
	err := tx.QueryRow(ctx, query, partition).Scan(&topic, &row.epoch, &row.next, &row.now,
		&row.schema, &row.malformed, &last, &row.oldestStart, &row.rebuilding, &row.stopped,
		&records, &decisions, &row.chainStart)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, allocator.ErrNoPartition
	}
	if err != nil {
		return row, fmt.Errorf("reading the partition's row: %w", err)
	}
	row.topic, row.last = event.TopicID(topic), event.Digest(last) // CHECKs see to their lengths
	row.recordChain, row.decisionChain = event.Digest(records), event.Digest(decisions)
	return row, nil
}
