package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// State is what a replay has come to at an offset, and goes on from.
type State struct {
	Core                       *sale.Partition
	Last                       event.Digest // of the record before; zero at 0
	RecordChain, DecisionChain event.Digest
	// ChainStart is where the chains begin, with zeros. Records below it are
	// not in them.
	ChainStart sale.Offset
	// Kept are the rows that a snapshot was made with; nil at the beginning.
	Kept Kept
}

// Kept gives the rows of a ledger that was at a state.
type Kept interface {
	Requests(each func(sale.Request) error) error // in the order of (cause, request)
	Results(each func(sale.Result) error) error   // in the order of commands
}

// Beginning is the state before a partition's first record.
func Beginning() State { return State{Core: sale.New()} }

// Step is one record that was decided. What it points to is good until the next
// step.
type Step struct {
	Entry       *event.Entry
	Record      *sale.Record
	Decisions   []sale.Decision
	RecordChain event.Digest // head after the record
}

// Replay decides a partition's records again, one after another, on the core
// that decided them, and keeps the chains of digests. It is used from one
// goroutine.
type Replay struct {
	partition  int32
	core       *sale.Partition
	changes    sale.Changes
	records    event.Digest
	decisions  *event.Chain
	decided    int64 // how many decisions
	last       event.Digest
	chainStart sale.Offset
	kept       Kept
	watch      func(next sale.Offset) // nil: nobody
}

// NewReplay goes on from a state, which is the replay's from now on.
func NewReplay(partition int32, from State) *Replay {
	return &Replay{
		partition: partition, core: from.Core,
		records: from.RecordChain, decisions: event.NewChain(from.DecisionChain), last: from.Last, chainStart: from.ChainStart, kept: from.Kept,
	}
}

// Partition is the number of the partition.
func (r *Replay) Partition() int32 { return r.partition }

// Core is the state that the records have made.
func (r *Replay) Core() *sale.Partition { return r.core }

// State is what the replay has come to. It goes on to own Core.
func (r *Replay) State() State {
	return State{Core: r.core, Last: r.last, RecordChain: r.records, DecisionChain: r.decisions.Head(), ChainStart: r.chainStart}
}

// Kept gives the rows that the replay began with, or nil where it began with
// none.
func (r *Replay) Kept() Kept { return r.kept }

// Decisions is how many the replay has made.
func (r *Replay) Decisions() int64 { return r.decided }

// DecisionChain is the head of the chain over the decisions.
func (r *Replay) DecisionChain() event.Digest { return r.decisions.Head() }

// Apply decides one record.
func (r *Replay) Apply(entry *event.Entry, record *sale.Record, chain event.Digest) (Step, error) {
	r.changes.Reset()
	if err := r.core.Apply(*record, &r.changes); err != nil {
		return Step{}, &undecidedError{step: Step{Entry: entry, Record: record, RecordChain: chain}, partition: r.partition, cause: err}
	}
	if record.Offset >= r.chainStart {
		for i := range r.changes.Decisions {
			r.decisions.AddDecision(&r.changes.Decisions[i])
		}
	}
	r.records = chain
	r.decided += int64(len(r.changes.Decisions))
	return Step{Entry: entry, Record: record, Decisions: r.changes.Decisions, RecordChain: chain}, nil
}

// undecidedError is about a record that the core cannot decide.
type undecidedError struct {
	step      Step
	partition int32
	cause     error
}

func (e *undecidedError) Error() string { return fmt.Sprintf("partition %d: %v", e.partition, e.cause) }
func (e *undecidedError) Unwrap() error { return e.cause }

// Changed gives the sales that the last record changed, as they are now.
func (r *Replay) Changed() []sale.Sale { return r.changes.Sales() }

// stalled is how long the next record, which is there, may take to come.
const stalled = 30 * time.Second

