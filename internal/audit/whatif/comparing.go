package whatif

import (
	"fmt"
	"slices"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// comparing is a visitor that applies the records to a second core, where one
// sale is made with other settings. It keeps the requests that may yet change in
// either, as the cores do, and no others.
type comparing struct {
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
func (c *comparing) Begin(r *audit.Replay) error {
	c.before = r.Core().Snapshot()
	return nil
}

// create makes the core with the other settings, if the record made a sale.
func (c *comparing) create(r *audit.Replay, record *sale.Record) error {
	body, ok := record.Body.(sale.Create)
	if !ok {
		return fmt.Errorf("the record %s is no sale.create: %w", c.result.Sale, ErrNoSale)
	}
	if !slices.ContainsFunc(r.Changed(), func(s sale.Sale) bool { return s.ID == c.id }) {
		return fmt.Errorf("the sale.create %s was refused: %w", c.result.Sale, ErrNoSale)
	}
	var err error
	if c.altered, c.result.Notes, err = alter(body, c.change); err != nil {
		return err
	}
	c.result.Was.begin(body)
	c.result.Would.begin(c.altered)
	c.result.CannotKnow = cannotKnow(body.Settings.Policy, c.altered.Settings.Policy)
	if c.altered.Rules > c.before.Schema {
		c.before.Schema = c.altered.Rules // each schema brought rules of its number
		c.result.Notes = append(c.result.Notes, fmt.Sprintf("The log had not been raised to schema %d when the sale was made: for the other settings it is taken to have been.", c.altered.Rules))
	}
	if c.core, err = sale.Restore(c.before); err != nil {
		return fmt.Errorf("beginning the replay with other settings: %w", err)
	}
	c.before = sale.Snapshot{}
	return nil
}

// Step implements [audit.Visitor].
func (c *comparing) Step(r *audit.Replay, s audit.Step) error {
	record := *s.Record
	if c.core == nil {
		if err := c.create(r, &record); err != nil {
			return err
		}
		record.Body = c.altered
	}
	c.changes.Reset()
	if err := c.core.Apply(record, &c.changes); err != nil {
		return fmt.Errorf("with other settings: %w", err)
	}
	c.result.Was.take(c.id, r.Changed())
	c.result.Would.take(c.id, c.changes.Sales())
	if c.result.Parts == nil && !slices.Equal(s.Decisions, c.changes.Decisions) {
		offset := record.Offset
		c.result.Parts = &offset
	}
	c.compareResults(&record, s.Decisions)
	for i := range s.Decisions {
		if d := &s.Decisions[i]; c.concerns(d, &record) {
			p := c.pair(d)
			p.was = End{d.Request.State, d.Request.Reason}
			c.result.Was.units(d, &p.hadUnits, p.appended)
		}
	}
	for i := range c.changes.Decisions {
		if d := &c.changes.Decisions[i]; c.concerns(d, &record) {
			p := c.pair(d)
			p.would = End{d.Request.State, d.Request.Reason}
			c.result.Would.units(d, &p.wouldHaveHad, p.appended)
		}
	}
	for _, request := range c.touched {
		if p := c.pairs[request]; p != nil && p.was.State.Final() && p.would.State.Final() {
			c.settle(request, p)
		}
	}
	c.touched = c.touched[:0]
	return nil
}

// concerns reports whether a decision is about a request that named the sale.
func (c *comparing) concerns(d *sale.Decision, record *sale.Record) bool {
	if d.Kind != sale.OfRequest {
		return false
	}
	if d.Request.Sale == c.id {
		return true
	}
	// In one of the two the sale may have been followed by another.
	b, ok := record.Body.(sale.Buy)
	return ok && b.Sale == c.id && record.Product == c.product && d.Request.Offset == record.Offset
}

// pair gives a decision's request in both replays.
func (c *comparing) pair(d *sale.Decision) *pair {
	request := d.Request.Offset
	p := c.pairs[request]
	if p == nil {
		p = &pair{appended: d.Time}
		c.pairs[request] = p
		c.result.Requests++
	}
	c.touched = append(c.touched, request)
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
func (c *comparing) compareResults(record *sale.Record, was []sale.Decision) {
	if record.Product != c.product {
		return
	}
	a, decided := result(was)
	b, would := result(c.changes.Decisions)
	if !decided || !would || a.Code == b.Code {
		return
	}
	c.result.Commands++
	if _, ok := record.Body.(sale.Confirm); ok && a.Code == sale.CodeDone {
		c.result.Unpaid++
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
func (c *comparing) settle(request sale.Offset, p *pair) {
	c.result.Was.count(p.was)
	c.result.Would.count(p.would)
	if p.wouldHaveHad && !p.hadUnits {
		c.result.OnlyWould++
	}
	if p.was != p.would {
		c.result.list(Difference{Request: c.public(request), Was: p.was, Would: p.would, offset: request})
	}
	delete(c.pairs, request)
}

func (c *comparing) public(request sale.Offset) string {
	partition, _, _ := ticket.ParsePublicID(c.result.Sale)
	return ticket.PublicID(partition, int64(request))
}

// End implements [audit.Visitor].
func (c *comparing) End(r *audit.Replay) error {
	c.result.Until, c.result.Now = r.Core().Next(), event.Instant(r.Core().Now())
	for request, p := range c.pairs { // in any order
		c.settle(request, p)
	}
	return nil
}
