package ingress

import (
	"context"
	"errors"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Log is the topic as an ingress uses it.
type Log interface {
	// Topic is the topic's id, which names the log.
	Topic() event.TopicID

	// Partitions is how many partitions the log has.
	Partitions() int32

	// Append adds a record and calls done once, from another goroutine, with
	// its offset or an error; done must not block. The record is produced under
	// the process's context, not a request's, and is retried for as long as the
	// process lives: done may come long after the caller has stopped waiting.
	// ErrOverloaded, returned at once and without a call of done, means that
	// the door is to shed: the oldest record that is not acknowledged is too
	// old, or too many wait.
	Append(partition int32, key, value []byte, done func(sale.Offset, error)) error
}

// ErrOverloaded is what a Log returns instead of taking a record.
var ErrOverloaded = errors.New("the log does not keep up")

// Gate is Redis as an ingress uses it: layer 1, and hints.
type Gate interface {
	// Admit asks for many buyers at once in the adapter; a lone call does not
	// wait for others. It never blocks, and answers once: from another
	// goroutine, which answers everybody else too, or before it returns.
	Admit(ask Ask, asker Asker)

	// Remember stores a request as its buyer's latest one, so that a repeated
	// click finds it. It calls done, which may be nil, when it is stored or
	// has failed; it never blocks.
	Remember(ask Ask, hint Hint, done func())

	// Yield hands back a lease whose record is certainly not in the log, so that
	// its units are free at once. It may fail: a lease ends by itself. It never
	// blocks.
	Yield(ask Ask, lease string)
}

// Asker is who asks a gate.
type Asker interface {
	// Left reports whether nobody waits for the answer any more. Who has left
	// when its turn comes is not asked for, and hears an error.
	Left() bool

	// Admitted is the answer. It must not block. An error means that Redis cannot
	// tell: the asker falls back on its own limiter. A lease that is of no use is
	// the asker's to Yield.
	Admitted(admission Admission, err error)
}

// Ask names who wants to buy what.
type Ask struct {
	Log     event.TopicID
	Product sale.Product
	Sale    sale.Offset
	Buyer   sale.Buyer // pseudonym
	Fresh   bool       // the hint is known to be over: apply the limit

	// Units is above 0 where the sale's policy is reject: who is let in needs
	// a credit of so many.
	Units int64
}

// Admission is the gate's answer.
type Admission struct {
	// Hint is the buyer's latest request, if one is known. It is never trusted
	// over the board. A call that finds one does not count against the limit.
	Hint *Hint
	// RetryAfter is above 0 for a buyer who has to wait that long. It is not
	// set along with a Hint.
	RetryAfter time.Duration

	// The rest is set for an Ask with Units, where there is neither a Hint nor
	// a RetryAfter.

	// Lease names the credit that was given, for the record. It ends when the
	// request is decided, or by itself.
	Lease string
	// Full means that what can still be sold is leased to others.
	Full bool
	// Unknown means that the gate has lost what can be sold, and will be told
	// by the sale's owner within about a second.
	Unknown bool
}

// Hint is what is stored of a buyer's request: enough to make its ticket.
type Hint struct {
	Offset     sale.Offset
	Quantity   int64
	AcceptedAt sale.Time
}

// Requests is the ledger as operators page through it.
type Requests interface {
	// List gives requests that have a row, in the order of the log.
	List(ctx context.Context, page Page) ([]sale.Request, error)
}

// Page says which requests of a sale are asked for.
type Page struct {
	Partition int32
	Sale      sale.Offset
	State     sale.State  // "" is any
	After     sale.Offset // only those behind it; sale.None is from the first on
	Limit     int
}

// Bindings gives each product its partition.
type Bindings interface {
	// Bind gives the partition that the product belongs to. A product without
	// one is bound, for ever, to wanted, or, where that is nil, to the
	// partition with the fewest open sales. ErrBound: it is bound to another
	// one than wanted.
	Bind(ctx context.Context, product sale.Product, wanted *int32) (int32, error)
}

// Errors of Bindings.
var (
	ErrBound           = errors.New("the product belongs to another partition")
	ErrNoSuchPartition = errors.New("the log has no such partition")
)
