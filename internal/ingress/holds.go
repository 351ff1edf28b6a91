package ingress

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// target is the request that a call is about, as it was when it was looked up.
type target struct {
	claim // its text is empty where the call came with a public id
	view  board.View
}

// targetOf reads {request}, which is a ticket or a public id. The latter says
// nothing of a sale, so it finds what has a row: every hold, and every refusal
// that is not its sale's default.
func (i *Ingress) targetOf(ctx context.Context, text string) (target, error) {
	if of, err := i.claimOf(text); err == nil {
		view, err := i.lookup(ctx, of.Partition, sale.Offset(of.Sale), sale.Offset(of.Offset))
		if err != nil {
			return target{}, i.unreadable(err)
		}
		return target{claim: of, view: view}, nil
	}
	partition, offset, err := ticket.ParsePublicID(text)
	if err != nil || partition >= i.topic.Partitions() {
		return target{}, refuse(unknownRequest, "")
	}
	// Another ingress may have shown a hold that this one has not heard of.
	_ = i.catchUp(ctx, partition, sale.Offset(offset)+1)
	view, err := i.lookup(ctx, partition, sale.None, sale.Offset(offset))
	switch {
	case errors.Is(err, board.ErrNoRow) || (err == nil && view.Product == ""):
		return target{}, refuse(unknownRequest, "")
	case err != nil:
		return target{}, i.unreadable(err)
	}
	return target{
		claim: claim{Ticket: ticket.Ticket{
			Log: i.logID, Partition: partition, Offset: int64(view.Offset), Sale: int64(view.Sale),
			Product: string(view.Product), Quantity: int(view.Quantity), AcceptedAt: int64(view.AcceptedAt),
		}},
		view: view,
	}, nil
}

// answer shows a target as it was looked up.
func (i *Ingress) answer(c echo.Context, code int, t *target) error {
	s, err := i.statusOf(&t.claim, t.view)
	if err != nil {
		return err
	}
	return writeJSON(c, code, &s)
}

// answerNow shows a target as it is now.
func (i *Ingress) answerNow(c echo.Context, code int, t *target) error {
	if view, err := i.lookup(c.Request().Context(), t.Partition, t.view.Sale, t.view.Offset); err == nil {
		t.view = view
	}
	return i.answer(c, code, t)
}

// showHold is GET /v1/holds/{request}.
func (i *Ingress) showHold(c echo.Context) error {
	if err := i.merchant.check(c.Request()); err != nil {
		return err
	}
	t, err := i.targetOf(c.Request().Context(), c.Param("request"))
	if err != nil {
		return err
	}
	return i.answer(c, http.StatusOK, &t)
}

