package fairness

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// maxListedInversions is how many inversions a report lists of a sale.
const maxListedInversions = 100

// order watches in which order a sale's requests get their units. It knows
// only what was decided.
type order struct {
	found   Order
	waiting map[int64]*waiting // by what they ask for
	soldOut []refusal          // of those told so, who asked for less than all before them
}

// waiting is those who wait for the same number of units, in the order of
// their offsets.
type waiting struct {
	offsets []sale.Offset
	counted sale.Offset // those below it were counted as passed over
}

type refusal struct {
	quantity int64
	offset   sale.Offset
}

func (o *order) wait(offset sale.Offset, quantity int64) {
	of := o.waiting[quantity]
	if of == nil {
		if o.waiting == nil {
			o.waiting = make(map[int64]*waiting)
		}
		of = new(waiting)
		o.waiting[quantity] = of
	}
	i, found := slices.BinarySearch(of.offsets, offset)
	if !found {
		of.offsets = slices.Insert(of.offsets, i, offset)
	}
}

// leave takes a request out of those who wait, if it is there.
func (o *order) leave(offset sale.Offset, quantity int64) {
	of := o.waiting[quantity]
	if of == nil {
		return
	}
	switch i, found := slices.BinarySearch(of.offsets, offset); {
	case !found:
	case len(of.offsets) == 1:
		delete(o.waiting, quantity) // who comes later has not been passed over
	case i == 0:
		of.offsets = of.offsets[1:]
	default:
		of.offsets = slices.Delete(of.offsets, i, i+1)
	}
}

// refuse notes that a request was told that nothing is left for it.
func (o *order) refuse(offset sale.Offset, quantity int64) {
	i, _ := slices.BinarySearchFunc(o.soldOut, offset, func(r refusal, of sale.Offset) int { return cmp.Compare(r.offset, of) })
	if i > 0 && o.soldOut[i-1].quantity <= quantity {
		return
	}
	behind := i
	for behind < len(o.soldOut) && o.soldOut[behind].quantity >= quantity {
		behind++
	}
	o.soldOut = slices.Replace(o.soldOut, i, behind, refusal{quantity, offset})
}

// grant judges a grant. comeBack is how many units can still come back, with
// those that are free.
func (o *order) grant(d *sale.Decision, quantity, comeBack int64) {
	o.leave(d.Request.Offset, quantity)
	o.found.Grants++
	o.judgeWaiting(d, quantity, max(quantity, comeBack))
	if len(o.soldOut) > 0 && o.soldOut[0].offset < d.Request.Offset {
		o.found.AfterSoldOut++
	}
	for _, refused := range o.soldOut {
		if refused.quantity <= quantity {
			if refused.offset < d.Request.Offset {
				o.found.AfterSoldOutForNoMore++
			}
			break // the others came later
		}
	}
}

func (o *order) judgeWaiting(d *sale.Decision, quantity, served int64) {
	inversion := Inversion{
		Cause: d.Cause, Index: d.Index, Time: event.Instant(d.Time), Request: d.Request.Offset, Quantity: quantity,
	}
	for asked, of := range o.waiting { // in any order: what comes out is sums and a least
		earlier, _ := slices.BinarySearch(of.offsets, d.Request.Offset)
		if earlier == 0 {
			continue
		}
		if asked <= served {
			if inversion.PassedOver == 0 || of.offsets[0] < inversion.Earlier {
				inversion.Earlier, inversion.EarlierQuantity = of.offsets[0], asked
			}
			inversion.PassedOver += int64(earlier)
			continue
		}
		counted, _ := slices.BinarySearch(of.offsets, of.counted)
		o.found.PassedOver += int64(max(0, earlier-counted))
		of.counted = max(of.counted, d.Request.Offset)
	}
	if inversion.PassedOver == 0 {
		return
	}
	o.found.Inversions++
	if len(o.found.Listed) < maxListedInversions {
		o.found.Listed = append(o.found.Listed, inversion)
	}
}

func (o *order) report() Order {
	r := o.found
	r.Listed = append([]Inversion{}, r.Listed...)
	return r
}
