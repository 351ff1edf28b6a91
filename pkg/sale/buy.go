package sale

// buy decides a request of an open sale. A paused one keeps it for later.
func (a *application) buy(b Buy) {
	request := &a.asked
	*request = Request{
		Offset: a.record.Offset, Sale: None, Product: a.record.Product, Buyer: b.Buyer,
		Quantity: b.Quantity, AcceptedAt: b.AcceptedAt,
		State: Queued, First: None, HeldSince: None,
	}
	s := a.current(a.record.Product)
	if s == nil || s.ID != b.Sale {
		a.move(request, Rejected, ReasonUnknownSale)
		return
	}
	request.Sale = s.ID
	s.Requests++

	has := s.buyer(b.Buyer)
	switch {
	case s.Stage == StageScheduled:
		a.refuse(s, request, Rejected, ReasonNotOpen)
	case s.Stage == StageClosed:
		a.refuse(s, request, Rejected, ReasonClosed)
	case b.Quantity < 1 || b.Quantity > s.MaxQuantityPerRequest:
		a.reject(s, request, ReasonInvalidQuantity)
	case has.live != None:
		request.First = has.live
		a.first[request.Offset] = has.live
		s.kept = append(s.kept, request.Offset)
		a.reject(s, request, ReasonDuplicate)
	case has.confirmed > 0 && has.confirmed+b.Quantity > s.PerBuyerLimit:
		a.reject(s, request, ReasonBuyerLimit)
	case s.Stage == StagePaused:
		a.park(s, request)
	default:
		a.allot(s, request)
	}
	a.touch(s)
}

// allot gives the request its units, a place in the waitlist, or a refusal.
// Whoever is here first with a wish that fits is served; who waits already
// comes first. Nobody is put onto the waitlist for more than can come back by
// itself, who could then only wait for a refund; they may ask for fewer.
func (a *application) allot(s *saleState, r *Request) {
	switch {
	case r.Quantity <= s.Available && !s.keepsUnits():
		a.grant(s, r)
	case s.Policy == PolicyWaitlist && r.Quantity <= s.MayYetSell() && s.Waitlisted < s.WaitlistCapacity:
		a.wait(s, r)
	default:
		a.refuse(s, r, SoldOut, ReasonSoldOut)
	}
}

// grant sets units aside. Where checkout windows open at a pace the request
// takes its turn, otherwise its hold begins.
func (a *application) grant(s *saleState, r *Request) {
	s.Available -= r.Quantity
	r = a.keep(s, r)
	if s.Paced() || len(s.turns) > 0 {
		a.reserve(s, r)
	} else {
		a.hold(s, r)
	}
}

// keep remembers a request that is live, and gives it as it is remembered.
func (a *application) keep(s *saleState, r *Request) *Request {
	if _, waited := a.requests[r.Offset]; !waited {
		kept := *r
		r = &kept
		a.requests[r.Offset] = r
		s.kept = append(s.kept, r.Offset)
	}
	has := s.buyer(r.Buyer)
	has.live = r.Offset
	s.setBuyer(r.Buyer, has)
	return r
}

// refuse tells a request the outcome that its sale's default says, so that it
// needs no row unless it has one.
func (a *application) refuse(s *saleState, r *Request, to State, reason Reason) {
	if to == SoldOut {
		s.SoldOut++
	} else {
		s.Rejected++
	}
	if _, hasRow := a.requests[r.Offset]; hasRow {
		a.drop(s, r)
		a.move(r, to, reason)
		return
	}
	a.decide(Decision{Kind: OfRequest, Default: true, Request: Request{
		Offset: r.Offset, Sale: s.ID, Product: r.Product, Quantity: r.Quantity,
		State: to, Reason: reason, First: None, HeldSince: None,
	}})
}

func (a *application) reject(s *saleState, r *Request, reason Reason) {
	s.Rejected++
	a.move(r, Rejected, reason)
}

// drop forgets a request that is live no more and has not bought.
func (a *application) drop(s *saleState, r *Request) {
	delete(a.requests, r.Offset)
	has := s.buyer(r.Buyer)
	has.live = None
	s.setBuyer(r.Buyer, has)
}