// confirm is POST /v1/holds/{request}/confirm.
func (i *Ingress) confirm(c echo.Context) error {
	if err := i.merchant.check(c.Request()); err != nil {
		return err
	}
	var body struct {
		PaymentReference string `json:"payment_reference"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	if !visible(body.PaymentReference, maxPayment) {
		return refusef(invalidRequest, "payment_reference must be 1 to %d visible ASCII characters", maxPayment)
	}
	t, err := i.commandTarget(c, notHeld)
	if err != nil {
		return err
	}
	if t.view.State == sale.Confirmed {
		if t.view.Payment == body.PaymentReference {
			return i.answer(c, http.StatusOK, &t)
		}
		return refuse(otherPayment, "")
	}
	if err := withoutHold(t.view.State); err != nil {
		return err
	}
	return i.act(c, &t, sale.Confirm{Request: t.view.Offset, PaymentReference: body.PaymentReference})
}

const maxPayment = 128

// extend is POST /v1/holds/{request}/extend.
func (i *Ingress) extend(c echo.Context) error {
	if err := i.merchant.check(c.Request()); err != nil {
		return err
	}
	var body struct {
		Seconds int64 `json:"seconds"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	if body.Seconds < 1 || body.Seconds > sale.MaxHoldSeconds {
		return refusef(invalidRequest, "seconds must be a whole number from 1 to %d", sale.MaxHoldSeconds)
	}
	t, err := i.commandTarget(c, notHeld)
	if err != nil {
		return err
	}
	if err := withoutHold(t.view.State); err != nil {
		return err
	}
	return i.act(c, &t, sale.Extend{Request: t.view.Offset, Seconds: body.Seconds})
}

// release is POST /v1/holds/{request}/release. It takes what the request has: a
// hold, a unit whose checkout window is to open, or a place.
func (i *Ingress) release(c echo.Context) error {
	t, err := i.bareCommand(c, notHeld)
	if err != nil {
		return err
	}
	if t.view.State == sale.Released {
		return i.answer(c, http.StatusOK, &t)
	}
	if err := withoutHold(t.view.State); err != nil {
		return err
	}
	return i.act(c, &t, sale.Release{Request: t.view.Offset, By: sale.ByMerchant})
}

// giveBack is POST /v1/holds/{request}/return: after a refund the unit is free
// again.
func (i *Ingress) giveBack(c echo.Context) error {
	t, err := i.bareCommand(c, notConfirmed)
	switch {
	case err != nil:
		return err
	case t.view.State == sale.Returned:
		return i.answer(c, http.StatusOK, &t)
	case t.view.State.Final():
		return refuse(notConfirmed, "the request is "+string(t.view.State))
	}
	return i.act(c, &t, sale.Return{Request: t.view.Offset})
}

// bareCommand reads a merchant's command that says nothing but what it is.
func (i *Ingress) bareCommand(c echo.Context, without refusal) (target, error) {
	if err := i.merchant.check(c.Request()); err != nil {
		return target{}, err
	}
	if err := readBody(c, &struct{}{}); err != nil {
		return target{}, err
	}
	return i.commandTarget(c, without)
}

// commandTarget reads the request of a merchant's command. One that is still in
// the line for certain is refused with without; where the board may be behind,
// the log has to tell.
func (i *Ingress) commandTarget(c echo.Context, without refusal) (target, error) {
	ctx := c.Request().Context()
	t, err := i.targetOf(ctx, c.Param("request"))
	if err != nil || t.view.State != sale.Queued {
		return t, err
	}
	reached := i.catchUp(ctx, t.Partition, t.view.Offset+1)
	if errors.Is(reached, board.ErrBehind) {
		return t, refuse(without, "the request is still in the line")
	}
	if t.view, err = i.lookup(ctx, t.Partition, t.view.Sale, t.view.Offset); err != nil {
		return t, i.unreadable(err)
	}
	return t, nil
}

// withoutHold refuses what has no hold and will not get one, so that it does not
// reach the log.
func withoutHold(state sale.State) error {
	switch state {
	case sale.Expired:
		return refuse(holdExpired, "")
	case sale.Confirmed, sale.SoldOut, sale.Rejected, sale.Released, sale.Returned:
		return refuse(notHeld, "the request is "+string(state))
	case sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted: // it may be held when the record acts
	}
	return nil
}

// act appends a merchant's command about a target and answers with what it did.
func (i *Ingress) act(c echo.Context, t *target, body sale.Body) error {
	_, result, err := i.command(c.Request().Context(), t.Partition, sale.Product(t.Product), body)
	switch {
	case errors.Is(err, errUndecided):
		return i.answerNow(c, http.StatusAccepted, t)
	case err != nil:
		return err
	}
	if result.Code == sale.CodeSaleRetired {
		// The log has forgotten how the request ended. Its row has not.
		t.view, err = i.lookup(c.Request().Context(), t.Partition, t.view.Sale, t.view.Offset)
		if err != nil {
			return i.unreadable(err)
		}
		if alreadySo(&t.view, body) {
			return i.answer(c, http.StatusOK, t)
		}
	}
	if err := refusedBy(result.Code); err != nil {
		return err
	}
	return i.answerNow(c, http.StatusOK, t)
}

// alreadySo reports whether a request is as a command wants it.
func alreadySo(view *board.View, body sale.Body) bool {
	switch body := body.(type) {
	case sale.Confirm:
		return view.State == sale.Confirmed && view.Payment == body.PaymentReference
	case sale.Release:
		return view.State == sale.Released
	case sale.Return:
		return view.State == sale.Returned
	}
	return false
}
