package sale

// park keeps a request until its sale goes on.
func (a *application) park(s *saleState, r *Request) {
	s.Parked++
	r = a.keep(s, r)
	s.parked.add(r)
	a.note(r)
}

// pause keeps the sale from deciding. Its clock stands still.
func (a *application) pause(c Pause) {
	s, result := a.steered(c.Sale)
	if result.Code = s.notRunning(); result.Code == CodeDone && s.Stage == StageOpen {
		s.Stage = StagePaused
		s.Pauses = append(s.Pauses[:len(s.Pauses):len(s.Pauses)], Break{From: a.now})
		a.touch(s)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// resume lets the sale go on: those who wait are served first, then those who
// were kept, in their order.
func (a *application) resume(c Resume) {
	s, result := a.steered(c.Sale)
	if result.Code = s.notRunning(); result.Code == CodeDone && s.Stage == StagePaused {
		a.endPause(s, StageOpen)
		a.serve(s)
		parked := s.parked
		s.parked, s.Parked = nil, 0
		for _, r := range parked {
			a.decideParked(s, r)
		}
		a.touch(s)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// notRunning says why a sale, which may be missing, can be neither paused nor
// resumed, or is CodeDone.
func (s *saleState) notRunning() Code {
	if code := s.beyondReach(); code != CodeDone {
		return code
	}
	switch s.Stage {
	case StageClosed:
		return CodeSaleClosed
	case StageScheduled:
		return CodeNotOpen
	case StageOpen, StagePaused:
	}
	return CodeDone
}

// decideParked decides a request that a pause has kept, by the settings that
// the sale has now.
func (a *application) decideParked(s *saleState, r *Request) {
	var reason Reason
	switch {
	case r.Quantity > s.MaxQuantityPerRequest:
		reason = ReasonInvalidQuantity
	case s.buyers[r.Buyer].confirmed+r.Quantity > s.PerBuyerLimit:
		reason = ReasonBuyerLimit
	default:
		a.allot(s, r)
		return
	}
	a.drop(s, r)
	a.reject(s, r, reason)
}

// endPause lets the sale's clock run on, and the holds end by it.
func (a *application) endPause(s *saleState, next Stage) {
	pauses := append([]Break(nil), s.Pauses...) // an earlier copy of the sale may share them
	pauses[len(pauses)-1].To = a.now
	s.Pauses, s.Stage = pauses, next
	s.Pace = Pace{At: a.now}
	for _, offset := range s.kept {
		if r := a.requests[offset]; r != nil && r.State == Held {
			a.awaitEnd(s, r)
		}
	}
}

// endParked refuses everybody whom a pause kept.
func (a *application) endParked(s *saleState) {
	for _, r := range s.parked {
		a.drop(s, r)
		a.reject(s, r, ReasonClosed)
	}
	s.parked, s.Parked = nil, 0
}

// steered finds the sale that an operator's command is about.
func (a *application) steered(id Offset) (*saleState, Result) {
	s := a.sales[id]
	if s == nil || s.Product != a.record.Product {
		return nil, Result{Sale: None, Request: None}
	}
	return s, Result{Sale: id, Request: None}
}

// beyondReach says why no command changes anything of a sale, which may be
// missing, or is CodeDone.
func (s *saleState) beyondReach() Code {
	switch {
	case s == nil:
		return CodeUnknownSale
	case s.retired():
		return CodeSaleRetired
	}
	return CodeDone
}
