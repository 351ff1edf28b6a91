package explain

import (
	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// maxUnheard bounds the commands of a story that changed nothing.
const maxUnheard = 20

// explaining is a visitor that follows one request.
type explaining struct {
	story Story
	of    sale.Offset // the sale that it named
	sale  sale.Sale   // as it is; no product: it is not made yet
	shelf shelf
	row   sale.Request // the request, when it is decided
	start sale.Starts  // that its hold runs from

	bought int64         // units, by the request's buyer
	due    event.Instant // when its hold ended before the record
}

func newExplaining(partition int32, bought *event.Entry) *explaining {
	record := bought.Record()
	e := &explaining{of: sale.None, story: Story{
		ID: ticket.PublicID(partition, int64(record.Offset)), Partition: partition, Offset: record.Offset,
		Appended: event.Instant(record.Time), Named: sale.None, RecordsBefore: int64(record.Offset), State: sale.Queued,
	}}
	if b, ok := record.Body.(sale.Buy); ok {
		e.of, e.shelf.wanted = b.Sale, b.Quantity
		if sale.ValidProduct(record.Product) {
			e.story.Product = record.Product
		}
		e.story.Named, e.story.Quantity, e.story.Buyer = b.Sale, b.Quantity, b.Buyer
		e.story.Accepted, e.story.Leased = event.Instant(b.AcceptedAt), b.Lease != ""
	}
	return e
}

// Begin implements [audit.Visitor].
func (e *explaining) Begin(r *audit.Replay) error {
	if r.Core().Next() == 0 {
		return nil
	}
	snapshot := r.Core().Snapshot()
	for i := range snapshot.Sales {
		if snapshot.Sales[i].ID == e.of {
			e.sale, e.story.From = snapshot.Sales[i], snapshot.Next
			e.shelf.stockUp(&e.sale, snapshot.Requests)
		}
	}
	for i := range snapshot.Requests {
		if of := &snapshot.Requests[i]; of.State == sale.Confirmed && of.Sale == e.of && of.Buyer == e.story.Buyer {
			e.bought += of.Quantity
		}
	}
	return nil
}

// Step implements [audit.Visitor].
func (e *explaining) Step(r *audit.Replay, s audit.Step) error {
	e.story.Until, e.story.Now = s.Record.Offset+1, event.Instant(r.Core().Now())
	before := e.sale
	e.due = e.ends()
	for _, changed := range r.Changed() {
		if changed.ID == e.of {
			e.sale = changed
		}
	}
	if s.Record.Offset == e.story.Offset {
		e.add(s, Event{Kind: HasArrived})
	}
	staged := e.staged(s, &before)
	if staged.Kind == HasResumed || staged.Kind == HasClosed && e.story.State != sale.Held {
		e.add(s, staged)
		staged.Kind = ""
	}
	changeAfter := e.restock(s, &before)
	for i := range s.Decisions {
		d := &s.Decisions[i]
		if d.Kind == sale.OfRequest && (d.Request.Sale == e.of || d.Request.Offset == e.story.Offset) {
			e.decided(s, d)
		}
		if d.Kind == sale.OfStart {
			e.started(s, d.Start)
		}
		if d.Kind == sale.OfCommand && d.Result.Request == e.story.Offset {
			e.named(s, &d.Result)
		}
		if i == changeAfter {
			e.requantify(s, &before)
		}
	}
	if e.story.Until > e.story.Offset && e.story.State.Live() {
		if staged.Kind != "" { // what was due came first
			e.add(s, staged)
		}
		e.story.Ends = e.ends()
	}
	if e.told() {
		return errTold
	}
	return nil
}

// told reports whether no record can add to the story. A hold that is over can
// still be asked for, too late.
func (e *explaining) told() bool {
	return e.story.State == sale.SoldOut || e.story.State == sale.Rejected
}

func (e *explaining) add(s audit.Step, event Event) *Event {
	event.Offset, event.Time = s.Record.Offset, e.story.Now
	e.story.Events = append(e.story.Events, event)
	return &e.story.Events[len(e.story.Events)-1]
}

// staged gives what happened to the sale while the request was live; no kind:
// nothing.
func (e *explaining) staged(s audit.Step, before *sale.Sale) Event {
	if before.Stage == e.sale.Stage || s.Record.Offset <= e.story.Offset || !e.story.State.Live() {
		return Event{}
	}
	if e.sale.Stage == sale.StageClosed {
		event := Event{Kind: HasClosed}
		byItself := e.sale.ClosesAt != 0 && e.sale.ClosesAt <= e.sale.ClosedAt
		if body, ok := s.Record.Body.(sale.Close); ok && !byItself {
			event.Actor, event.Why = body.Actor, body.Reason
		}
		return event
	}
	switch body := s.Record.Body.(type) {
	case sale.Pause:
		return Event{Kind: HasPaused, Actor: body.Actor, Why: body.Reason}
	case sale.Resume:
		return Event{Kind: HasResumed, Actor: body.Actor, Why: body.Reason, Ends: e.ends()}
	}
	return Event{}
}

// ends gives when the request's hold ends by itself, if that is known.
func (e *explaining) ends() event.Instant {
	at, _ := e.sale.EndOf(&e.row, e.start)
	return event.Instant(at)
}

// restock follows a sale that is made or whose quantity is changed. Where what
// fell due before a change comes first, it gives the last decision of that.
func (e *explaining) restock(s audit.Step, before *sale.Sale) (changeAfter int) {
	if before.Product == "" || e.sale.Quantity == before.Quantity {
		if before.Product == "" && e.sale.Product != "" {
			e.shelf.available = e.sale.Available
		}
		return -1
	}
	changeAfter = e.lastDue(s)
	if changeAfter >= 0 && e.sale.Quantity < before.Quantity {
		// What came back may have been given away before: by then there were units
		// to take off, at the latest.
		changeAfter = len(s.Decisions) - 1
	}
	if changeAfter < 0 {
		e.requantify(s, before)
	}
	return changeAfter
}

// lastDue gives the last decision of what fell due before a record that changes a
// quantity: of holds that ran out, and of who was given their units. Who is given
// more than those had to wait for the change. It is -1 where nothing was due.
func (e *explaining) lastDue(s audit.Step) int {
	last, available := -1, e.shelf.available
	for i := range s.Decisions {
		d := &s.Decisions[i]
		if d.Kind != sale.OfRequest || d.Request.Sale != e.of {
			continue
		}
		switch r := &d.Request; {
		case r.State == sale.Expired:
			available += r.Quantity
			last = i
		case last < 0:
		case r.State == sale.Reserved || r.State == sale.Held && r.Granted == 0 && r.HeldSince == r.Cause:
			if available < r.Quantity {
				return last
			}
			available -= r.Quantity
			last = i
		}
	}
	return last
}

// requantify puts units on sale, or takes some off.
func (e *explaining) requantify(s audit.Step, before *sale.Sale) {
	more := e.sale.Quantity - before.Quantity
	if more < 0 {
		e.shelf.withdraw(-more, LastUnit{Offset: s.Record.Offset, Time: e.story.Now})
		return
	}
	e.shelf.put(Freed{Offset: s.Record.Offset, Time: e.story.Now, How: FreedRaised, Units: more})
}

// decided follows a decision about a request of the sale.
func (e *explaining) decided(s audit.Step, d *sale.Decision) {
	r := &d.Request
	if r.Offset != e.story.Offset {
		e.shelf.apply(d)
		e.count(r)
		return
	}
	extended := e.story.State == sale.Held
	if r.Sale != sale.None {
		if s.Record.Offset == r.Offset {
			e.story.RequestsBefore = e.sale.Requests - 1
		}
		if e.story.State == sale.Queued {
			e.terms()
		}
		if e.story.State == sale.Queued && r.State != sale.Queued && r.State != sale.Released {
			e.turn(s, r)
		}
		e.story.Terms.Stage, e.story.Terms.ClosedAt = e.sale.Stage, event.Instant(e.sale.ClosedAt)
	}
	e.row, e.story.State, e.story.Reason, e.story.Final = *r, r.State, r.Reason, r.State.Final()
	ends := e.ends()                                                 // of a hold that has no start yet: none
	place, reserved := int64(len(e.shelf.waiting)), e.shelf.reserved // it is last in either
	freed := e.shelf.apply(d)
	e.count(r)

	told := e.add(s, Event{Freed: freed, Reason: r.Reason})
	switch r.State {
	case sale.Queued:
		told.Kind = WasParked
	case sale.Waitlisted:
		told.Kind, told.Place = WasWaitlisted, &place
		e.shelf.watch(told.Time, told.Offset)
	case sale.Reserved:
		told.Kind, told.Place = WasReserved, &reserved
		e.shelf.forget()
	case sale.Held:
		told.Kind, told.Ends, told.Window = WasHeld, ends, r.Granted != 0
		if body, ok := s.Record.Body.(sale.Extend); ok && extended {
			told.Kind, told.Seconds, told.Window = WasExtended, body.Seconds, false
		}
		e.shelf.forget()
	case sale.Confirmed:
		told.Kind, told.Payment = WasConfirmed, r.Payment
	case sale.Expired:
		told.Kind, told.Ends = HasExpired, e.due
	case sale.Released:
		told.Kind = WasReleased
	case sale.Returned:
		told.Kind = WasReturned
	case sale.SoldOut:
		told.Kind = WasSoldOut
	case sale.Rejected:
		told.Kind = WasRejected
	}
	e.story.Ends = ends
}

// terms notes what the sale is like.
func (e *explaining) terms() {
	of := &e.sale
	e.story.Terms = &Terms{
		Sale: of.ID, Rules: of.Rules, Settings: of.Settings, OpensAt: event.Instant(of.OpensAt), ClosesAt: event.Instant(of.ClosesAt),
	}
}

// turn notes how things stand when the request is decided.
func (e *explaining) turn(s audit.Step, r *sale.Request) {
	of := &e.sale
	turn := &Turn{
		Offset: s.Record.Offset, Time: e.story.Now, Available: e.shelf.available, MayYetSell: of.MayYetSell(),
		Waiting: int64(len(e.shelf.waiting)), Bought: e.bought,
	}
	e.story.Turn = turn
	if r.State != sale.Waitlisted && r.Reason != sale.ReasonSoldOut {
		return
	}
	if turn.Available < e.story.Quantity {
		e.story.LastUnit = e.shelf.last
	} else {
		turn.KeptFor = e.shelf.keptFor(turn.MayYetSell)
	}
}

// count keeps what the request's buyer has bought.
func (e *explaining) count(r *sale.Request) {
	if r.Buyer != e.story.Buyer || r.Buyer == "" {
		return
	}
	switch r.State {
	case sale.Confirmed:
		e.bought += r.Quantity
	case sale.Returned:
		e.bought -= r.Quantity
	case sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected, sale.Released, sale.Expired:
	}
}

// started tells that the request's hold begins to run.
func (e *explaining) started(s audit.Step, start sale.Start) {
	if e.story.State != sale.Held || len(e.start) > 0 || start.Below <= e.row.HeldSince {
		return
	}
	e.start = sale.Starts{start}
	e.story.Ends = e.ends()
	e.add(s, Event{Kind: HasStarted, Ends: e.story.Ends})
}

// named tells of a command about the request that changed nothing.
func (e *explaining) named(s audit.Step, result *sale.Result) {
	event := Event{Kind: WasNamed, Code: result.Code}
	var done Happening
	switch body := s.Record.Body.(type) {
	case sale.Confirm:
		event.Command, event.Payment, done = "confirm", body.PaymentReference, WasConfirmed
	case sale.Extend:
		event.Command, event.Seconds, done = "extend", body.Seconds, WasExtended
	case sale.Release:
		event.Command, done = "release", WasReleased
	case sale.Return:
		event.Command, done = "return", WasReturned
	}
	if last := len(e.story.Events) - 1; last >= 0 && e.story.Events[last].Offset == s.Record.Offset && e.story.Events[last].Kind == done {
		return
	}
	if s.Record.Offset < e.story.Offset {
		return // it cannot have meant what was not there
	}
	if s.Record.Product != e.story.Product {
		event.Product = s.Record.Product
	}
	heard := int64(0)
	for i := range e.story.Events {
		if e.story.Events[i].Kind == WasNamed {
			heard++
		}
	}
	if heard == maxUnheard {
		e.story.Unheard++
		return
	}
	e.add(s, event)
}

// End implements [audit.Visitor].
func (e *explaining) End(r *audit.Replay) error {
	e.story.Until, e.story.Now = r.Core().Next(), event.Instant(r.Core().Now())
	switch e.story.State {
	case sale.Waitlisted:
		if place, waits := e.shelf.place(e.story.Offset); waits {
			e.story.Place = &place
		}
	case sale.Reserved:
		place := int64(0)
		for _, other := range r.Core().Snapshot().Requests {
			if other.Sale == e.of && other.State == sale.Reserved &&
				(other.Granted < e.row.Granted || other.Granted == e.row.Granted && other.Offset < e.story.Offset) {
				place++
			}
		}
		e.story.Place = &place
	case sale.Queued, sale.Held, sale.SoldOut, sale.Rejected, sale.Released, sale.Confirmed, sale.Expired, sale.Returned:
	}
	return nil
}
