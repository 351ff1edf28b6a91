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
