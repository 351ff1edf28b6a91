package whatif

import (
	"fmt"
	"slices"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// whatIf is a visitor that applies the records to a second core, where one sale
// is made with other settings. It keeps the requests that may yet change in
// either, as the cores do, and no others.
type whatIf struct {
	id      sale.Offset
	product sale.Product
	change  sale.Change

	altered sale.Create     // the sale's creation with the change
	before  sale.Snapshot   // of what was before it
	core    *sale.Partition // with the other settings; nil before the sale
	changes sale.Changes
	pairs   map[sale.Offset]*pair
	touched []sale.Offset
	result  Comparison
}

// pair is a request in both replays.
type pair struct {
	appended     sale.Time
	was, would   End
	hadUnits     bool // at any time
	wouldHaveHad bool
}

// Begin implements [audit.Visitor].
func (w *whatIf) Begin(r *audit.Replay) error {
	w.before = r.Core().Snapshot()
	return nil
}

// create makes the core with the other settings, if the record made a sale.
func (w *whatIf) create(r *audit.Replay, record *sale.Record) error {
	body, ok := record.Body.(sale.Create)
	if !ok {
		return fmt.Errorf("the record %s is no sale.create: %w", w.result.Sale, ErrNoSale)
	}
	if !slices.ContainsFunc(r.Changed(), func(s sale.Sale) bool { return s.ID == w.id }) {
		return fmt.Errorf("the sale.create %s was refused: %w", w.result.Sale, ErrNoSale)
	}
	var err error
	if w.altered, w.result.Notes, err = alter(body, w.change); err != nil {
		return err
	}
	w.result.Was.begin(body)
	w.result.Would.begin(w.altered)
	w.result.CannotKnow = cannotKnow(body.Settings.Policy, w.altered.Settings.Policy)
	if w.altered.Rules > w.before.Schema {
		w.before.Schema = w.altered.Rules // each schema brought rules of its number
		w.result.Notes = append(w.result.Notes, fmt.Sprintf("The log had not been raised to schema %d when the sale was made: for the other settings it is taken to have been.", w.altered.Rules))
	}
	if w.core, err = sale.Restore(w.before); err != nil {
		return fmt.Errorf("beginning the replay with other settings: %w", err)
	}
	w.before = sale.Snapshot{}
	return nil
}

// Step implements [audit.Visitor].
func (w *whatIf) Step(r *audit.Replay, s audit.Step) error {
	record := *s.Record
	if w.core == nil {
		if err := w.create(r, &record); err != nil {
			return err
		}
		record.Body = w.altered
	}
	w.changes.Reset()
	if err := w.core.Apply(record, &w.changes); err != nil {
		return fmt.Errorf("with other settings: %w", err)
	}
	w.result.Was.take(w.id, r.Changed())
	w.result.Would.take(w.id, w.changes.Sales())
	if w.result.Parts == nil && !slices.Equal(s.Decisions, w.changes.Decisions) {
		offset := record.Offset
		w.result.Parts = &offset
	}
	w.compareResults(&record, s.Decisions)
	for i := range s.Decisions {
		if d := &s.Decisions[i]; w.concerns(d, &record) {
			p := w.pair(d)
			p.was = End{d.Request.State, d.Request.Reason}
			w.result.Was.units(d, &p.hadUnits, p.appended)
		}
	}
	for i := range w.changes.Decisions {
		if d := &w.changes.Decisions[i]; w.concerns(d, &record) {
			p := w.pair(d)
			p.would = End{d.Request.State, d.Request.Reason}
			w.result.Would.units(d, &p.wouldHaveHad, p.appended)
		}
	}
	for _, request := range w.touched {
		if p := w.pairs[request]; p != nil && p.was.State.Final() && p.would.State.Final() {
			w.settle(request, p)
		}
	}
	w.touched = w.touched[:0]
	return nil
}

// concerns reports whether a decision is about a request that named the sale.
func (w *whatIf) concerns(d *sale.Decision, record *sale.Record) bool {
	if d.Kind != sale.OfRequest {
		return false
	}
	if d.Request.Sale == w.id {
		return true
	}
	// In one of the two the sale may have been followed by another.
	b, ok := record.Body.(sale.Buy)
	return ok && b.Sale == w.id && record.Product == w.product && d.Request.Offset == record.Offset
}

// pair gives a decision's request in both replays.
func (w *whatIf) pair(d *sale.Decision) *pair {
	request := d.Request.Offset
	p := w.pairs[request]
	if p == nil {
		p = &pair{appended: d.Time}
		w.pairs[request] = p
		w.result.Requests++
	}
	w.touched = append(w.touched, request)
	return p
}

// units notes that a request is given its units.
func (o *Outcome) units(d *sale.Decision, had *bool, appended sale.Time) {
	if *had || d.Request.State != sale.Held && d.Request.State != sale.Reserved {
		return
	}
	*had = true
	o.Granted++
	if d.Cause != d.Request.Offset {
		o.Waits.Requests++
		o.Waits.Total += d.Time - appended
		o.Waits.Longest = max(o.Waits.Longest, d.Time-appended)
	}
}

// compareResults counts commands about the sale, or its requests, whose result
// is another one.
func (w *whatIf) compareResults(record *sale.Record, was []sale.Decision) {
	if record.Product != w.product {
		return
	}
	a, decided := result(was)
	b, would := result(w.changes.Decisions)
	if !decided || !would || a.Code == b.Code {
		return
	}
	w.result.Commands++
	if _, ok := record.Body.(sale.Confirm); ok && a.Code == sale.CodeDone {
		w.result.Unpaid++
	}
}

// result gives a command's.
func result(decisions []sale.Decision) (sale.Result, bool) {
	for i := range decisions {
		if decisions[i].Kind == sale.OfCommand {
			return decisions[i].Result, true
		}
	}
	return sale.Result{}, false
}

// settle counts what a request has come to, and forgets it.
func (w *whatIf) settle(request sale.Offset, p *pair) {
	w.result.Was.count(p.was)
	w.result.Would.count(p.would)
	if p.wouldHaveHad && !p.hadUnits {
		w.result.OnlyWould++
	}
	if p.was != p.would {
		w.result.list(Difference{Request: w.public(request), Was: p.was, Would: p.would, offset: request})
	}
	delete(w.pairs, request)
}

func (w *whatIf) public(request sale.Offset) string {
	partition, _, _ := ticket.ParsePublicID(w.result.Sale)
	return ticket.PublicID(partition, int64(request))
}

// End implements [audit.Visitor].
func (w *whatIf) End(r *audit.Replay) error {
	w.result.Until, w.result.Now = r.Core().Next(), event.Instant(r.Core().Now())
	for request, p := range w.pairs { // in any order
		w.settle(request, p)
	}
	return nil
}
