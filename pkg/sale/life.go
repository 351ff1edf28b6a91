package sale

// create makes a sale, unless its product has one that is not closed.
func (a *application) create(c Create) {
	product := a.record.Product
	result := Result{Sale: None, Request: None}
	known := c.Rules >= FirstRules && c.Rules <= rulesUnder(a.schema)
	switch latest := a.current(product); {
	case !known || c.Settings.validate(c.Rules) != nil:
		result.Code = CodeInvalid
	case latest != nil && latest.Stage != StageClosed:
		result.Code = CodeAlreadyOpen
		result.Sale = latest.ID
	default:
		s := newSaleState(Sale{
			ID: a.record.Offset, Product: product, Rules: c.Rules, BuyerKey: c.BuyerKey, Settings: c.Settings,
			Stage: StageScheduled, CreatedAt: a.now, Version: 1,
			Available: c.Settings.Quantity,
		})
		a.sales[s.ID] = s
		a.products[product] = append(a.products[product], s)
		if s.OpensAt <= a.now {
			a.open(s)
		} else {
			s.Defaults = []Default{{From: a.record.Offset, State: Rejected, Reason: ReasonNotOpen}}
			a.touch(s)
		}
		a.awaitStages(s)
		result.Sale = s.ID
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// open begins to sell.
func (a *application) open(s *saleState) {
	s.Stage, s.OpenedAt = StageOpen, a.now
	a.outcome(s, SoldOut, ReasonSoldOut)
	a.touch(s)
}

// outcome is what requests without a row are told from this record on.
func (a *application) outcome(s *saleState, state State, reason Reason) {
	last := len(s.Defaults)
	if last > 0 && s.Defaults[last-1].From == a.record.Offset {
		last-- // nothing was decided under it
	}
	s.Defaults = append(s.Defaults[:last:last], Default{From: a.record.Offset, State: state, Reason: reason})
}

// update changes a sale's settings.
func (a *application) update(u Update) {
	s, result := a.steered(u.Sale)
	if result.Code = s.beyondReach(); result.Code == CodeDone {
		result.Code = a.alter(s, u.Version, u.Change.Of(s.Settings))
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// alter gives a sale other settings, or says why it cannot have them.
func (a *application) alter(s *saleState, version int64, changed Settings) Code {
	if changed == s.Settings {
		return CodeDone // already so
	}
	if code := a.objection(s, version, changed); code != CodeDone {
		return code
	}
	s.Available += changed.Quantity - s.Quantity
	s.Settings = changed
	s.Version++
	a.awaitStages(s)
	a.serve(s)
	a.touch(s)
	return CodeDone
}

// objection says why a sale cannot have other settings, or is CodeDone.
func (a *application) objection(s *saleState, version int64, changed Settings) Code {
	switch {
	case s.Stage == StageClosed:
		return CodeSaleClosed
	case s.Version != version:
		return CodeStaleVersion
	case changed.validate(s.Rules) != nil:
		return CodeInvalid
	case s.Rules == rulesFirst && changed.HoldSeconds != s.HoldSeconds:
		return CodeInvalid // it is the end of each of its holds
	case changed.OpensAt != s.OpensAt && s.Stage != StageScheduled:
		return CodeAlreadyOpen
	case changed.Quantity < s.Quantity-s.Available:
		return CodeQuantityInUse
	}
	return CodeDone
}

// close is an operator's end of a sale.
func (a *application) close(c Close) {
	s, result := a.steered(c.Sale)
	if result.Code = s.beyondReach(); result.Code == CodeDone && s.Stage != StageClosed {
		a.end(s)
	}
	a.decide(Decision{Kind: OfCommand, Result: result})
}

// end closes a sale. Those who have a unit keep it.
func (a *application) end(s *saleState) {
	if s.Stage == StagePaused {
		a.endPause(s, StageClosed)
	}
	s.Stage, s.ClosedAt = StageClosed, a.now
	a.endWaitlist(s)
	a.endParked(s)
	a.outcome(s, Rejected, ReasonClosed)
	a.touch(s)
	a.awaitRetirement(s)
}
