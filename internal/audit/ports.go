package audit

import (
	"context"
	"errors"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Log is the topic as an audit reads it. Nothing is written to it.
type Log interface {
	// Topic is the topic's id, which names the log.
	Topic() event.TopicID
	// Partitions is how many there are.
	Partitions() int32
	// Bounds gives the offset of the first record that a partition still has
	// and the offset that its next one will get.
	Bounds(ctx context.Context, partition int32) (start, end sale.Offset, err error)
	// Open reads a partition from an offset on, in order and without gaps.
	Open(partition int32, from sale.Offset) (Reader, error)
}

// Reader reads one partition. Its methods are called from one goroutine.
type Reader interface {
	// Read waits for records and gives at least one. The entries are the
	// caller's.
	Read(ctx context.Context) ([]event.Entry, error)
	Close()
}

// ErrMissing means that a record is not in the log, though later ones are. A
// Reader gives what comes before it first.
var ErrMissing = errors.New("the log lacks a record")

// ErrUnreachable means that a partition's next record, which is there, did not
// come.
var ErrUnreachable = errors.New("no broker gives the partition's records")

// Ledger is Postgres as an audit reads it.
type Ledger interface {
	// Cut calls read with the ledger as it is at one moment, of which the
	// service that goes on changes nothing.
	Cut(ctx context.Context, read func(ctx context.Context, cut Cut) error) error
}

// Cut is the ledger at one moment. It is used from one goroutine.
type Cut interface {
	// Partitions gives all, by number.
	Partitions(ctx context.Context) ([]PartitionRow, error)
	// Bindings gives the partition that each product belongs to.
	Bindings(ctx context.Context) (map[sale.Product]int32, error)
	// Sales gives a partition's sales by their ids.
	Sales(ctx context.Context, partition int32) ([]sale.Sale, error)
	// Starts gives a partition's starts from an offset on, in order.
	Starts(ctx context.Context, partition int32, oldest sale.Offset) ([]sale.Start, error)
	// Requests gives a partition's rows in the order of (cause, request).
	Requests(ctx context.Context, partition int32) (Rows[sale.Request], error)
	// Results gives a partition's results in the order of their commands.
	Results(ctx context.Context, partition int32) (Rows[sale.Result], error)
	// Batches gives a partition's batches in their order.
	Batches(ctx context.Context, partition int32) (Rows[BatchRow], error)
}

// Rows gives the rows of a query, as many at a time as fit into memory.
type Rows[Row any] interface {
	// Page gives the next rows; none: there are no more.
	Page(ctx context.Context) ([]Row, error)
}

// PartitionRow is a partition as the ledger has it.
type PartitionRow struct {
	Partition   int32
	Topic       event.TopicID // the log that the ledger is a fold of
	Next        sale.Offset   // the watermark: everything below is decided
	Now         sale.Time
	Schema      int
	Malformed   int64
	Last        event.Digest // of the record before Next; zero at 0
	OldestStart sale.Offset
	Rebuilding  bool   // its rows are not restored from the log yet
	Stopped     string // why its owner cannot go on

	// Heads of the chains over what was decided from ChainStart on.
	RecordChain, DecisionChain event.Digest
	ChainStart                 sale.Offset
}

// BatchRow is what the ledger keeps of a batch of records.
type BatchRow struct {
	From, To                   sale.Offset
	RecordChain, DecisionChain event.Digest // heads after it
	Marks                      []byte       // of the first one after each record
}
