package fairness

import (
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// maxSteps is how many steps of the filling a report has at most.
const maxSteps = 240

// fill follows how a sale fills, in steps that double whenever they have
// become too many.
type fill struct {
	opened                sale.Time
	step                  int64 // milliseconds
	points                []Point
	soldOut, allConfirmed *int64
}

// see takes the state after a record, of which all but After is set.
func (f *fill) see(now, opened sale.Time, p Point) {
	if f.step == 0 {
		f.step, f.opened = 1, opened
	}
	p.After = int64(now - f.opened)
	if f.soldOut == nil && p.Taken == p.Quantity {
		f.soldOut = new(p.After)
	}
	if f.allConfirmed == nil && p.Confirmed == p.Quantity {
		f.allConfirmed = new(p.After)
	}
	last := len(f.points) - 1
	if last >= 0 {
		same := f.points[last]
		same.After = p.After
		if same == p {
			return
		}
	}
	for p.After/f.step >= maxSteps {
		f.coarsen()
		last = len(f.points) - 1
	}
	if last >= 0 && f.points[last].After/f.step == p.After/f.step {
		f.points[last] = p
		return
	}
	f.points = append(f.points, p)
}

// coarsen doubles the steps. The last point of each stays.
func (f *fill) coarsen() {
	f.step *= 2
	kept := f.points[:0]
	for _, p := range f.points {
		if last := len(kept) - 1; last >= 0 && kept[last].After/f.step == p.After/f.step {
			kept[last] = p
			continue
		}
		kept = append(kept, p)
	}
	f.points = kept
}

func (f *fill) report(s *sale.Sale, confirmed int64) Fill {
	return Fill{
		Quantity: s.Quantity, Confirmed: confirmed, Rate: share(confirmed, s.Quantity),
		SoldOut: f.soldOut, AllConfirmed: f.allConfirmed, Points: append([]Point{}, f.points...),
	}
}
