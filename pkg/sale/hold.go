package sale

import "fmt"

// hold begins the hold of a request whose units are set aside. It runs from the
// start that follows: see tick.
func (a *application) hold(s *saleState, r *Request) {
	s.Held += r.Quantity
	s.holding++
	r.HeldSince = a.record.Offset
	if s.Rules != rulesFirst {
		r.HoldFor = Time(s.HoldSeconds * 1000)
	}
	a.unstarted = append(a.unstarted, r)
	a.move(r, Held, "")
}

// free takes back what a live request has: units, or a place.
func (a *application) free(r *Request, to State, reason Reason) {
	s := a.sales[r.Sale]
	switch r.State {
	case Held:
		a.endHold(s, r)
		s.Available += r.Quantity
	case Reserved:
		a.unreserve(s, r)
		s.Available += r.Quantity
	case Waitlisted:
		s.waitlist.remove(r)
		s.Waitlisted--
	case Queued:
		s.parked.remove(r)
		s.Parked--
	case SoldOut, Rejected, Released, Confirmed, Expired, Returned:
		a.err = fmt.Errorf("request %d is %s and has nothing to give back", r.Offset, r.State)
		return
	}
	a.drop(s, r)
	a.ended[r.Offset] = to
	a.move(r, to, reason)
	a.serve(s)
	a.touch(s)
	a.over(s)
}

// endHold takes a request's hold away.
func (a *application) endHold(s *saleState, r *Request) {
	s.Held -= r.Quantity
	s.holding--
	a.finish(r)
}

// tick starts the holds that were decided below t.Committed, and not begun by
// an earlier tick.
func (a *application) tick(t Tick) {
	passed, begun := 0, []*Request(nil)
	for ; passed < len(a.unstarted) && a.unstarted[passed].HeldSince < t.Committed; passed++ {
		if r := a.unstarted[passed]; r.State == Held {
			begun = append(begun, r)
		}
	}
	clear(a.unstarted[:passed])
	a.unstarted = a.unstarted[passed:]
	if len(begun) == 0 {
		return
	}
	start := Start{Below: t.Committed, At: a.now, Cause: a.record.Offset}
	a.starts = append(a.starts, start)
	a.begun = append(a.begun, len(begun))
	for _, r := range begun {
		a.awaitEnd(a.sales[r.Sale], r)
	}
	a.decide(Decision{Kind: OfStart, Start: start})
}

// finish takes a hold that has run, or was never begun, off its start, and
// drops the oldest starts while nothing runs from them.
func (p *Partition) finish(r *Request) {
	if i, ok := p.starts.find(r.HeldSince); ok {
		p.begun[i]--
	}
	for len(p.begun) > 0 && p.begun[0] == 0 {
		p.starts, p.begun = p.starts[1:], p.begun[1:]
	}
}

// OldestStart is the lower end of the starts that a hold runs from or may yet
// run from: those with Below under it can be dropped. It never falls.
func (p *Partition) OldestStart() Offset {
	if len(p.starts) > 0 {
		return p.starts[0].Below
	}
	if oldest, ok := p.OldestUnstarted(); ok {
		return oldest + 1
	}
	return p.next
}

// OldestUnstarted gives the offset that decided the oldest hold whose clock
// has not begun to run, or false when there is none.
func (p *Partition) OldestUnstarted() (Offset, bool) {
	for _, r := range p.unstarted {
		if r.State == Held {
			return r.HeldSince, true
		}
	}
	return 0, false
}
