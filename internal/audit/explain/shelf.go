package explain

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// shelf follows one sale's units, and those who wait for them, from decision to
// decision, so that it is known how they stood in the middle of a record. It
// keeps what the core keeps of those who wait, and no more.
type shelf struct {
	available int64
	waiting   []waiter // in the order of their offsets
	reserved  int64    // requests whose checkout window is to open

	wanted int64     // units: whoever leaves less than these took the last one
	last   *LastUnit // the last time that this was so

	cause sale.Offset              // the latest record with a decision
	here  map[sale.Offset]struct{} // the requests that it gave units

	lots []Freed // what is available, by where it came from, while noting
	note bool
}

type waiter struct {
	request  sale.Offset
	quantity int64
}

// stockUp takes over how a sale stands, with those of its requests that live.
func (h *shelf) stockUp(of *sale.Sale, requests []sale.Request) {
	h.available = of.Available
	for i := range requests {
		switch r := &requests[i]; {
		case r.Sale != of.ID:
		case r.State == sale.Waitlisted:
			h.waiting = append(h.waiting, waiter{r.Offset, r.Quantity})
		case r.State == sale.Reserved:
			h.reserved++
		}
	}
}

// watch begins to note where units come from.
func (h *shelf) watch(at event.Instant, offset sale.Offset) {
	h.note = true
	if h.available > 0 {
		h.lots = append(h.lots, Freed{Offset: offset, Time: at, How: FreedBefore, Units: h.available})
	}
}

// forget ends that.
func (h *shelf) forget() { h.note, h.lots = false, nil }

// apply does what a decision about a request of the sale says. It gives where
// the units came from that the request was given, if that is noted.
func (h *shelf) apply(d *sale.Decision) []Freed {
	r := &d.Request
	if h.cause != d.Cause {
		h.cause, h.here = d.Cause, nil
	}
	back := Freed{Offset: d.Cause, Time: event.Instant(d.Time), Request: r.Offset, Units: r.Quantity}
	switch r.State {
	case sale.Waitlisted:
		h.waiting = append(h.waiting, waiter{r.Offset, r.Quantity}) // nobody behind it can wait already
	case sale.Reserved:
		h.leave(r.Offset)
		h.reserved++
		return h.take(d)
	case sale.Held:
		_, given := h.here[r.Offset]
		switch {
		case given, r.HeldSince != r.Cause: // extended
		case r.Granted != 0:
			h.reserved--
		default:
			h.leave(r.Offset)
			return h.take(d)
		}
	case sale.Released:
		back.How = FreedReleased
		switch {
		case r.HeldSince != sale.None:
			h.put(back)
		case r.Granted != 0:
			h.reserved--
			h.put(back)
		default:
			h.leave(r.Offset)
		}
	case sale.Expired:
		back.How = FreedExpired
		h.put(back)
	case sale.Returned:
		back.How = FreedReturned
		h.put(back)
	case sale.SoldOut:
		h.leave(r.Offset)
	case sale.Queued, sale.Rejected, sale.Confirmed:
	}
	return nil
}

// put makes units available.
func (h *shelf) put(back Freed) {
	h.available += back.Units
	if h.note {
		h.lots = append(h.lots, back)
	}
}

// take gives a request its units.
func (h *shelf) take(d *sale.Decision) (from []Freed) {
	if h.here == nil {
		h.here = make(map[sale.Offset]struct{})
	}
	h.here[d.Request.Offset] = struct{}{}
	h.lower(d.Request.Quantity, LastUnit{Offset: d.Cause, Time: event.Instant(d.Time), Request: d.Request.Offset})
	for left := d.Request.Quantity; h.note && left > 0 && len(h.lots) > 0; {
		lot := h.lots[0]
		lot.Units = min(left, lot.Units)
		from = append(from, lot)
		left -= lot.Units
		if h.lots[0].Units -= lot.Units; h.lots[0].Units == 0 {
			h.lots = h.lots[1:]
		}
	}
	return from
}

// withdraw takes units off the sale, those that came last.
func (h *shelf) withdraw(units int64, by LastUnit) {
	h.lower(units, by)
	for left := units; left > 0 && len(h.lots) > 0; {
		last := &h.lots[len(h.lots)-1]
		fewer := min(left, last.Units)
		left -= fewer
		if last.Units -= fewer; last.Units == 0 {
			h.lots = h.lots[:len(h.lots)-1]
		}
	}
}

func (h *shelf) lower(units int64, by LastUnit) {
	enough := h.available >= h.wanted
	h.available -= units
	if enough && h.available < h.wanted {
		by.Available = h.available
		h.last = &by
	}
}

// place gives how many wait before a request, or false where it does not wait.
func (h *shelf) place(request sale.Offset) (int64, bool) {
	i, found := slices.BinarySearchFunc(h.waiting, request, func(w waiter, request sale.Offset) int { return cmp.Compare(w.request, request) })
	return int64(i), found
}

func (h *shelf) leave(request sale.Offset) {
	switch i, found := h.place(request); {
	case !found:
	case i == 0:
		h.waiting = h.waiting[1:]
	default:
		h.waiting = slices.Delete(h.waiting, int(i), int(i)+1)
	}
}

// keptFor gives the request that what is available is kept for, while so many
// units may yet be sold; 0 is none.
func (h *shelf) keptFor(mayYetSell int64) sale.Offset {
	for _, w := range h.waiting {
		if w.quantity <= mayYetSell {
			return w.request
		}
	}
	return 0
}
