package ingress

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// click is a buy that is well formed, of a sale that is known.
type click struct {
	ask       Ask
	key       uint64 // of the buyer in Ingress.recent
	partition int32
	quantity  int64
	limit     int64 // of units that one buyer may have
}

// buy is POST /v1/products/{product}/buy.
func (i *Ingress) buy(c echo.Context) error {
	started := time.Now()
	of, known := i.board.Sale(sale.Product(c.Param("product")))
	code := buyAccepted
	repeated, err := i.answerBuy(c, &of, known)
	switch {
	case err != nil:
		code = internalError.code()
		if p, ok := errors.AsType[*problem](err); ok {
			code = p.refusal.code()
		}
	case repeated:
		code = buyRepeated
	}
	// Not the path's text: a label must be one of the sales that exist.
	i.metrics.answered(of.Product, code, started)
	return err
}

// answerBuy answers a click. One that the sale's decided state refuses costs no
// call of a backend, and of a crowd that comes too late hardly anything here
// either; but whoever has a live request, as far as this ingress remembers, is
// given its ticket all the same, before any limit: see recent and earlier.
func (i *Ingress) answerBuy(c echo.Context, of *board.SaleView, known bool) (repeated bool, err error) {
	buyer, quantity, err := i.wishOf(c, of, known)
	if err != nil {
		return false, err
	}
	key := i.recent.key(of.Partition, of.ID, buyer)
	refusal := turnedAway(of, quantity)
	if refusal != nil && !i.recent.has(key) {
		return false, refusal
	}
	k, err := i.clickOf(of, buyer, quantity)
	if err != nil {
		return false, err
	}
	k.key = key
	var hint Hint
	if refusal != nil {
		repeated = true
		hint, err = i.earlier(c.Request().Context(), &k, refusal)
	} else {
		hint, repeated, err = i.place(c.Request().Context(), &k)
	}
	if err != nil {
		return repeated, err
	}
	return repeated, i.answerTicket(c, &k, hint, repeated)
}

// answerTicket shows the request that a click has.
func (i *Ingress) answerTicket(c echo.Context, k *click, hint Hint, repeated bool) error {
	request := ticket.Ticket{
		Log: i.logID, Partition: k.partition, Offset: int64(hint.Offset), Sale: int64(k.ask.Sale),
		Product: string(k.ask.Product), Quantity: int(hint.Quantity), AcceptedAt: int64(hint.AcceptedAt),
	}
	text, err := i.tickets.Sign(request)
	if err != nil {
		return err
	}
	holder := claim{request, text}
	now, err := i.show(c.Request().Context(), &holder, marker{})
	if err != nil {
		now = i.unseen(&holder) // it is in the log, and that is what the ticket says
	}
	header := c.Response().Header()
	header.Set("ETag", now.tag(i))
	if repeated {
		return writeJSON(c, http.StatusOK, &now.status)
	}
	header.Set("Location", "/queue/"+now.status.Ticket)
	return writeJSON(c, http.StatusAccepted, &now.status)
}

// wishOf says who wants how much. It refuses what no sale in this state or
// another could take.
func (i *Ingress) wishOf(c echo.Context, of *board.SaleView, known bool) (buyer string, quantity int64, err error) {
	if buyer, err = i.identify(c.Request()); err != nil {
		return "", 0, err
	}
	body := struct {
		Quantity int64 `json:"quantity"`
	}{Quantity: 1}
	if err := readBody(c, &body); err != nil {
		return "", 0, err
	}
	switch {
	case body.Quantity < 1 || body.Quantity > sale.MaxQuantity:
		return "", 0, refusef(invalidRequest, "quantity must be a whole number from 1 to %d", sale.MaxQuantity)
	case !known && !i.board.Ready():
		return "", 0, cannotTell("this server does not know the sales yet")
	case !known:
		return "", 0, refuse(unknownProduct, "")
	case body.Quantity > of.MaxQuantityPerRequest:
		return "", 0, refusef(invalidRequest, "quantity must be at most %d", of.MaxQuantityPerRequest)
	case of.Stopped != "":
		return "", 0, cannotTell("the sale stands still until an operator has looked at it")
	}
	return buyer, body.Quantity, nil
}

