package rebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Errors of a rebuild.
var (
	// ErrNotEmpty means that a ledger has what a rebuild would write over.
	ErrNotEmpty = errors.New("the ledger is not empty")
	// ErrUnderWay means that another rebuild has the ledger.
	ErrUnderWay = errors.New("another rebuild is at work on the ledger")
	// ErrOvertaken means that somebody else has moved or emptied a
	// partition that was being rebuilt.
	ErrOvertaken = errors.New("the partition is not where this rebuild left it")
	// ErrNoEarlierRows means that a replay begins above offset 0, and nobody
	// gives the rows that were decided below.
	ErrNoEarlierRows = errors.New("a ledger cannot be rebuilt from a state alone: the rows that were decided before it are missing")
	// ErrUnpublished means that a replay begins above decisions that are not
	// published, and so cannot make them again.
	ErrUnpublished = errors.New("decisions that are not published would be left out: begin at an earlier snapshot, or publish none")
)

// Ledger is a ledger that is filled from the log. It is used from one
// goroutine, and keeps nothing of what it is given.
type Ledger interface {
	// Begin makes the ledger's tables and its partitions' rows, and says which
	// of the extents are to be rebuilt; from then on nobody else writes to
	// those. It returns ErrNotEmpty, and has changed nothing, if there is
	// something in the ledger and none of it waits for being rebuilt, or if it
	// is of another topic.
	Begin(ctx context.Context, topic event.TopicID, extents []audit.Extent) ([]audit.Extent, error)
	// Clear empties a partition of what an interrupted rebuild has left.
	Clear(ctx context.Context, partition int32) error
	// Seat says that a partition begins with a state, of which the rows were
	// written by Write with no records.
	Seat(ctx context.Context, partition int32, state *audit.State) error
	// Write writes a batch in one transaction, on condition that the partition
	// is being rebuilt and has come to batch.From, or returns
	// ErrOvertaken. After any other error it may be there or not.
	Write(ctx context.Context, batch *Batch) error
	// Finish is Write of the last batch, which may be without records. In the
	// same transaction it binds the partition's products to it, and ends the
	// partition's being rebuilt. It gives the products that another partition
	// has had sales of, too.
	Finish(ctx context.Context, batch *Batch) ([]BoundTwice, error)
}

// Batch is what the records of [From, To) changed.
type Batch struct {
	Partition int32
	From, To  sale.Offset

	Now                        sale.Time
	Schema                     int
	Malformed                  int64 // in all
	Last                       event.Digest
	OldestStart                sale.Offset // starts with Below under it are to be dropped
	RecordChain, DecisionChain event.Digest
	Marks                      []byte

	EarlierRows
	Sales []Sale

	// Decisions are what is to be published, as event.DecisionBatch encodes it.
	Decisions []byte
}

// Sale is a sale as it is after a batch.
type Sale struct {
	Sale sale.Sale
	Was  sale.Offset // the revision that the ledger has it at; sale.None for a new one
}

// EarlierRows are rows of a ledger.
type EarlierRows struct {
	Requests []sale.Request // each request's latest row, each request once
	Results  []sale.Result
	Starts   []sale.Start
}

// BoundTwice is a product that two partitions have had sales of: a record was
// appended to a partition that it does not belong to.
type BoundTwice struct {
	Product sale.Product
	Bound   int32 // which had the first sale, and keeps the product
	Other   int32
}

// Published is the topic of decisions.
type Published interface {
	// Last gives the last decisions of a partition, in order: a thousand or so,
	// or all if they are fewer.
	Last(ctx context.Context, partition int32) ([]*event.Decision, error)
}

// Config says what is filled, and from what.
type Config struct {
	History *audit.History
	Ledger  Ledger
	// Published says up to where decisions are published: what comes after it
	// is left to be published, in the ledger. nil: nothing is.
	Published Published
	// BatchRecords is how many records a batch has at most; 0: 20,000.
	BatchRecords int
}

// Result is what a rebuild has done.
type Result struct {
	Partitions []FilledPartition
	Records    int64
	BoundTwice []BoundTwice
}

// FilledPartition is a partition of a ledger, filled. It counts its rows.
type FilledPartition struct {
	Partition                int32
	From, To                 sale.Offset // the records that were decided again
	Requests, Results, Sales int64
	// Publishes is the record from which on decisions are left to be published;
	// at or after To: none.
	Publishes sale.Offset
}

// Run rebuilds what waits for it, up to the log's ends as they are now. What is
// appended meanwhile is for the partitions' next owners to decide. A partition
// is finished, or begun anew by the next rebuild: it is never half there for
// anybody else. After an error the finished ones are in the result.
func Run(ctx context.Context, config Config) (*Result, error) {
	extents, err := config.History.Ends(ctx)
	if err != nil {
		return nil, err
	}
	for i := range extents {
		extents[i].From = sale.None // wherever a snapshot lets it begin
	}
	if extents, err = config.Ledger.Begin(ctx, config.History.Log.Topic(), extents); err != nil {
		return nil, fmt.Errorf("preparing the ledger: %w", err)
	}
	done := new(Result)
	fillings := make(map[int32]*filling)
	for _, of := range extents {
		f := &filling{
			ledger: config.Ledger, topic: config.History.Log.Topic(), end: of.To, done: done,
			FilledPartition: FilledPartition{Partition: of.Partition, To: of.To, Publishes: of.To},
			revisions:       make(map[sale.Offset]sale.Offset), most: cmp.Or(config.BatchRecords, maxRecords),
		}
		if err := config.publishing(ctx, f); err != nil {
			return nil, err
		}
		fillings[of.Partition] = f
	}
	history := *config.History
	if history.Snapshots != nil {
		history.Snapshots = earlyEnough{history.Snapshots, fillings}
	}
	err = history.Replay(ctx, extents, func(of audit.Extent) audit.Visitor {
		f := fillings[of.Partition]
		return &visitor{
			begin: func(p *audit.Replay) error { return config.begin(ctx, f, p) },
			step:  func(p *audit.Replay, s audit.Step) error { return f.step(ctx, p, s) },
			end:   func(p *audit.Replay) error { return f.finish(ctx, p) },
		}
	})
	return done, err
}

