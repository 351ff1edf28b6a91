package saletest

import (
	"math"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func (l *log) buy(s step) sale.Buy {
	b := sale.Buy{
		Sale: l.saleFor(s), Buyer: evenly(s.draw, buyers[:12]), Quantity: evenly(s.draw, quantities[:8]), AcceptedAt: acceptedAt(s, l.now),
	}
	if of, ok := l.sales[b.Sale]; ok && s.choice < 28 {
		b.Quantity = min(b.Quantity, of.MaxQuantityPerRequest)
	}
	switch s.oddity {
	case 1:
		b.Buyer = evenly(s.draw, buyers)
	case 2:
		b.Quantity = evenly(s.draw, quantities)
	}
	if s.choice < 4 && l.state != nil && (l.state.Schema() >= laterSchema || s.oddity < 8) {
		b.Lease = "lease-1"
		if s.oddity == 5 {
			b.Lease = "a lease"
		}
	}
	return b
}

// saleFor is nearly always the product's latest sale, seldom one before it, of
// another product, or none at all.
func (l *log) saleFor(s step) sale.Offset {
	if s.oddity == 3 {
		return append(offsets, sale.Offset(s.choice))[s.choice%(len(offsets)+1)]
	}
	current, ok := l.current[s.product]
	if !ok {
		current = sale.None
	}
	if s.oddity != 4 && s.oddity != 5 {
		return current
	}
	var others []sale.Offset
	for id := range l.sales {
		if id != current {
			others = append(others, id)
		}
	}
	if len(others) == 0 {
		return current
	}
	slices.Sort(others)
	return evenly(s.draw, others)
}

// requestFor is mostly a request of the product in one of the states, of any
// of its sales; else a recent one in any state.
func (l *log) requestFor(s step, states ...sale.State) sale.Offset {
	if s.oddity == 3 {
		own := sale.Offset(len(l.records))
		return append(offsets, sale.Offset(s.choice), own, own+1)[s.choice%(len(offsets)+3)]
	}
	if fits := l.inState(s.product, states...); len(fits) > 0 && s.choice < 26 {
		return evenly(s.draw, fits)
	}
	latest, back := sale.Offset(s.choice), s.draw.IntN(8)
	for i := len(l.records) - 1; i >= 0 && back >= 0; i-- {
		_, isBuy := l.records[i].Body.(sale.Buy)
		if isBuy && (l.records[i].Product == s.product || s.oddity == 4) {
			latest = sale.Offset(i)
			back--
		}
	}
	return latest
}

// inState gives the product's requests in some states, and the duplicates that
// stand for them.
func (l *log) inState(product sale.Product, states ...sale.State) []sale.Offset {
	var fits []sale.Offset
	for _, offset := range l.asked {
		r := l.rows[offset]
		counts := r
		if r.Reason == sale.ReasonDuplicate {
			counts = l.rows[r.First]
		}
		if r.Product == product && slices.Contains(states, counts.State) {
			fits = append(fits, offset)
		}
	}
	return fits
}

// committedFor is mostly an offset at or a little below the tick's own.
func (l *log) committedFor(s step) sale.Offset {
	own := sale.Offset(len(l.records))
	switch s.oddity {
	case 1:
		return 0
	case 2:
		return own + 1 // one too far
	case 3:
		return offsets[s.choice%len(offsets)]
	case 4:
		return own / 2
	default:
		return max(0, own-sale.Offset(s.draw.IntN(4)))
	}
}

func acceptedAt(s step, now sale.Time) sale.Time {
	if s.oddity == 4 {
		return []sale.Time{-1, math.MaxInt64, math.MinInt64, 253_402_300_799_999, 253_402_300_800_000, 0}[s.choice%6]
	}
	return now - 3
}

// pick takes one of the usual, or in few steps one of all.
func pick[T any](usual, all []T, s step) T {
	if s.oddity == 5 {
		return all[s.choice%len(all)]
	}
	return usual[s.choice%len(usual)]
}
