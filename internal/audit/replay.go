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

// portion is what one read brought, decoded.
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
	portions, closed := make(chan portion, 2), make(chan struct{})
	go func() {
		defer close(closed)
		defer reader.Close()
		d := decoding{reader: reader, next: r.core.Next(), end: end, start: r.chainStart, chain: event.NewChain(r.records)}
		d.run(ctx, portions)
	}()
	defer func() {
		cancel()
		<-closed
	}()
	for r.core.Next() < end {
		var p portion
		select {
		case p = <-portions:
		case <-ctx.Done():
			return ctx.Err()
		}
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
		if last := len(p.entries) - 1; last >= 0 {
			r.last = p.entries[last].Digest()
		}
		if r.watch != nil {
			r.watch(r.core.Next())
		}
	}
	return nil
}

// decoding reads ahead of the core.
type decoding struct {
	reader    Reader
	decoder   event.Decoder
	next, end sale.Offset
	start     sale.Offset // of the chain
	chain     *event.Chain
}

func (d *decoding) run(ctx context.Context, portions chan<- portion) {
	for d.next < d.end {
		p := d.portion(ctx)
		select {
		case portions <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil {
			return
		}
	}
}

func (d *decoding) portion(ctx context.Context) portion {
	patient, cancel := context.WithTimeout(ctx, stalled)
	entries, err := d.reader.Read(patient)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("record %d did not come within %v: %w", d.next, stalled, ErrUnreachable)
	}
	if err != nil {
		return portion{err: err}
	}
	if over := int64(d.next) + int64(len(entries)) - int64(d.end); over > 0 {
		entries = entries[:int64(len(entries))-over]
	}
	p := portion{
		entries: entries,
		records: make([]sale.Record, len(entries)),
		chain:   make([]event.Digest, len(entries)),
	}
	for i := range entries {
		p.records[i] = d.decoder.Record(entries[i])
		if entries[i].Offset >= d.start {
			d.chain.AddEntry(&entries[i])
		}
		p.chain[i] = d.chain.Head()
	}
	d.next += sale.Offset(len(entries))
	return p
}
