package sale

// confirm turns a hold into a sold unit. What was due before the record's time
// has happened already, so a request that is still held is in time.
func (a *application) confirm(c Confirm) {
	r, result := a.target(c.Request)
	switch {
	case r == nil:
		result.Code = a.notHeld(result.Request)
	case r.State == Confirmed && r.Payment != c.PaymentReference:
		result.Code = CodeOtherPayment
	case r.State == Confirmed: // already so
	case r.State != Held:
		result.Code = CodeNotHeld
	default:
		s := a.sales[r.Sale]
		a.endHold(s, r)
		s.Confirmed += r.Quantity
		has := s.buyer(r.Buyer)
		has.live = None
		has.confirmed += r.Quantity
		s.setBuyer(r.Buyer, has)
		r.Payment = c.PaymentReference
		a.move(r, Confirmed, "")
		a.serve(s) // units may have been kept in the hope of this one
		a.touch(s)
		a.over(s)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// release gives a hold, a reserved unit or a place back.
func (a *application) release(c Release) {
	reason := ReasonMerchant
	if c.By == ByShopper {
		reason = ReasonShopper
	}
	r, result := a.target(c.Request)
	switch {
	case r == nil:
		if a.ended[result.Request] != Released { // else it is already so
			result.Code = a.notHeld(result.Request)
		}
	case !r.State.Live():
		result.Code = CodeNotHeld
	default:
		a.free(r, Released, reason)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// extend lets a hold last until so long after the record's time, or as long as
// its sale allows.
func (a *application) extend(e Extend) {
	r, result := a.target(e.Request)
	switch {
	case r == nil:
		result.Code = a.notHeld(result.Request)
	case r.State != Held:
		result.Code = CodeNotHeld
	default:
		s := a.sales[r.Sale]
		wanted := Time(e.Seconds * 1000) // from the start, which is still to come
		if start, begun := a.starts.Of(r.HeldSince); begun {
			wanted += s.Clock(a.now) - s.Clock(start)
		}
		lasts := s.holdFor(r)
		longest := max(lasts, Time(s.MaxHoldSeconds*1000))
		switch {
		case wanted <= lasts: // already so
		case lasts == longest:
			result.Code = CodeHoldLimit
		default:
			r.HoldFor = min(wanted, longest)
			a.awaitEnd(s, r)
			a.note(r)
			a.touch(s)
		}
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// takeBack frees a sold unit.
func (a *application) takeBack(t Return) {
	r, result := a.target(t.Request)
	switch {
	case r == nil && a.ended[result.Request] == Returned: // already so
	case r == nil && a.hasRetired(result.Request):
		result.Code = CodeSaleRetired
	case r == nil || r.State != Confirmed:
		result.Code = CodeNotConfirmed
	default:
		s := a.sales[r.Sale]
		s.Confirmed -= r.Quantity
		s.Available += r.Quantity
		has := s.buyer(r.Buyer)
		has.confirmed -= r.Quantity
		s.setBuyer(r.Buyer, has)
		delete(a.requests, r.Offset)
		a.ended[r.Offset] = Returned
		a.move(r, Returned, "")
		a.serve(s)
		a.touch(s)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// target finds the request that a command is about: a duplicate stands for the
// first one. It is nil where that one is over, or is another product's.
func (a *application) target(offset Offset) (*Request, Result) {
	if first, ok := a.first[offset]; ok {
		offset = first
	}
	result := Result{Sale: None, Request: offset}
	r := a.requests[offset]
	if r == nil || r.Product != a.record.Product {
		return nil, result
	}
	result.Sale = r.Sale
	return r, result
}

// notHeld says why a request that is over cannot be acted on.
func (a *application) notHeld(offset Offset) Code {
	switch {
	case a.ended[offset] == Expired:
		return CodeHoldExpired
	case a.hasRetired(offset):
		return CodeSaleRetired
	}
	return CodeNotHeld
}
