package sale

// buy decides a request. Whoever is here first with a wish that fits is given
// the units; a request for more than is left is told sold_out and does not
// keep a later one that fits from being served.
func (a *application) buy(b Buy) {
	request := Request{
		Offset: a.record.Offset, Sale: None, Product: a.record.Product, Buyer: b.Buyer,
		Quantity: b.Quantity, AcceptedAt: b.AcceptedAt,
		State: Queued, First: None, HeldSince: None,
	}
	s := a.current[a.record.Product]
	if s == nil || s.ID != b.Sale {
		a.move(&request, Rejected, ReasonUnknownSale)
		return
	}
	request.Sale = s.ID
	s.Requests++

	has := s.buyers[b.Buyer]
	switch {
	case b.Quantity < 1 || b.Quantity > s.MaxQuantityPerRequest:
		a.reject(s, &request, ReasonInvalidQuantity)
	case has != nil && has.live != None:
		request.First = has.live
		a.first[request.Offset] = has.live
		a.reject(s, &request, ReasonDuplicate)
	case has != nil && has.confirmed+b.Quantity > s.PerBuyerLimit:
		a.reject(s, &request, ReasonBuyerLimit)
	case b.Quantity > s.Available:
		s.SoldOut++
		a.decide(Decision{Kind: OfRequest, Default: true, Request: Request{
			Offset: request.Offset, Sale: s.ID, Product: request.Product, Quantity: b.Quantity,
			State: SoldOut, Reason: ReasonSoldOut, First: None, HeldSince: None,
		}})
	default:
		a.hold(s, &request)
	}
	a.touch(s)
}

func (a *application) reject(s *saleState, r *Request, reason Reason) {
	s.Rejected++
	a.move(r, Rejected, reason)
}
