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

// fairSale gathers what a report says of one sale.
type fairSale struct {
	partition   int32
	created     sale.Settings
	before, now sale.Sale // before the latest record that changed it, and after

	requests, units           int64
	reserved, held, confirmed int64 // units, as the decisions so far make them

	order    fairOrder
	waits    fairWaits
	outcomes map[sale.State]Count
	reasons  map[fairReason]Count
	buyers   fairBuyers
	pauses   fairPauses
	back     fairBack
	fill     fairFill
	actions  []Action
	unlisted int64
}

type fairWaits struct {
	clickToLog, logToUnit, logToHoldStart, holdToConfirmation fairTimes
}

type fairReason struct {
	state  sale.State
	reason sale.Reason
}

func newFairSale(partition int32, s *sale.Sale) *fairSale {
	of := &fairSale{
		partition: partition, created: s.Settings, before: *s, now: *s,
		outcomes: make(map[sale.State]Count), reasons: make(map[fairReason]Count),
	}
	of.back.add(fairFree{units: s.Quantity})
	return of
}

// ask notes a request as it was made.
func (f *fairSale) ask(record *sale.Record, buy *sale.Buy) {
	f.requests++
	f.units += unitsAsked(buy.Quantity)
	f.buyers.ask(buy.Buyer)
	wait := int64(-1)
	if record.Time >= buy.AcceptedAt { // else the difference may not fit
		wait = int64(record.Time - buy.AcceptedAt)
	}
	f.waits.clickToLog.add(wait, 1)
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
func (f *fairSale) decide(r *fairRequest, d *sale.Decision) {
	from, to := r.state, d.Request.State
	if from == to {
		return // a hold was extended
	}
	f.count(r, d)
	if from == sale.Queued {
		f.pauses.wait.add(int64(d.Time-r.logged), 1)
	}
	switch from {
	case sale.Reserved:
		f.reserved -= r.quantity
	case sale.Held:
		f.held -= r.quantity
	case sale.Confirmed:
		f.confirmed -= r.quantity
	case "", sale.Queued, sale.Waitlisted, sale.SoldOut, sale.Rejected, sale.Released, sale.Expired, sale.Returned: // have no units
	}
	r.state = to
	switch to {
	case sale.Queued:
		f.order.wait(r.offset, r.quantity)
		f.pauses.park()
	case sale.Waitlisted:
		f.order.wait(r.offset, r.quantity)
	case sale.Reserved:
		f.grant(r, d)
		f.reserved += r.quantity
	case sale.Held:
		f.grant(r, d)
		f.held += r.quantity
		r.heldAt, r.heldSince = d.Time, d.Cause
	case sale.Confirmed:
		f.confirmed += r.quantity
		f.waits.holdToConfirmation.add(int64(d.Time-r.heldAt), 1)
	case sale.SoldOut:
		f.order.leave(r.offset, r.quantity)
		if d.Request.Reason == sale.ReasonSoldOut {
			f.order.refuse(r.offset, r.quantity)
		}
	case sale.Rejected:
		f.order.leave(r.offset, r.quantity)
	case sale.Released, sale.Expired, sale.Returned:
		f.order.leave(r.offset, r.quantity)
		if r.granted {
			f.back.comeBack(r, to, d.Time)
		}
	}
}

// grant judges a request's first decision that gives it units.
func (f *fairSale) grant(r *fairRequest, d *sale.Decision) {
	if r.granted {
		return // its checkout window opened
	}
	r.granted = true
	f.order.grant(d, r.quantity, min(f.before.Quantity, f.now.Quantity)-f.confirmed)
	f.back.take(r.quantity, d.Time)
	if d.Cause != r.offset {
		f.waits.logToUnit.add(int64(d.Time-r.logged), 1)
	}
}

func (f *fairSale) count(r *fairRequest, d *sale.Decision) {
	units := unitsAsked(r.quantity)
	if r.state != "" {
		was := f.outcomes[r.state]
		f.outcomes[r.state] = Count{was.Requests - 1, was.Units - units}
	}
	is := f.outcomes[d.Request.State]
	f.outcomes[d.Request.State] = Count{is.Requests + 1, is.Units + units}
	if d.Request.Reason != "" {
		of := fairReason{d.Request.State, d.Request.Reason}
		told := f.reasons[of]
		f.reasons[of] = Count{told.Requests + 1, told.Units + units}
	}
}

// settle comes after the decisions of a record that changed the sale.
func (f *fairSale) settle(now sale.Time) {
	f.back.resize(f.now.Quantity-f.before.Quantity, now)
	f.before = f.now
	if f.now.OpenedAt != 0 {
		f.fill.see(now, f.now.OpenedAt, Point{
			Quantity: f.now.Quantity, Confirmed: f.confirmed, Taken: f.reserved + f.held + f.confirmed,
		})
	}
}

// fairStates is the order in which a report has the outcomes.
var fairStates = []sale.State{
	sale.Confirmed, sale.Held, sale.Reserved, sale.Waitlisted, sale.Queued,
	sale.Expired, sale.Released, sale.Returned, sale.SoldOut, sale.Rejected,
}

func (f *fairSale) report(now sale.Time) SaleReport {
	r := SaleReport{
		Sale: ticket.PublicID(f.partition, int64(f.now.ID)), Partition: f.partition, Product: f.now.Product, Stage: f.now.Stage,
		CreatedAt: event.Instant(f.now.CreatedAt), OpenedAt: event.Instant(f.now.OpenedAt), ClosedAt: event.Instant(f.now.ClosedAt),
		Requests: f.requests, Units: f.units,
		Order: f.order.report(),
		Waits: Waits{
			ClickToLog: f.waits.clickToLog.report(), LogToUnit: f.waits.logToUnit.report(),
			LogToHoldStart: f.waits.logToHoldStart.report(), HoldToConfirmation: f.waits.holdToConfirmation.report(),
		},
		Outcomes: []Outcome{}, Reasons: []Reason{},
		Duplicates: f.reasons[fairReason{sale.Rejected, sale.ReasonDuplicate}].Requests,
		Buyers:     f.buyers.report(), Pauses: f.pauses.report(&f.now, now), Back: f.back.report(), Fill: f.fill.report(&f.now, f.confirmed),
		Created: f.created, Settings: f.now.Settings, Actions: f.actions, Unlisted: f.unlisted,
	}
	for _, state := range fairStates {
		if of := f.outcomes[state]; of.Requests > 0 {
			r.Outcomes = append(r.Outcomes, Outcome{
				State: state, Requests: of.Requests, Units: of.Units,
				RequestShare: share(of.Requests, f.requests), UnitShare: share(of.Units, f.units),
			})
		}
	}
	for of, count := range f.reasons {
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

// fairBuyers counts requests by buyer.
type fairBuyers struct {
	requests map[uint64]int32 // by the buyer's hash
	most     int32
	mostBy   sale.Buyer
}

func (b *fairBuyers) ask(buyer sale.Buyer) {
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

func (b *fairBuyers) report() Buyers {
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
