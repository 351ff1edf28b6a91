package allocator

import (
	"context"
	"errors"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Log is the topic as an owner uses it.
type Log interface {
	// Topic is the topic's id, which names the log.
	Topic() event.TopicID

	// Open reads partition from offset on. Nothing is read from elsewhere: an
	// offset that the log does not have is an error of Read.
	Open(partition int32, from sale.Offset) (Reader, error)

	// Bounds gives the offset of the first record that the log still has and
	// the offset that its next one will get.
	Bounds(ctx context.Context, partition int32) (start, end sale.Offset, err error)

	// Entry reads the one record at offset.
	Entry(ctx context.Context, partition int32, offset sale.Offset) (event.Entry, error)

	// Append adds a record and calls done once, from another goroutine, with
	// its offset or an error, after which the record may still be in the log.
	// done must not block. An error that is returned means that nothing was
	// appended and done is not called.
	Append(partition int32, key, value []byte, done func(sale.Offset, error)) error
}

// Reader reads one partition in order, without gaps.
type Reader interface {
	// Read waits for records and gives at least one, with the log's end as the
	// broker last told it. The entries are the caller's.
	Read(ctx context.Context) (entries []event.Entry, end sale.Offset, err error)
	Close()
}

// Membership is this process's place in the consumer group, which only
// assigns.
type Membership interface {
	// Run takes part in the group until ctx is done, and then leaves it. It
	// calls assigned and lost from one goroutine at a time; neither may block.
	Run(ctx context.Context, assigned, lost func(partitions []int32)) error

	// Prove asks the group's coordinator whether it still counts this member
	// in, under the generation in which its partitions were assigned.
	Prove(ctx context.Context) error
}

// Ledger is Postgres as an owner uses it.
type Ledger interface {
	// Claim makes the caller the partition's owner, in one transaction: it
	// locks the partition's row, calls prove, raises the epoch, reads all
	// state. An error of prove is returned and nothing is changed.
	Claim(ctx context.Context, partition int32, prove func(context.Context) error) (Claim, error)

	// Commit writes a batch in one transaction, on condition that the
	// partition is still at (batch.Epoch, batch.From). It returns ErrFenced
	// where it is not. After any other error the batch may be committed or not.
	Commit(ctx context.Context, batch *Batch) error

	// Stop notes why a partition cannot go on, for ingresses and operators to
	// see. The next claim clears it. It does nothing if the epoch has moved on.
	Stop(ctx context.Context, partition int32, epoch int64, why string) error
}

// Errors of a Ledger.
var (
	// ErrFenced means that somebody else has become the partition's owner, or
	// that an earlier commit of unknown outcome has succeeded.
	ErrFenced = errors.New("the partition has moved on")
	// ErrRefused means that the ledger refuses a batch which a correct core
	// cannot have made. Nothing of it is there, and trying again does not help.
	ErrRefused = errors.New("the ledger refuses the batch")
	// ErrRebuilding means that the partition's rows are not restored from the
	// log yet.
	ErrRebuilding = errors.New("the partition is being rebuilt from the log")
	// ErrNoPartition means that the ledger has no row for the partition.
	ErrNoPartition = errors.New("the ledger has no such partition: run anteroom migrate")
)

// Claim is what an owner begins with.
type Claim struct {
	Epoch int64
	Topic event.TopicID // the log that the ledger is a fold of
	Last  event.Digest  // of the record before State.Next; zero at 0
	State sale.Snapshot

	// Heads of the chains over the records and the decisions below State.Next.
	RecordChain, DecisionChain event.Digest
}

// Batch is what the records of [From, To) changed.
type Batch struct {
	Partition int32
	Epoch     int64
	From, To  sale.Offset

	Now       sale.Time
	Schema    int
	Malformed int64 // in all
	Last      event.Digest

	// Heads of the chains after the batch, and a mark of the first one after
	// each of its records.
	RecordChain, DecisionChain event.Digest
	Marks                      []byte

	Requests    []sale.Request // each request's latest row, each request once
	Results     []sale.Result
	Starts      []sale.Start
	OldestStart sale.Offset // starts with Below under it are to be dropped
	Sales       []SaleChange

	// Decisions are what is to be published, encoded. The ledger keeps them
	// with the batch until an Outbox is told that they are. Empty: nothing.
	Decisions []byte

	decisions []sale.Decision          // what the rows are made of
	decided   *event.DecisionBatch     // what Decisions is made of; nil: nothing
	outcomes  map[outcome]int          // for metrics
	leases    map[sale.Offset][]string // that let the batch's requests in, by sale
}

// SaleChange is a sale as it is after the batch.
type SaleChange struct {
	Sale sale.Sale
	// Was is the revision that the ledger has it at, or sale.None for a new
	// one. A ledger that has another refuses the batch.
	Was sale.Offset
}

// Feed carries messages to boards, at most once.
type Feed interface {
	Publish(ctx context.Context, message []byte) error
}

// Credits is the gate as an owner feeds it.
type Credits interface {
	// Grant tells the gate what can be sold of sales whose policy is reject.
	// The gate takes each Credit only if it is newer than what it has. An
	// error is no harm: the owner tells it again within a second.
	Grant(ctx context.Context, topic event.TopicID, credits []Credit) error
}

// Credit is what can be sold of a sale once everything below Next is decided.
type Credit struct {
	Product   sale.Product
	Sale      sale.Offset
	Next      sale.Offset
	Available int64    // units
	Ended     []string // leases whose requests are decided below Next
}