// clickOf gives the buyer the name that the log knows.
func (i *Ingress) clickOf(of *board.SaleView, buyer string, quantity int64) (click, error) {
	pseudonym, err := i.buyers.Of(of.BuyerKey, i.logID, of.Partition, int64(of.ID), buyer)
	if err != nil {
		// Its buyers are forgotten, so nobody could tell who has bought already.
		if _, told := i.keyless.LoadOrStore(of.BuyerKey, true); !told {
			i.log.Error("a sale's buyer key is not set; its buys are refused", "product", of.Product, "key", of.BuyerKey)
		}
		return click{}, cannotTell("this server lacks a key of the sale")
	}
	k := click{
		ask: Ask{
			Log: i.topic.Topic(), Product: of.Product, Sale: of.ID, Buyer: sale.Buyer(pseudonym),
		},
		partition: of.Partition, quantity: quantity, limit: of.PerBuyerLimit,
	}
	if of.Policy == sale.PolicyReject {
		k.ask.Units = quantity
	}
	return k, nil
}

// sameQuantity refuses a click for another quantity than its buyer's request.
func (k *click) sameQuantity(known Hint) error {
	if known.Quantity != k.quantity {
		return refusef(differentQuantity, "the earlier request is for %d", known.Quantity)
	}
	return nil
}

const clientLeft = "the client has left"

// errAbandoned settles a flight whose click went away before it had been
// appended. One of those who joined it begins another.
var errAbandoned = errors.New("the click was given up")

// place gives the buyer's request: a new one, or, where repeated is true, the
// one that the buyer has already.
func (i *Ingress) place(ctx context.Context, k *click) (hint Hint, repeated bool, err error) {
	patience := time.NewTimer(appendWait)
	defer patience.Stop()
	for {
		f, first := i.flights.join(k.ask.Buyer)
		if first {
			repeated = i.launch(ctx, k, f)
		} else {
			repeated = true
		}
		err := f.wait(ctx, patience)
		switch {
		case err == nil && repeated:
			return f.hint, true, k.sameQuantity(f.hint)
		case err == nil:
			return f.hint, false, nil
		case errors.Is(err, errAbandoned) && !first:
			continue
		case errors.Is(err, errAbandoned):
			return Hint{}, false, cannotTell(clientLeft)
		}
		return Hint{}, repeated, err
	}
}

// wait waits until the flight is settled, and gives its refusal.
func (f *flight) wait(ctx context.Context, patience *time.Timer) error {
	select {
	case <-f.settled:
		return f.refusal
	case <-patience.C:
		return cannotTell("the log has not answered in time; ask again for the ticket")
	case <-ctx.Done():
		return cannotTell(clientLeft)
	}
}

// launch settles the flight or appends the record whose acknowledgement will.
func (i *Ingress) launch(ctx context.Context, k *click, f *flight) (repeated bool) {
	known, refusal, appended := Hint{}, errAbandoned, false // what a panic would leave behind
	defer func() {
		if !appended {
			f.settle(known, refusal)
			i.flights.end(f)
		}
	}()
	hint, lease, err := i.pass(ctx, k)
	switch {
	case err != nil:
		refusal = err
	case hint != nil:
		known, refusal = *hint, nil
		i.recent.put(k.key, k.ask.Buyer, known)
		return true
	default:
		err := i.appendBuy(k, lease, f)
		refusal, appended = err, err == nil
		if err != nil && lease != "" {
			i.gate.Yield(k.ask, lease) // certainly not in the log
		}
	}
	return false
}

