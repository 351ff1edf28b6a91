package fairness

import (
	"slices"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// What the naive report has of the sale as a whole.

// pauses takes the sale's own list of them.
func (n *naiveSale) pauses() Pauses {
	end := n.after[len(n.after)-1]
	p := Pauses{Count: int64(len(end.Pauses)), Listed: []Pause{}}
	var waits []int64
	moved := map[sale.Offset]bool{}
	for i, pause := range end.Pauses {
		lasts := i == len(end.Pauses)-1 && end.Stage == sale.StagePaused
		listed := Pause{From: event.Instant(pause.From), To: event.Instant(pause.To)}
		first, last := 0, len(n.steps) // of the steps after which it is paused for the i-th time
		for step := range n.steps {
			s := n.after[step]
			if s == nil || len(s.Pauses) <= i {
				first = step + 1
			} else if last == len(n.steps) && (len(s.Pauses) > i+1 || s.Stage != sale.StagePaused) {
				last = step
			}
		}
		listed.Offset = n.steps[first].record.Offset
		for _, r := range n.requests {
			if q := r.first(sale.Queued); q != nil && q.step >= first && q.step < last {
				listed.Parked++
			}
		}
		if lasts {
			listed.To = 0
			p.Total += int64(n.steps[len(n.steps)-1].now - pause.From)
		} else {
			p.Total += int64(pause.To - pause.From)
			seq := n.before(last)
			for _, r := range n.requests {
				state, _ := r.at(seq)
				at, begunSeq, begun := n.start(r)
				if state == sale.Held && begun && begunSeq < seq && max(at, pause.From) < pause.To {
					listed.HoldsMoved++
					moved[r.offset] = true
				}
			}
		}
		p.Listed = append(p.Listed, listed)
	}
	for _, r := range n.requests {
		if r.events[0].decision.Request.State == sale.Queued {
			p.Parked++
			if len(r.events) > 1 {
				waits = append(waits, int64(r.events[1].decision.Time-r.logged))
			}
		}
	}
	p.Wait, p.HoldsMoved = naiveTimes(waits), int64(len(moved))
	return p
}

// before gives the number of the first decision that a step makes or a later
// one.
func (n *naiveSale) before(step int) int {
	seq := 1
	for i := range step {
		seq += len(n.steps[i].decisions)
	}
	return seq
}

// back moves units one by one.
func (n *naiveSale) back() Back {
	type unit struct {
		at       sale.Time
		cameBack bool
	}
	var b Back
	var free []unit
	var idle []int64
	quantity := int64(0)
	seq := 0
	for i := range n.steps {
		s, owed := n.after[i], int64(0)
		if s != nil && quantity == 0 {
			quantity = naivelyFirst(n.after).Quantity
			free = slices.Repeat([]unit{{}}, int(quantity))
		}
		for _, d := range n.steps[i].decisions {
			seq++
			for _, r := range n.requests {
				e := slices.IndexFunc(r.events, func(e naiveEvent) bool { return e.seq == seq })
				if e < 0 {
					continue
				}
				granted := r.first(sale.Reserved, sale.Held)
				switch state := r.events[e].decision.Request.State; {
				case granted != nil && granted.seq == seq:
					for range r.quantity {
						if len(free) == 0 {
							owed++
							continue
						}
						if free[0].cameBack {
							idle = append(idle, int64(d.Time-free[0].at))
						}
						free = free[1:]
					}
				case granted != nil && granted.seq < seq && (state == sale.Expired || state == sale.Released || state == sale.Returned):
					of := map[sale.State]*Count{sale.Expired: &b.Expired, sale.Released: &b.Released, sale.Returned: &b.Returned}[state]
					of.Requests++
					of.Units += r.quantity
					b.Units += r.quantity
					free = append(free, slices.Repeat([]unit{{d.Time, true}}, int(r.quantity))...)
				}
			}
		}
		if s == nil {
			continue
		}
		change := s.Quantity - quantity - owed
		quantity = s.Quantity
		if change >= 0 {
			free = append(free, slices.Repeat([]unit{{at: n.steps[i].now}}, int(change))...)
		} else {
			free = free[:max(0, len(free)+int(change))]
		}
	}
	for _, u := range free {
		if u.cameBack {
			b.Left++
		}
	}
	b.Idle = naiveTimes(idle)
	return b
}

func naivelyFirst(after []*sale.Sale) *sale.Sale {
	return after[slices.IndexFunc(after, func(s *sale.Sale) bool { return s != nil })]
}

func (n *naiveSale) fill() Fill {
	end := n.after[len(n.after)-1]
	f := Fill{Quantity: end.Quantity, Points: []Point{}}
	var all []Point
	for i, s := range n.after {
		if s == nil || s.OpenedAt == 0 || !slices.ContainsFunc(n.steps[i].changed, func(s sale.Sale) bool { return s.ID == n.id }) {
			continue
		}
		seq := n.before(i + 1)
		p := Point{
			After: int64(n.steps[i].now - s.OpenedAt), Quantity: s.Quantity,
			Confirmed: n.units(seq, sale.Confirmed), Taken: n.units(seq, sale.Confirmed, sale.Held, sale.Reserved),
		}
		f.Confirmed = p.Confirmed
		if f.SoldOut == nil && p.Taken == p.Quantity {
			f.SoldOut = new(p.After)
		}
		if f.AllConfirmed == nil && p.Confirmed == p.Quantity {
			f.AllConfirmed = new(p.After)
		}
		if last := len(all) - 1; last < 0 || all[last] != (Point{all[last].After, p.Quantity, p.Confirmed, p.Taken}) {
			all = append(all, p)
		}
	}
	f.Rate = float64(f.Confirmed) / float64(f.Quantity)
	if len(all) == 0 {
		return f
	}
	step := int64(1)
	for all[len(all)-1].After/step >= 240 {
		step *= 2
	}
	for i, p := range all {
		if i == len(all)-1 || all[i+1].After/step != p.After/step {
			f.Points = append(f.Points, p)
		}
	}
	return f
}
