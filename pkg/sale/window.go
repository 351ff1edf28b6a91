package sale

import (
	"cmp"
	"slices"
)

// windowCost is what a checkout window takes from a Pace.
const windowCost = 1000

// reserve lets a request that has its units wait for its checkout window.
func (a *application) reserve(s *saleState, r *Request) {
	s.Reserved += r.Quantity
	r.Granted = a.record.Offset
	s.turns.add(r)
	if len(s.turns) == 1 {
		i, _ := a.findPaced(s)
		a.paced = slices.Insert(a.paced, i, s)
	}
	a.move(r, Reserved, "")
}

// unreserve takes a request out of the turns.
func (p *Partition) unreserve(s *saleState, r *Request) {
	s.Reserved -= r.Quantity
	s.turns.remove(r)
	if i, ok := p.findPaced(s); ok && len(s.turns) == 0 {
		p.paced = slices.Delete(p.paced, i, i+1)
	}
}

func (p *Partition) findPaced(s *saleState) (int, bool) {
	return slices.BinarySearchFunc(p.paced, s.ID, func(s *saleState, id Offset) int { return cmp.Compare(s.ID, id) })
}

// openWindows opens the checkout windows that are due at a tick.
func (a *application) openWindows() {
	for _, s := range slices.Clone(a.paced) { // sales leave it
		pace := s.Pace.at(a.now, s.AdmitPerSecond)
		opened := false
		for len(s.turns) > 0 && s.hasRoom() && (s.AdmitPerSecond == 0 || pace.Credit >= windowCost) {
			r := s.turns[0]
			a.unreserve(s, r)
			a.hold(s, r)
			if s.AdmitPerSecond > 0 {
				pace.Credit -= windowCost
			}
			opened = true
		}
		if opened {
			s.Pace = pace
			a.touch(s)
		}
	}
}

// hasRoom reports whether one more request may hold.
func (s *saleState) hasRoom() bool {
	return s.Stage != StagePaused && (s.MaxActiveHolds == 0 || s.holding < s.MaxActiveHolds)
}

// nextWindow gives the log time from which on a tick opens a window, or false
// where time alone opens none.
func (s *saleState) nextWindow() (Time, bool) {
	if !s.hasRoom() {
		return 0, false
	}
	lacks := windowCost - s.Pace.Credit
	if s.AdmitPerSecond == 0 || lacks <= 0 {
		return s.Pace.At, true
	}
	return s.Pace.At + Time((lacks+s.AdmitPerSecond-1)/s.AdmitPerSecond), true
}

// at gives the pace as it is at a later time. Without a rate it stays empty.
func (p Pace) at(now Time, perSecond int64) Pace {
	full := perSecond * windowCost
	if elapsed := int64(now - p.At); elapsed >= 1000 {
		p.Credit = full
	} else {
		p.Credit = min(full, p.Credit+elapsed*perSecond)
	}
	p.At = now
	return p
}