// pass asks the gate. It gives a request that the buyer has already, or nil for
// a buyer who may have a new one, with the lease that lets it in where the
// sale's policy wants one.
func (i *Ingress) pass(ctx context.Context, k *click) (known *Hint, lease string, err error) {
	ask := k.ask
	admission, err := i.admit(ctx, ask)
	if err == nil && admission.Hint != nil {
		known, err := i.stands(ctx, k, *admission.Hint)
		if err != nil || known != nil {
			return known, "", err
		}
		ask.Fresh = true
		admission, err = i.admit(ctx, ask)
		if err != nil {
			return nil, "", err
		}
	}
	switch {
	case err != nil:
		return nil, "", err
	case admission.RetryAfter > 0:
		return nil, "", &problem{refusal: rateLimited, detail: "one click a second is enough", retryAfter: admission.RetryAfter}
	case admission.Full:
		return nil, "", comesBack("others are about to get what is left")
	case admission.Unknown:
		return nil, "", cannotTell("what is left of the sale is not known here for the moment")
	}
	return nil, admission.Lease, nil
}

// admit asks the gate, or the local limiter where that cannot tell.
func (i *Ingress) admit(ctx context.Context, ask Ask) (Admission, error) {
	started := time.Now()
	admission, err := i.gate.Admit(ctx, ask)
	i.metrics.gate.Observe(time.Since(started).Seconds())
	switch {
	case err == nil:
		return admission, nil
	case ctx.Err() != nil:
		return Admission{}, errAbandoned
	}
	return Admission{RetryAfter: i.limiter.admit(ask.Buyer, time.Now())}, nil
}

// stands asks the board whether a hint's request is still the answer to the
// click, and gives it with the quantity that it has there, or nil.
func (i *Ingress) stands(ctx context.Context, k *click, hint Hint) (*Hint, error) {
	if hint.Offset < 0 || hint.Quantity < 1 {
		return nil, nil
	}
	view, err := i.lookup(ctx, k.partition, k.ask.Sale, hint.Offset)
	if err != nil {
		if ctx.Err() != nil {
			return nil, errAbandoned
		}
		return nil, cannotTell("the buyer has a request, and what became of it cannot be read now")
	}
	if view.HasRow {
		hint = Hint{Offset: view.Offset, Quantity: view.Quantity, AcceptedAt: view.AcceptedAt}
	}
	switch {
	case view.State.Live():
		return &hint, nil
	case view.State == sale.Confirmed && hint.Quantity+k.quantity > k.limit:
		return &hint, nil // the buyer has bought, and may not buy more
	}
	return nil, nil
}

// appendBuy appends the record. Its acknowledgement settles the flight,
// whoever still waits for it, and has the gate remember the request; until the
// gate has, the next click joins the flight. Where it fails nothing was
// appended.
func (i *Ingress) appendBuy(k *click, lease string, f *flight) error {
	accepted := time.Now()
	hint := Hint{Offset: sale.None, Quantity: k.quantity, AcceptedAt: sale.Time(accepted.UnixMilli())}
	value, err := event.Encode(sale.Buy{
		Sale: k.ask.Sale, Buyer: k.ask.Buyer, Quantity: hint.Quantity, AcceptedAt: hint.AcceptedAt, Lease: lease,
	})
	if err != nil {
		return err
	}
	i.recent.put(k.key, k.ask.Buyer, hint) // so that a click that is turned away looks for the flight
	err = i.topic.Append(k.partition, []byte(k.ask.Product), value, func(offset sale.Offset, err error) {
		i.metrics.produce.Observe(time.Since(accepted).Seconds())
		if err != nil || offset < 0 {
			f.settle(Hint{}, cannotTell("the log could not tell whether it has the request; ask again"))
			i.flights.end(f)
			return
		}
		i.board.NoteAppended(k.partition, offset)
		hint.Offset = offset
		i.recent.put(k.key, k.ask.Buyer, hint)
		f.settle(hint, nil)
		i.gate.Remember(k.ask, hint, func() { i.flights.end(f) })
	})
	return refusedByLog(err)
}

// refusedByLog says why a record was not taken; nothing was appended.
func refusedByLog(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrOverloaded):
		return cannotTell("the log does not keep up")
	}
	return cannotTell("the log takes no records now")
}
