package sale

// wait puts a request into the waitlist.
func (a *application) wait(s *saleState, r *Request) {
	s.Waitlisted++
	r = a.keep(s, r)
	s.waitlist.add(r)
	a.move(r, Waitlisted, "")
}

// keepsUnits reports whether the units that are left are kept for somebody who
// waits for more of them. That is so while what may yet be sold is enough for
// the one who waits; then the holds that run now decide, and nobody behind is
// served. Where it is not enough, those behind pass.
func (s *saleState) keepsUnits() bool {
	for _, r := range s.waitlist {
		if r.Quantity <= s.MayYetSell() {
			return true
		}
	}
	return false
}

// serve gives the units that are left to those who wait, in their order.
func (a *application) serve(s *saleState) {
	if s.Stage != StageOpen {
		return
	}
	for i := 0; i < len(s.waitlist) && s.Available > 0; {
		r := s.waitlist[i]
		switch {
		case r.Quantity <= s.Available:
			s.waitlist.cut(i)
			s.Waitlisted--
			a.grant(s, r)
		case r.Quantity <= s.MayYetSell():
			return // the units are kept: see keepsUnits
		default:
			i++
		}
	}
}

// endWaitlist tells everybody who waits that there will be nothing.
func (a *application) endWaitlist(s *saleState) {
	for _, r := range s.waitlist {
		a.drop(s, r)
		s.SoldOut++
		a.move(r, SoldOut, ReasonClosed)
	}
	s.waitlist, s.Waitlisted = nil, 0
}
