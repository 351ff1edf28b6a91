package fairness

import (
	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// partition gathers, from one replay, what a report says of a partition's
// sales.
type partition struct {
	query Query
	found Partition
	now   sale.Time

	sales     map[sale.Offset]*tally // those that the query asks for
	others    map[sale.Product]bool  // products of sales that it does not
	live      map[sale.Offset]*liveRequest
	unstarted []*liveRequest // in the order of their holds; some may be over
}

// liveRequest is a request of a sale in the report, while it is live.
type liveRequest struct {
	offset   sale.Offset
	sale     *tally
	quantity int64
	logged   sale.Time
	state    sale.State // "" before its first decision

	granted   bool
	heldAt    sale.Time   // log time of the decision that held
	heldSince sale.Offset // its offset
	awaited   bool        // its start
	started   bool
	start     sale.Time // of the hold
	moved     bool      // a pause has moved its hold's end
}

func newPartition(number int32, query Query) *partition {
	return &partition{
		query: query, found: Partition{Partition: number},
		sales: make(map[sale.Offset]*tally), others: make(map[sale.Product]bool), live: make(map[sale.Offset]*liveRequest),
	}
}

// see takes one decided record, log time after it, and the sales that it
// changed, as they are now.
func (p *partition) see(s audit.Step, now sale.Time, changed []sale.Sale) {
	for i := range changed {
		p.change(s.Record, &changed[i], now)
	}
	for i := range s.Decisions {
		switch d := &s.Decisions[i]; d.Kind {
		case sale.OfRequest:
			p.request(s.Record, d)
		case sale.OfStart:
			p.begin(d.Start)
		case sale.OfCommand:
			if of := p.sales[d.Result.Sale]; of != nil {
				of.act(s.Record, &d.Result)
			}
		}
	}
	for i := range changed {
		if of := p.sales[changed[i].ID]; of != nil {
			of.settle(now)
		}
	}
}

// change takes a changed sale as it is after the record, of which the decisions
// are still to be seen.
func (p *partition) change(record *sale.Record, to *sale.Sale, now sale.Time) {
	of := p.sales[to.ID]
	if of == nil {
		if to.ID != record.Offset {
			return // not in the report
		}
		if !p.asksFor(to) {
			p.others[to.Product] = true
			return
		}
		of = newTally(p.found.Partition, to)
		p.sales[to.ID] = of
	}
	of.pauses.change(p, of, to, moment{record.Offset, now})
	of.before, of.now = of.now, *to
}

func (p *partition) asksFor(s *sale.Sale) bool {
	if p.query.Product != "" && s.Product != p.query.Product {
		return false
	}
	return p.query.Sale == nil || p.query.Sale.Offset == s.ID
}

// request takes a request's next state.
func (p *partition) request(record *sale.Record, d *sale.Decision) {
	if d.Request.Reason == sale.ReasonUnknownSale {
		p.found.Unnamed++
	}
	of := p.sales[d.Request.Sale]
	if of == nil {
		return
	}
	request := p.live[d.Request.Offset]
	buy, isBuy := record.Body.(sale.Buy)
	switch {
	case request != nil:
	case isBuy && d.Request.Offset == record.Offset:
		request = &liveRequest{offset: record.Offset, sale: of, quantity: buy.Quantity, logged: d.Time}
		of.ask(record, &buy)
	default: // it was paid for, and is remembered no more
		request = &liveRequest{offset: d.Request.Offset, sale: of, quantity: d.Request.Quantity, state: sale.Confirmed, granted: true}
	}
	of.decide(request, d)
	if !request.state.Live() {
		delete(p.live, request.offset)
		return
	}
	p.live[request.offset] = request
	if request.state == sale.Held && !request.awaited {
		request.awaited = true
		p.await(request)
	}
}

// await notes a hold that will begin to run.
func (p *partition) await(request *liveRequest) {
	for len(p.unstarted) > 0 && p.unstarted[0].state != sale.Held {
		p.unstarted = p.unstarted[1:]
	}
	p.unstarted = append(p.unstarted, request)
}

// begin starts the holds that were decided below a start and still run.
func (p *partition) begin(start sale.Start) {
	passed := 0
	for ; passed < len(p.unstarted) && p.unstarted[passed].heldSince < start.Below; passed++ {
		if request := p.unstarted[passed]; request.state == sale.Held {
			request.started, request.start = true, start.At
			request.sale.waits.logToHoldStart.add(int64(start.At-request.logged), 1)
		}
	}
	p.unstarted = p.unstarted[passed:]
}