// earlyEnough are the snapshots that stand for no decision which is yet to be
// published.
type earlyEnough struct {
	audit.Snapshots
	fillings map[int32]*filling
}

// Newest implements [audit.Snapshots].
func (e earlyEnough) Newest(topic event.TopicID, partition int32, least, most sale.Offset) (audit.State, bool, error) {
	published := e.fillings[partition].Publishes
	state, found, err := e.Snapshots.Newest(topic, partition, least, min(most, published))
	if found || err != nil || least == 0 || most <= published {
		return state, found, err
	}
	later, found, err := e.Snapshots.Newest(topic, partition, least, most)
	if found && err == nil {
		err = unpublished(partition, published, later.Core.Next())
	}
	return audit.State{}, false, err
}

func unpublished(partition int32, published, begun sale.Offset) error {
	return fmt.Errorf("partition %d: decisions are published up to record %d, the replay begins at %d: %w", partition, published, begun, ErrUnpublished)
}

// visitor is an [audit.Visitor] whose methods know the context.
type visitor struct {
	begin, end func(*audit.Replay) error
	step       func(*audit.Replay, audit.Step) error
}

func (v *visitor) Begin(p *audit.Replay) error              { return v.begin(p) }
func (v *visitor) Step(p *audit.Replay, s audit.Step) error { return v.step(p, s) }
func (v *visitor) End(p *audit.Replay) error                { return v.end(p) }

// begin readies a partition for the first record.
func (c Config) begin(ctx context.Context, f *filling, p *audit.Replay) error {
	if err := c.Ledger.Clear(ctx, f.Partition); err != nil {
		return fmt.Errorf("emptying partition %d: %w", f.Partition, err)
	}
	f.From = p.Core().Next()
	if f.From > f.Publishes {
		return unpublished(f.Partition, f.Publishes, f.From)
	}
	if f.From > 0 {
		if err := c.writeEarlier(ctx, f, p); err != nil {
			return err
		}
	}
	f.open(p)
	return nil
}

// writeEarlier writes what was decided before the replay begins.
func (c Config) writeEarlier(ctx context.Context, f *filling, p *audit.Replay) error {
	kept := p.Kept()
	if kept == nil {
		return fmt.Errorf("partition %d at offset %d: %w", f.Partition, f.From, ErrNoEarlierRows)
	}
	rows := &earlier{ctx: ctx, ledger: c.Ledger, filling: f, batch: Batch{Partition: f.Partition}}
	if err := kept.Requests(rows.request); err != nil {
		return fmt.Errorf("restoring the requests of partition %d before offset %d: %w", f.Partition, f.From, err)
	}
	if err := kept.Results(rows.result); err != nil {
		return fmt.Errorf("restoring the results of partition %d before offset %d: %w", f.Partition, f.From, err)
	}
	if err := rows.write(); err != nil {
		return fmt.Errorf("restoring the rows of partition %d before offset %d: %w", f.Partition, f.From, err)
	}
	state := p.State()
	sales := &Batch{Partition: f.Partition}
	sales.Starts = state.Core.Starts()
	for _, s := range state.Core.Sales() {
		sales.Sales = append(sales.Sales, Sale{Sale: s, Was: sale.None})
		f.revisions[s.ID] = s.Revision
		f.stand(&s)
		f.Sales++
	}
	if err := c.Ledger.Write(ctx, sales); err != nil {
		return fmt.Errorf("writing the sales of partition %d at offset %d: %w", f.Partition, f.From, err)
	}
	if err := c.Ledger.Seat(ctx, f.Partition, &state); err != nil {
		return fmt.Errorf("beginning partition %d at offset %d: %w", f.Partition, f.From, err)
	}
	return nil
}

// earlier writes rows that a snapshot kept, some at a time.
type earlier struct {
	ctx     context.Context //nolint:containedctx // of one call, which reads the rows
	ledger  Ledger
	filling *filling
	batch   Batch
}

func (e *earlier) request(row sale.Request) error {
	e.filling.Requests++
	e.batch.Requests = append(e.batch.Requests, row)
	return e.writeMany()
}

func (e *earlier) result(row sale.Result) error {
	e.filling.Results++
	e.batch.Results = append(e.batch.Results, row)
	return e.writeMany()
}

func (e *earlier) writeMany() error {
	if len(e.batch.Requests)+len(e.batch.Results) < earlierRows {
		return nil
	}
	return e.write()
}

// earlierRows is how many rows are written at once.
const earlierRows = 5000

func (e *earlier) write() error {
	if len(e.batch.Requests)+len(e.batch.Results) == 0 {
		return nil
	}
	err := e.ledger.Write(e.ctx, &e.batch)
	e.batch.Requests, e.batch.Results = e.batch.Requests[:0], e.batch.Results[:0]
	return err
}
