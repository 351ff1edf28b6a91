package fairness

import (
	"cmp"
	"hash/fnv"
	"io"
	"maps"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// tally gathers what a report says of one sale.
type tally struct {
	partition   int32
	created     sale.Settings
	before, now sale.Sale // before the latest record that changed it, and after

	requests, units           int64
	reserved, held, confirmed int64 // units, as the decisions so far make them

	order    order
	waits    waits
	outcomes map[sale.State]Count
	reasons  map[reason]Count
	buyers   buyers
	pauses   pauses
	back     back
	fill     fill
	actions  []Action
	unlisted int64
}

type waits struct {
	clickToLog, logToUnit, logToHoldStart, holdToConfirmation durations
}

type reason struct {
	state  sale.State
	reason sale.Reason
}

func newTally(partition int32, s *sale.Sale) *tally {
	of := &tally{
		partition: partition, created: s.Settings, before: *s, now: *s,
		outcomes: make(map[sale.State]Count), reasons: make(map[reason]Count),
	}
	of.back.add(freeUnits{units: s.Quantity})
	return of
}

// ask notes a request as it was made.
func (t *tally) ask(record *sale.Record, buy *sale.Buy) {
	t.requests++
	t.units += unitsAsked(buy.Quantity)
	t.buyers.ask(buy.Buyer)
	wait := int64(-1)
	if record.Time >= buy.AcceptedAt { // else the difference may not fit
		wait = int64(record.Time - buy.AcceptedAt)
	}
	t.waits.clickToLog.add(wait, 1)
}

// unitsAsked is how many units a request for so many counts as: a refused one
// may have asked for any number.
func unitsAsked(quantity int64) int64 {
	if quantity < 1 || quantity > sale.MaxQuantity {
		return 0
	}
	return quantity
}

// decide takes a request to its next state.
func (t *tally) decide(r *liveRequest, d *sale.Decision) {
	from, to := r.state, d.Request.State
	if from == to {
		return // a hold was extended
	}
	t.count(r, d)
	if from == sale.Queued {
		t.pauses.wait.add(int64(d.Time-r.logged), 1)
	}
	switch from {
	case sale.Reserved:
		t.reserved -= r.quantity
	case sale.Held:
		t.held -= r.quantity
	case sale.Confirmed:
		t.confirmed -= r.quantity
	case "", sale.Queued, sale.Waitlisted, sale.SoldOut, sale.Rejected, sale.Released, sale.Expired, sale.Returned: // have no units
	}
	r.state = to
	switch to {
	case sale.Queued:
		t.order.wait(r.offset, r.quantity)
		t.pauses.park()
	case sale.Waitlisted:
		t.order.wait(r.offset, r.quantity)
	case sale.Reserved:
		t.grant(r, d)
		t.reserved += r.quantity
	case sale.Held:
		t.grant(r, d)
		t.held += r.quantity
		r.heldAt, r.heldSince = d.Time, d.Cause
	case sale.Confirmed:
		t.confirmed += r.quantity
		t.waits.holdToConfirmation.add(int64(d.Time-r.heldAt), 1)
	case sale.SoldOut:
		t.order.leave(r.offset, r.quantity)
		if d.Request.Reason == sale.ReasonSoldOut {
			t.order.refuse(r.offset, r.quantity)
		}
	case sale.Rejected:
		t.order.leave(r.offset, r.quantity)
	case sale.Released, sale.Expired, sale.Returned:
		t.order.leave(r.offset, r.quantity)
		if r.granted {
			t.back.comeBack(r, to, d.Time)
		}
	}
}

// grant judges a request's first decision that gives it units.
func (t *tally) grant(r *liveRequest, d *sale.Decision) {
	if r.granted {
		return // its checkout window opened
	}
	r.granted = true
	t.order.grant(d, r.quantity, min(t.before.Quantity, t.now.Quantity)-t.confirmed)
	t.back.take(r.quantity, d.Time)
	if d.Cause != r.offset {
		t.waits.logToUnit.add(int64(d.Time-r.logged), 1)
	}
}

func (t *tally) count(r *liveRequest, d *sale.Decision) {
	units := unitsAsked(r.quantity)
	if r.state != "" {
		was := t.outcomes[r.state]
		t.outcomes[r.state] = Count{was.Requests - 1, was.Units - units}
	}
	is := t.outcomes[d.Request.State]
	t.outcomes[d.Request.State] = Count{is.Requests + 1, is.Units + units}
	if d.Request.Reason != "" {
		of := reason{d.Request.State, d.Request.Reason}
		told := t.reasons[of]
		t.reasons[of] = Count{told.Requests + 1, told.Units + units}
	}
}

// settle comes after the decisions of a record that changed the sale.
func (t *tally) settle(now sale.Time) {
	t.back.resize(t.now.Quantity-t.before.Quantity, now)
	t.before = t.now
	if t.now.OpenedAt != 0 {
		t.fill.see(now, t.now.OpenedAt, Point{
			Quantity: t.now.Quantity, Confirmed: t.confirmed, Taken: t.reserved + t.held + t.confirmed,
		})
	}
}

// outcomeOrder is the order in which a report has the outcomes.
var outcomeOrder = []sale.State{
	sale.Confirmed, sale.Held, sale.Reserved, sale.Waitlisted, sale.Queued,
	sale.Expired, sale.Released, sale.Returned, sale.SoldOut, sale.Rejected,
}

func (t *tally) report(now sale.Time) SaleReport {
	r := SaleReport{
		Sale: ticket.PublicID(t.partition, int64(t.now.ID)), Partition: t.partition, Product: t.now.Product, Stage: t.now.Stage,
		CreatedAt: event.Instant(t.now.CreatedAt), OpenedAt: event.Instant(t.now.OpenedAt), ClosedAt: event.Instant(t.now.ClosedAt),
		Requests: t.requests, Units: t.units,
		Order: t.order.report(),
		Waits: Waits{
			ClickToLog: t.waits.clickToLog.report(), LogToUnit: t.waits.logToUnit.report(),
			LogToHoldStart: t.waits.logToHoldStart.report(), HoldToConfirmation: t.waits.holdToConfirmation.report(),
		},
		Outcomes: []Outcome{}, Reasons: []Reason{},
		Duplicates: t.reasons[reason{sale.Rejected, sale.ReasonDuplicate}].Requests,
		Buyers:     t.buyers.report(), Pauses: t.pauses.report(&t.now, now), Back: t.back.report(), Fill: t.fill.report(&t.now, t.confirmed),
		Created: t.created, Settings: t.now.Settings, Actions: t.actions, Unlisted: t.unlisted,
	}
	for _, state := range outcomeOrder {
		if of := t.outcomes[state]; of.Requests > 0 {
			r.Outcomes = append(r.Outcomes, Outcome{
				State: state, Requests: of.Requests, Units: of.Units,
				RequestShare: share(of.Requests, t.requests), UnitShare: share(of.Units, t.units),
			})
		}
	}
	for of, count := range t.reasons {
		r.Reasons = append(r.Reasons, Reason{State: of.state, Reason: of.reason, Requests: count.Requests, Units: count.Units})
	}
	slices.SortFunc(r.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.State, b.State), cmp.Compare(a.Reason, b.Reason))
	})
	return r
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// buyers counts requests by buyer.
type buyers struct {
	requests map[uint64]int32 // by the buyer's hash
	most     int32
	mostBy   sale.Buyer
}

func (b *buyers) ask(buyer sale.Buyer) {
	if b.requests == nil {
		b.requests = make(map[uint64]int32)
	}
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, string(buyer))
	of := hash.Sum64()
	b.requests[of]++
	if made := b.requests[of]; made > b.most {
		b.most, b.mostBy = made, buyer
	}
}

func (b *buyers) report() Buyers {
	buyers := make(map[int64]int64)
	for _, made := range b.requests {
		buyers[int64(made)]++
	}
	r := Buyers{Buyers: int64(len(b.requests)), Most: int64(b.most), MostBy: b.mostBy, Distribution: []Buying{}}
	for _, made := range slices.Sorted(maps.Keys(buyers)) {
		r.Distribution = append(r.Distribution, Buying{Requests: made, Buyers: buyers[made]})
	}
	return r
}
