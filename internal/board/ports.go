package board

import (
	"context"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Ledger is Postgres as a board reads it.
type Ledger interface {
	// Since reads, in one snapshot of the database, a partition's watermark
	// and everything that was caused at or after from. Where that is more than
	// limit rows of requests or of results, it gives those caused at or after
	// the later offset Extract.From, and all requests that wait.
	Since(ctx context.Context, partition int32, from sale.Offset, limit int) (Extract, error)

	// Request reads one request, in one snapshot with the partition's
	// watermark.
	Request(ctx context.Context, partition int32, offset sale.Offset) (Found, error)

	// Result reads a command's result, or gives false if there is none.
	Result(ctx context.Context, partition int32, command sale.Offset) (sale.Result, bool, error)
}

// Extract is what a ledger says of a partition.
type Extract struct {
	Topic     event.TopicID
	Epoch     int64
	Watermark sale.Offset
	Now       sale.Time // log time
	Stopped   string    // why the partition cannot go on; empty if it can

	// From is what was asked for, or later where that would be too much. The
	// rows below are those caused at or after it.
	From        sale.Offset
	Requests    []sale.Request
	Results     []sale.Result
	Sales       []sale.Sale  // all
	Starts      []sale.Start // all
	OldestStart sale.Offset

	// Waiting is all requests that wait, in any order, where From is later than
	// what was asked for: then not all of them are in Requests. It may be left
	// out where From is not later.
	Waiting []Waiting
}

// Waiting is a request that waits for a unit, or for its checkout window.
type Waiting struct {
	Offset  sale.Offset
	Sale    sale.Offset
	State   sale.State  // Waitlisted or Reserved
	Granted sale.Offset // of a reserved one
}

// Found is one request in the ledger.
type Found struct {
	Watermark sale.Offset
	Row       *sale.Request // nil if it has none
}

// Feed brings the messages that owners publish.
type Feed interface {
	// Run subscribes and calls receive for every message, from one goroutine,
	// until ctx is done. It subscribes again by itself, and calls subscribed
	// each time that a subscription begins to hold: what was published before
	// may have been missed.
	Run(ctx context.Context, subscribed func(), receive func(message []byte)) error
}