// How many records are handed from decoding to the core at once, and how many
// such portions there are, which are used again and again.
const (
	portionRecords = 2048
	portions       = 4
)

// portion is some records, decoded.
type portion struct {
	entries []event.Entry
	records []sale.Record
	chain   []event.Digest // the records' head after each
	err     error
}

// Run decides the records below end and calls each after every one. An error of
// each ends it. Reading and decoding go on beside it.
func (r *Replay) Run(ctx context.Context, log Log, end sale.Offset, each func(Step) error) error {
	if r.core.Next() >= end {
		return nil
	}
	reader, err := log.Open(r.partition, r.core.Next())
	if err != nil {
		return fmt.Errorf("opening partition %d: %w", r.partition, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	d := newDecoding(reader, r.core.Next(), end)
	d.chain, d.start = event.NewChain(r.records), r.chainStart
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		defer reader.Close()
		d.run(ctx)
	}()
	defer func() {
		cancel()
		<-closed
	}()
	for r.core.Next() < end {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case p := <-d.full:
			if err := r.take(p, each); err != nil {
				return err
			}
			d.free <- p
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take decides a portion's records.
func (r *Replay) take(p *portion, each func(Step) error) error {
	if p.err != nil {
		return fmt.Errorf("reading partition %d: %w", r.partition, p.err)
	}
	for i := range p.records {
		step, err := r.Apply(&p.entries[i], &p.records[i], p.chain[i])
		if err != nil {
			return err
		}
		if err := each(step); err != nil {
			return err
		}
	}
	r.last = p.entries[len(p.entries)-1].Digest()
	if r.watch != nil {
		r.watch(r.core.Next())
	}
	return nil
}

// decoding reads ahead of the core.
type decoding struct {
	reader     Reader
	decoder    event.Decoder
	next, end  sale.Offset
	start      sale.Offset // of the chain
	chain      *event.Chain
	full, free chan *portion
}

func newDecoding(reader Reader, next, end sale.Offset) *decoding {
	d := &decoding{reader: reader, next: next, end: end, full: make(chan *portion, portions), free: make(chan *portion, portions)}
	for range portions {
		d.free <- &portion{}
	}
	return d
}

// run reads and decodes until the end, an error, or ctx is done.
func (d *decoding) run(ctx context.Context) {
	for d.next < d.end {
		entries, err := d.read(ctx)
		for err != nil || len(entries) > 0 {
			var p *portion
			select {
			case p = <-d.free:
			case <-ctx.Done():
				return
			}
			if p.err = err; err != nil {
				d.full <- p
				return
			}
			n := min(len(entries), portionRecords)
			d.decode(p, entries[:n])
			entries = entries[n:]
			d.full <- p
		}
	}
}

// readSoon reads the records from next on, which are there.
func readSoon(ctx context.Context, reader Reader, next sale.Offset) ([]event.Entry, error) {
	patient, cancel := context.WithTimeout(ctx, stalled)
	defer cancel()
	entries, err := reader.Read(patient)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("record %d did not come within %v: %w", next, stalled, ErrUnreachable)
	}
	return entries, err
}

// read gives the next entries below the end.
func (d *decoding) read(ctx context.Context) ([]event.Entry, error) {
	entries, err := readSoon(ctx, d.reader, d.next)
	if err != nil {
		return nil, err
	}
	if over := int64(d.next) + int64(len(entries)) - int64(d.end); over > 0 {
		entries = entries[:int64(len(entries))-over]
	}
	d.next += sale.Offset(len(entries))
	return entries, nil
}

func (d *decoding) decode(p *portion, entries []event.Entry) {
	p.entries, p.records, p.chain = entries, p.records[:0], p.chain[:0]
	for i := range entries {
		p.records = append(p.records, d.decoder.Record(entries[i]))
		if entries[i].Offset >= d.start {
			d.chain.AddEntry(&entries[i])
		}
		p.chain = append(p.chain, d.chain.Head())
	}
}
