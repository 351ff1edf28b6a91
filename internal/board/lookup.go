package board

import (
	"context"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// NoPosition is the position of a request that has no place: one that does not
// wait, or that a pause keeps.
const NoPosition = -1

// View is a request's state, as it is at Watermark.
type View struct {
	Partition int32
	// Offset names the request whose state this is: the one that was asked
	// for or, where that is a duplicate, the first one.
	Offset sale.Offset
	Sale   sale.Offset // sale.None where a row names none and neither did the caller

	State  sale.State
	Reason sale.Reason
	// Position is the number of records ahead in the line while the request is
	// undecided, and of requests of its sale ahead while it is waitlisted or
	// reserved; else NoPosition. It never rises within a state. A request that a
	// pause keeps is queued and has none.
	Position int64
	// ETA is how long it will take, at the rate measured of late, until a
	// request in the line is decided, or the checkout window of a reserved one
	// opens; or NoETA. It is an estimate, made at the time of the call, and no
	// part of the state at Watermark.
	ETA time.Duration

	// The rest is set as far as the request has a row, as HasRow tells.
	HasRow     bool
	Product    sale.Product
	Quantity   int64
	AcceptedAt sale.Time
	DecidedAt  sale.Time
	Payment    string
	// ExpiresAt is the end of a hold that has begun to run, else 0.
	ExpiresAt sale.Time
	// CheckoutURL is the sale's, for such a hold.
	CheckoutURL string

	Watermark sale.Offset
	LogTime   sale.Time // at Watermark; 0 for a request in the line
}

// Recall is Lookup where memory alone can answer, and gives false where it cannot.
// It waits for nobody.
func (b *Board) Recall(partition int32, of, offset sale.Offset) (View, bool) {
	p, err := b.partition(partition)
	if err != nil {
		return View{}, false
	}
	if view, ok := p.inLine(of, offset); ok {
		return view, true
	}
	view, missing, err := p.view(of, offset)
	return view, err == nil && missing == sale.None
}

// Lookup gives the state of a request of which the caller knows that it is in
// the log, because a ticket says so, and which sale it names. A caller who
// does not know the sale gives sale.None, and gets ErrNoRow unless the request
// has a row.
//
// The answer is right at the watermark that it names. Where memory does not
// hold it, the ledger is asked; an error then means that it could not be, or
// ErrUnsettled.
func (b *Board) Lookup(ctx context.Context, partition int32, of, offset sale.Offset) (View, error) {
	p, err := b.partition(partition)
	if err != nil {
		return View{}, err
	}
	if view, ok := p.inLine(of, offset); ok {
		return view, nil
	}
	// One question for the request, one for the first of a duplicate, and as
	// many again where memory makes room in between.
	for range 4 {
		view, missing, err := p.view(of, offset)
		if err != nil {
			return View{}, fmt.Errorf("request %d-%d: %w", partition, offset, err)
		}
		if missing == sale.None {
			return view, nil
		}
		if err := p.ask(ctx, missing); err != nil {
			return View{}, err
		}
	}
	return View{}, fmt.Errorf("request %d-%d: %w", partition, offset, ErrUnsettled)
}

// inLine gives the view of a request that the watermark has not passed, which
// takes no lock. It gives false where there may be more to say.
func (p *partition) inLine(of, offset sale.Offset) (View, bool) {
	at := p.watermark()
	if at == sale.None || at > offset || of == sale.None {
		return View{}, false
	}
	return View{
		Partition: p.number, Offset: offset, Sale: of, State: sale.Queued,
		Position: int64(offset - at), ETA: p.etaInLine(of, int64(offset-at)), Watermark: at,
	}, true
}

// view gives the request's state from memory, or the request that the ledger
// has to be asked for first.
func (p *partition) view(of, offset sale.Offset) (View, sale.Offset, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	at := p.watermark()
	if at == sale.None {
		return View{}, sale.None, ErrNotReady
	}
	v := View{Partition: p.number, Offset: offset, Sale: of, Position: NoPosition, ETA: NoETA, Watermark: at, LogTime: p.now}
	if offset >= at {
		if of == sale.None {
			return View{}, sale.None, ErrNoRow
		}
		v.State, v.Position, v.LogTime = sale.Queued, int64(offset-at), 0
		v.ETA = p.lineETA(of, v.Position)
		return v, sale.None, nil
	}

	row, known := p.row(offset)
	if !known {
		return View{}, offset, nil
	}
	if row != nil && row.First != sale.None {
		first := row.First // never itself a duplicate
		if row, known = p.row(first); !known {
			return View{}, first, nil
		}
		if row == nil {
			return View{}, sale.None, fmt.Errorf("request %d, which it is a duplicate of: %w", first, ErrNoRow)
		}
	}
	if row == nil {
		return p.viewDefault(v)
	}
	return p.viewRow(v, row)
}

// viewDefault completes the view of a decided request without a row.
func (p *partition) viewDefault(v View) (View, sale.Offset, error) {
	if v.Sale == sale.None {
		return View{}, sale.None, ErrNoRow
	}
	of := p.sales[v.Sale]
	if of == nil {
		return View{}, sale.None, fmt.Errorf("sale %d: %w", v.Sale, ErrUnknownSale)
	}
	outcome, ok := of.DefaultAt(v.Offset)
	if !ok {
		return View{}, sale.None, fmt.Errorf("sale %d has no default there: %w", v.Sale, ErrNoRow)
	}
	v.State, v.Reason, v.Product = outcome.State, outcome.Reason, of.Product
	return v, sale.None, nil
}

// viewRow completes the view of a request with a row.
func (p *partition) viewRow(v View, row *sale.Request) (View, sale.Offset, error) {
	if row.Sale != sale.None {
		v.Sale = row.Sale
	}
	v.Offset, v.State, v.Reason = row.Offset, row.State, row.Reason
	v.HasRow, v.Product, v.Quantity, v.Payment = true, row.Product, row.Quantity, row.Payment
	v.AcceptedAt, v.DecidedAt = row.AcceptedAt, row.DecidedAt
	v.Position = p.placeOf(row)
	if row.State == sale.Reserved {
		v.ETA = p.windowETA(row, v.Position)
	}
	if row.State == sale.Held {
		of := p.sales[row.Sale]
		if of == nil {
			return View{}, sale.None, fmt.Errorf("sale %d: %w", row.Sale, ErrUnknownSale)
		}
		if end, begun := of.EndOf(row, p.starts); begun {
			v.ExpiresAt, v.CheckoutURL = end, of.CheckoutURL
		}
	}
	return v, sale.None, nil
}
