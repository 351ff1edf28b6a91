package sale

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Errors of [Partition.Apply]. After any of them the partition is as it was
// before the record, except after ErrBroken.
var (
	// ErrNotNext is returned for a record that is not the next one.
	ErrNotNext = errors.New("not the partition's next record")
	// ErrSchemaTooNew is returned for a schema record above NewestSchema: this
	// program is too old to decide what follows.
	ErrSchemaTooNew = errors.New("the log's schema is newer than this program")
	// ErrBroken is returned when the core would break a rule of its own.
	ErrBroken = errors.New("the core broke a rule of its own")
)

// Partition is the state that one partition's records have made.
type Partition struct {
	next      Offset
	now       Time
	schema    int
	malformed int64

	sales    map[Offset]*saleState
	products map[Product][]*saleState // each product's sales, in the order of their ids

	// Of sales that have not retired.
	requests map[Offset]*Request // those that are live or have bought
	ended    map[Offset]State    // those that had a unit, or left
	first    map[Offset]Offset   // duplicates of either
	paced    []*saleState        // those with windows to open, in the order of their ids

	starts    Starts
	begun     []int      // how many holds that each start began still run
	unstarted []*Request // in the order of their holds; some may have left that state
	due       dueQueue

	asked Request // that is being decided, in memory that is used again: keep makes it last
}

// New makes the state of a partition without records.
func New() *Partition {
	return &Partition{
		sales:    make(map[Offset]*saleState),
		products: make(map[Product][]*saleState),
		requests: make(map[Offset]*Request),
		ended:    make(map[Offset]State),
		first:    make(map[Offset]Offset),
	}
}

// Next is the offset of the record that Apply takes next.
func (p *Partition) Next() Offset { return p.next }

// Now is log time: that of the latest record, made monotone.
func (p *Partition) Now() Time { return p.now }

// Schema is the partition's schema version.
func (p *Partition) Schema() int { return p.schema }

// Malformed counts the records that could not be read.
func (p *Partition) Malformed() int64 { return p.malformed }

// Sales gives a copy of every sale, in the order of their ids.
func (p *Partition) Sales() []Sale {
	sales := make([]Sale, 0, len(p.sales))
	for _, s := range p.sales {
		sales = append(sales, s.Sale)
	}
	slices.SortFunc(sales, func(a, b Sale) int { return cmp.Compare(a.ID, b.ID) })
	return sales
}

// Starts gives a copy of the starts from OldestStart on.
func (p *Partition) Starts() Starts { return slices.Clone(p.starts) }

// current gives the product's latest sale, or nil.
func (p *Partition) current(product Product) *saleState {
	if of := p.products[product]; len(of) > 0 {
		return of[len(of)-1]
	}
	return nil
}

// Apply decides the partition's next record and appends the decisions to
// changes.
func (p *Partition) Apply(record Record, changes *Changes) error {
	if record.Offset != p.next {
		return fmt.Errorf("record %d, expected %d: %w", record.Offset, p.next, ErrNotNext)
	}
	if schema, ok := record.Body.(Schema); ok && schema.Version > NewestSchema {
		return fmt.Errorf("record %d raises the schema to %d, this program knows %d: %w", record.Offset, schema.Version, NewestSchema, ErrSchemaTooNew)
	}
	p.next++
	p.now = max(p.now, min(record.Time, maxLogTime))

	a := application{Partition: p, record: record, changes: changes}
	a.fallDue()
	a.act()
	if a.err != nil {
		return fmt.Errorf("record %d: %w: %w", record.Offset, ErrBroken, a.err)
	}
	return nil
}

// application is one record being applied.
type application struct {
	*Partition
	record  Record
	changes *Changes
	index   int // of the next decision
	err     error
}

func (a *application) act() {
	_, isSchema := a.record.Body.(Schema)
	if !a.record.wellFormed(a.schema) || (a.schema < FirstSchema && !isSchema) {
		a.refuseMalformed()
		return
	}
	switch body := a.record.Body.(type) {
	case Buy:
		a.buy(body)
	case Confirm:
		a.confirm(body)
	case Release:
		a.release(body)
	case Extend:
		a.extend(body)
	case Return:
		a.takeBack(body)
	case Create:
		a.create(body)
	case Update:
		a.update(body)
	case Pause:
		a.pause(body)
	case Resume:
		a.resume(body)
	case Close:
		a.close(body)
	case Tick:
		a.tick(body)
		a.openWindows()
	case Schema:
		a.raise(body.Version)
	}
}

// refuseMalformed decides a record that says nothing the core understands.
func (a *application) refuseMalformed() {
	a.malformed++
	a.decide(Decision{Kind: OfRequest, Request: Request{
		Offset: a.record.Offset, Sale: None, First: None, HeldSince: None,
		State: Rejected, Reason: ReasonMalformed,
	}})
}

// decide completes a decision with its name and time and appends it.
func (a *application) decide(d Decision) {
	d.Cause, d.Index, d.Time = a.record.Offset, a.index, a.now
	switch d.Kind {
	case OfRequest:
		d.Request.Cause, d.Request.DecidedAt = d.Cause, d.Time
	case OfCommand:
		d.Result.Command, d.Result.Product, d.Result.Time = d.Cause, a.record.Product, d.Time
	case OfStart:
		d.Start.Cause = d.Cause
	}
	a.index++
	a.changes.Decisions = append(a.changes.Decisions, d)
}

// move takes a request that has a row to its next state.
func (a *application) move(r *Request, to State, reason Reason) {
	if !r.State.CanBecome(to) {
		a.err = fmt.Errorf("request %d cannot go from %s to %s", r.Offset, r.State, to)
		return
	}
	r.State, r.Reason = to, reason
	a.note(r)
}

// note decides that a request with a row is now as it is.
func (a *application) note(r *Request) {
	r.Cause, r.DecidedAt = a.record.Offset, a.now
	a.decide(Decision{Kind: OfRequest, Request: *r})
}

// touch notes that the record changed s.
func (a *application) touch(s *saleState) {
	s.Revision = a.record.Offset
	a.changes.note(s)
	if !s.Balanced() {
		a.err = fmt.Errorf("units of sale %d do not add up: %d = %d available + %d reserved + %d held + %d confirmed",
			s.ID, s.Quantity, s.Available, s.Reserved, s.Held, s.Confirmed)
	}
}
