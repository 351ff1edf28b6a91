package ingress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
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
	key       uint64 // of the buyer in Ingress.recent and Ingress.flights
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
// either, nor does one that the line has no room for; but whoever has a live
// request, as far as this ingress remembers, is given its ticket all the same,
// before any limit: see recent and earlier.
func (i *Ingress) answerBuy(c echo.Context, of *board.SaleView, known bool) (repeated bool, err error) {
	buyer, quantity, err := i.wishOf(c, of, known)
	if err != nil {
		return false, err
	}
	key := i.recent.key(of.Partition, of.ID, buyer)
	now := time.Now()
	refusal := turnedAway(of, quantity)
	if refusal == nil && i.overload.stands(now) {
		refusal = cannotTell("more buys come than can be taken; ask again")
	}
	// In this order: a request is remembered before its flight ends.
	if refusal != nil && !i.flights.has(key) && !i.recent.has(key) {
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
		hint, repeated, err = i.place(c.Request().Context(), &k, now)
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
	var buffer [len(queuePath) + ticket.MaxLength]byte
	path, err := i.tickets.AppendTicket(append(buffer[:0], queuePath...), request)
	if err != nil {
		return err
	}
	location := string(path)
	holder := claim{request, location[len(queuePath):]}
	now, err := i.show(c.Request().Context(), &holder, marker{})
	if err != nil {
		now = i.unseen(&holder) // it is in the log, and that is what the ticket says
	}
	header := c.Response().Header()
	values := &[...]string{now.tag(i), location}
	header["Etag"] = values[:1:1]
	if repeated {
		writeStatus(c, http.StatusOK, &now.status)
		return nil
	}
	if now.status.Ticket != holder.text { // a duplicate shows the first one's
		values[1] = queuePath + now.status.Ticket
	}
	header["Location"] = values[1:]
	writeStatus(c, http.StatusAccepted, &now.status)
	return nil
}

const queuePath = "/queue/"

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
func (i *Ingress) place(ctx context.Context, k *click, now time.Time) (hint Hint, repeated bool, err error) {
	w := i.flights.wait(now)
	for {
		f, first := i.flights.join(k, w.news, now)
		if first {
			f.ingress, f.ctx = i, ctx
			return i.begin(ctx, f, w)
		}
		if err := w.until(ctx, f.joined); err != nil {
			i.flights.spare(w)
			return Hint{}, true, err
		}
		if errors.Is(f.refusal, errAbandoned) {
			continue
		}
		i.flights.spare(w)
		if f.refusal != nil {
			return Hint{}, true, f.refusal
		}
		return f.hint, true, k.sameQuantity(f.hint)
	}
}

// begin takes a flight through its stages. Its goroutine waits once for a click
// that is new: what follows the gate's answer is done where the answer is known,
// so that those who were let in together reach the log together. Only a hint
// comes back here, since looking at it may take the ledger.
func (i *Ingress) begin(ctx context.Context, f *flight, w *waiter) (hint Hint, repeated bool, err error) {
	defer func() {
		if f.leave() { // the click has gone away, or there was a panic
			i.conclude(f, Hint{}, errAbandoned)
		}
	}()
	f.admit()
	for {
		if err := w.until(ctx, f.news); err != nil {
			return Hint{}, false, err // news may still come: w stays with the flight
		}
		if f.stage.Load() == stageTaken {
			break
		}
		known, err := i.stands(ctx, &f.click, *f.earlier)
		if err != nil || known != nil {
			return i.knew(f, known, err)
		}
		f.ask.Fresh = true
		f.stage.Store(stageAsking)
		f.admit()
	}
	i.flights.spare(w)
	switch {
	case errors.Is(f.refusal, errAbandoned) && ctx.Err() == nil:
		return Hint{}, false, refuse(internalError, "") // a panic, which has been logged
	case errors.Is(f.refusal, errAbandoned):
		return Hint{}, false, cannotTell(clientLeft)
	}
	return f.hint, false, f.refusal
}

// knew settles a flight with what has been found out about a hint.
func (i *Ingress) knew(f *flight, known *Hint, err error) (hint Hint, repeated bool, refusal error) {
	f.stage.Store(stageTaken)
	if err == nil {
		i.recent.put(f.key, f.ask.Buyer, *known)
		i.conclude(f, *known, nil)
		return *known, true, f.sameQuantity(*known)
	}
	i.conclude(f, Hint{}, err)
	if errors.Is(err, errAbandoned) {
		return Hint{}, false, cannotTell(clientLeft)
	}
	return Hint{}, false, err
}

// conclude settles and ends a flight of which nothing is to be remembered.
func (i *Ingress) conclude(f *flight, hint Hint, refusal error) {
	i.flights.settle(f, hint, refusal, time.Now())
	i.flights.end(f)
}

// admit asks the gate.
func (f *flight) admit() {
	f.asked = time.Now()
	f.ingress.gate.Admit(f.ask, f)
}

// Left implements Asker. Who has begun the flight is there, and so is ctx, until
// the stage says otherwise; what ctx says later makes no difference.
func (f *flight) Left() bool { return f.stage.Load() == stageTaken || f.ctx.Err() != nil }

// Admitted implements Asker: it settles the flight of a click that is refused, or
// appends the record whose acknowledgement will settle it.
func (f *flight) Admitted(admission Admission, err error) {
	i, now := f.ingress, time.Now()
	i.metrics.gate.Observe(now.Sub(f.asked).Seconds())
	var refusal error
	switch {
	case err == nil:
		refusal = refusedByGate(&admission)
	case f.Left():
		refusal = errAbandoned
	default: // the local limiter answers where the gate cannot tell
		refusal = refusedByGate(&Admission{RetryAfter: i.limiter.admit(f.ask.Buyer, now)})
	}
	if admission.Hint != nil && !f.ask.Fresh {
		f.earlier = admission.Hint
		if f.stage.CompareAndSwap(stageAsking, stageHinted) {
			f.tell()
		}
		return
	}
	if !f.stage.CompareAndSwap(stageAsking, stageTaken) { // the click has gone away
		f.yield(admission.Lease)
		return
	}
	defer func() {
		if reason := recover(); reason != nil { // it would take the gate along, and everybody
			i.log.Error("a click panicked", "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			i.conclude(f, Hint{}, errAbandoned)
		}
	}()
	if refusal == nil {
		if refusal = f.append(admission.Lease); refusal == nil {
			return
		}
		f.yield(admission.Lease) // certainly not in the log
	}
	i.conclude(f, Hint{}, refusal)
}

func (f *flight) yield(lease string) {
	if lease != "" {
		f.ingress.gate.Yield(f.ask, lease)
	}
}

// refusedByGate says why a buyer may not have a new request, nil for one who may.
func refusedByGate(admission *Admission) error {
	switch {
	case admission.RetryAfter > 0:
		return &problem{refusal: rateLimited, detail: "one click a second is enough", retryAfter: admission.RetryAfter}
	case admission.Full:
		return comesBack("others are about to get what is left")
	case admission.Unknown:
		return cannotTell("what is left of the sale is not known here for the moment")
	}
	return nil
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

// append appends the record. Where it fails nothing was appended.
func (f *flight) append(lease string) error {
	f.asked = time.Now()
	value, err := event.EncodeBuy(&sale.Buy{
		Sale: f.ask.Sale, Buyer: f.ask.Buyer, Quantity: f.quantity, AcceptedAt: f.acceptedAt(), Lease: lease,
	})
	if err != nil {
		return err
	}
	return refusedByLog(f.ingress.topic.Append(f.partition, []byte(f.ask.Product), value, f.acknowledged))
}

// acknowledged settles the flight, whoever still waits for it, and has the gate
// remember the request; until the gate has, the next click joins the flight.
func (f *flight) acknowledged(offset sale.Offset, err error) {
	i, now := f.ingress, time.Now()
	i.metrics.produce.Observe(now.Sub(f.asked).Seconds())
	if err != nil || offset < 0 {
		i.conclude(f, Hint{}, cannotTell("the log could not tell whether it has the request; ask again"))
		return
	}
	i.board.NoteAppended(f.partition, offset)
	placed := Hint{Offset: offset, Quantity: f.quantity, AcceptedAt: f.acceptedAt()}
	i.recent.put(f.key, f.ask.Buyer, placed)
	i.flights.settle(f, placed, nil, now)
	i.gate.Remember(f.ask, placed, f.end)
}

func (f *flight) acceptedAt() sale.Time { return sale.Time(f.asked.UnixMilli()) }

func (f *flight) end() { f.ingress.flights.end(f) }

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
