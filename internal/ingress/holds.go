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
	t, err := i.heldTarget(c)
	if err != nil {
		return err
	}
	switch {
	case t.view.State == sale.Confirmed && t.view.Payment == body.PaymentReference:
		return i.answer(c, http.StatusOK, &t)
	case t.view.State == sale.Confirmed:
		return refuse(otherPayment, "")
	case t.view.State == sale.Released:
		return refuse(notHeld, "the hold was given back")
	}
	return i.act(c, &t, sale.Confirm{Request: t.view.Offset, PaymentReference: body.PaymentReference})
}

const maxPayment = 128

// release is POST /v1/holds/{request}/release.
func (i *Ingress) release(c echo.Context) error {
	if err := i.merchant.check(c.Request()); err != nil {
		return err
	}
	if err := readBody(c, &struct{}{}); err != nil {
		return err
	}
	t, err := i.heldTarget(c)
	if err != nil {
		return err
	}
	if t.view.State == sale.Released {
		return i.answer(c, http.StatusOK, &t)
	}
	if t.view.State == sale.Confirmed {
		return refuse(notHeld, "the request is confirmed")
	}
	return i.act(c, &t, sale.Release{Request: t.view.Offset, By: sale.ByMerchant})
}

// heldTarget reads the request of a merchant's command. It refuses what has no
// hold for certain, so that it does not reach the log; a board that may be
// behind leaves the answer to the log.
func (i *Ingress) heldTarget(c echo.Context) (target, error) {
	ctx := c.Request().Context()
	t, err := i.targetOf(ctx, c.Param("request"))
	if err != nil {
		return t, err
	}
	if t.view.State == sale.Queued {
		reached := i.catchUp(ctx, t.Partition, t.view.Offset+1)
		if errors.Is(reached, board.ErrBehind) {
			return t, refuse(notHeld, "the request is still in the line")
		}
		if t.view, err = i.lookup(ctx, t.Partition, t.view.Sale, t.view.Offset); err != nil {
			return t, i.unreadable(err)
		}
	}
	switch t.view.State {
	case sale.Expired:
		return t, refuse(holdExpired, "")
	case sale.SoldOut, sale.Rejected, sale.Returned:
		return t, refuse(notHeld, "the request is "+string(t.view.State))
	case sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.Confirmed, sale.Released:
	}
	return t, nil
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
	if err := refusedBy(result.Code); err != nil {
		return err
	}
	return i.answerNow(c, http.StatusOK, t)
}

// refusedBy words the core's refusal of a command.
func refusedBy(code sale.Code) error {
	switch code {
	case sale.CodeDone:
		return nil
	case sale.CodeNotHeld:
		return refuse(notHeld, "")
	case sale.CodeHoldExpired:
		return refuse(holdExpired, "")
	case sale.CodeOtherPayment:
		return refuse(otherPayment, "")
	case sale.CodeAlreadyOpen:
		return refuse(alreadyOpen, "")
	case sale.CodeInvalid:
		return refuse(invalidRequest, "no sale can have these settings")
	}
	return refuse(internalError, "the log refused the command for a reason that this server does not know: "+string(code))
}

// leave is DELETE /queue/{ticket}: the shopper gives the place in the line or
// the hold back. What is final is left as it is. A queued request's release
// lies behind it in the log, so it acts once that is decided.
func (i *Ingress) leave(c echo.Context) error {
	of, err := i.claimOf(c.Param("ticket"))
	if err != nil {
		return err
	}
	view, err := i.lookup(c.Request().Context(), of.Partition, sale.Offset(of.Sale), sale.Offset(of.Offset))
	if err != nil {
		return i.unreadable(err)
	}
	t := target{claim: of, view: view}
	switch {
	case view.State.Final():
		return i.answer(c, http.StatusOK, &t)
	case view.State == sale.Confirmed:
		return refuse(notHeld, "the unit is bought")
	}
	_, result, err := i.command(c.Request().Context(), of.Partition, sale.Product(of.Product), sale.Release{Request: view.Offset, By: sale.ByShopper})
	switch {
	case errors.Is(err, errUndecided):
		return i.answerNow(c, http.StatusAccepted, &t)
	case err != nil:
		return err
	case result.Code == sale.CodeDone:
		return i.answerNow(c, http.StatusOK, &t)
	}
	// There was nothing to give back any more: it is over by itself, or bought.
	now, err := i.lookup(c.Request().Context(), of.Partition, sale.Offset(of.Sale), sale.Offset(of.Offset))
	if err != nil {
		return i.unreadable(err)
	}
	if t.view = now; now.State.Final() {
		return i.answer(c, http.StatusOK, &t)
	}
	return refusedBy(result.Code)
}
