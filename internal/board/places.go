package board

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// places are the two orders in which the requests of one sale wait. They hold
// all of them, whichever rows memory has let go: what they cost is 16 bytes for
// each request that waits.
type places struct {
	waitlist order // for a unit
	turns    order // for a checkout window
	windows  meter // of those that opened

	opened  int64 // windows, by the change being made
	touched bool  // by the change being made
}

// place is what a request is ordered by among those that wait for the same.
type place struct {
	granted sale.Offset // what set its units aside; 0 in a waitlist, whose order is the log's
	offset  sale.Offset
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.granted, b.granted), cmp.Compare(a.offset, b.offset))
}

// order is sorted places. Who comes is mostly the last, and who goes mostly the
// first, which moves nobody.
type order []place

func (o order) find(p place) (ahead int, found bool) {
	if last := len(o) - 1; last < 0 || comparePlaces(o[last], p) < 0 {
		return len(o), false
	}
	return slices.BinarySearchFunc(o, p, comparePlaces)
}

func (o *order) add(p place) {
	if i, found := o.find(p); !found {
		*o = slices.Insert(*o, i, p)
	}
}

// remove closes the gap by moving the fewer: those ahead, or those behind.
func (o *order) remove(p place) {
	i, found := o.find(p)
	switch all := *o; {
	case !found:
	case len(all) == 1:
		*o = nil
	case i < len(all)/2:
		copy(all[1:i+1], all[:i])
		*o = all[1:]
	default:
		*o = slices.Delete(all, i, i+1)
	}
}

// put makes p part of the order, or not.
func (o *order) put(p place, waits bool) {
	if waits {
		o.add(p)
	} else {
		o.remove(p)
	}
}

// placesOf gives a sale's places, which it makes where there are none.
func (p *partition) placesOf(id sale.Offset) *places {
	at := p.places[id]
	if at == nil {
		at = new(places)
		p.places[id] = at
	}
	return at
}

// seat gives a request the place that its new row says. Where it was before
// need not be known: a row names all by which either order has it. from is the
// watermark that the row moves the state from.
func (p *partition) seat(row *sale.Request, from sale.Offset) {
	waits := row.State == sale.Waitlisted || row.State == sale.Reserved
	at := p.places[row.Sale]
	if at == nil && !waits || row.Sale == sale.None {
		return
	}
	at = p.placesOf(row.Sale)
	at.waitlist.put(place{offset: row.Offset}, row.State == sale.Waitlisted)
	if row.Granted == 0 { // it has never been reserved
		return
	}
	at.turns.put(place{granted: row.Granted, offset: row.Offset}, row.State == sale.Reserved)
	if row.HeldSince >= from {
		at.opened++
	}
	if !at.touched {
		at.touched = true
		p.touched = append(p.touched, at)
	}
}

// replacePlaces takes the places of all who wait, as the ledger has them.
func (p *partition) replacePlaces(all []Waiting) {
	for _, at := range p.places {
		at.waitlist, at.turns = nil, nil
	}
	for _, w := range all {
		switch at := p.placesOf(w.Sale); w.State { //nolint:exhaustive // nobody else waits
		case sale.Waitlisted:
			at.waitlist = append(at.waitlist, place{offset: w.Offset})
		case sale.Reserved:
			at.turns = append(at.turns, place{granted: w.Granted, offset: w.Offset})
		}
	}
	for _, at := range p.places {
		slices.SortFunc(at.waitlist, comparePlaces)
		slices.SortFunc(at.turns, comparePlaces)
	}
}

// placeOf gives how many are ahead of a request that waits, or NoPosition.
func (p *partition) placeOf(row *sale.Request) int64 {
	at := p.places[row.Sale]
	if at == nil {
		return NoPosition
	}
	ahead, found := 0, false
	if row.State == sale.Waitlisted {
		ahead, found = at.waitlist.find(place{offset: row.Offset})
	} else if row.State == sale.Reserved {
		ahead, found = at.turns.find(place{granted: row.Granted, offset: row.Offset})
	}
	if !found {
		return NoPosition
	}
	return int64(ahead)
}
