package sale

// create opens a sale, unless its product has an open one.
func (a *application) create(c Create) {
	product := a.record.Product
	result := Result{Sale: None, Request: None}
	switch {
	case c.Settings.Validate() != nil || c.Rules < FirstRules || c.Rules > NewestRules:
		result.Code = CodeInvalid
	case a.current[product] != nil && a.current[product].Stage == StageOpen:
		result.Code = CodeAlreadyOpen
		result.Sale = a.current[product].ID
	default:
		s := &saleState{
			Sale: Sale{
				ID: a.record.Offset, Product: product, Rules: c.Rules, BuyerKey: c.BuyerKey, Settings: c.Settings,
				Stage: StageOpen, CreatedAt: a.now, Version: 1,
				Available: c.Settings.Quantity,
				Defaults:  []Default{{From: a.record.Offset, State: SoldOut, Reason: ReasonSoldOut}},
			},
			buyers: make(map[Buyer]*buyerState),
		}
		a.sales[s.ID] = s
		a.current[product] = s
		a.touch(s)
		result.Sale = s.ID
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

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
		s.Held -= r.Quantity
		s.Confirmed += r.Quantity
		of := s.buyer(r.Buyer)
		of.live = None
		of.confirmed += r.Quantity
		r.Payment = c.PaymentReference
		a.finish(r)
		a.move(r, Confirmed, "")
		a.touch(s)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// release gives a hold back.
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
	case r.State != Held:
		result.Code = CodeNotHeld
	default:
		a.free(r, Released, reason)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// target finds the request that a command is about: a duplicate stands for the
// first one. It is nil where that one has no unit, or is another product's.
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

// notHeld says why a request without a unit cannot be acted on.
func (a *application) notHeld(offset Offset) Code {
	if a.ended[offset] == Expired {
		return CodeHoldExpired
	}
	return CodeNotHeld
}
