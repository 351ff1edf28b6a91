package fairness

import (
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// back follows free units: first come, first got.
type back struct {
	expired, released, returned Count
	idle                        durations
	free                        []freeUnits // in the order in which they became free
	owed                        int64       // got in a record that adds them
}

// freeUnits is units that became free together.
type freeUnits struct {
	at       sale.Time
	units    int64
	cameBack bool // else the sale began with them, or got them
}

func (b *back) add(f freeUnits) {
	if last := len(b.free) - 1; last >= 0 && b.free[last].at == f.at && b.free[last].cameBack == f.cameBack {
		b.free[last].units += f.units
		return
	}
	b.free = append(b.free, f)
}

func (b *back) comeBack(r *liveRequest, to sale.State, at sale.Time) {
	of := &b.released
	switch to {
	case sale.Expired:
		of = &b.expired
	case sale.Returned:
		of = &b.returned
	case sale.Released, sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected, sale.Confirmed:
	}
	of.Requests++
	of.Units += r.quantity
	b.add(freeUnits{at: at, units: r.quantity, cameBack: true})
}

// take gives units to a request.
func (b *back) take(units int64, at sale.Time) {
	for units > 0 && len(b.free) > 0 {
		f := &b.free[0]
		got := min(units, f.units)
		if f.cameBack && got > 0 {
			b.idle.add(int64(at-f.at), got)
		}
		units -= got
		if f.units -= got; f.units == 0 {
			b.free = b.free[1:]
		}
	}
	b.owed += units
}

// resize adds units to a sale, or takes free ones away. It comes after the
// record's decisions, which may have given some of them.
func (b *back) resize(units int64, at sale.Time) {
	units -= b.owed
	b.owed = 0
	if units > 0 {
		b.add(freeUnits{at: at, units: units})
	}
	for last := len(b.free) - 1; units < 0 && last >= 0; last-- {
		gone := min(-units, b.free[last].units)
		units += gone
		if b.free[last].units -= gone; b.free[last].units == 0 {
			b.free = b.free[:last]
		}
	}
}

func (b *back) report() Back {
	r := Back{
		Expired: b.expired, Released: b.released, Returned: b.returned,
		Units: b.expired.Units + b.released.Units + b.returned.Units, Idle: b.idle.report(),
	}
	for _, f := range b.free {
		if f.cameBack {
			r.Left += f.units
		}
	}
	return r
}

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
