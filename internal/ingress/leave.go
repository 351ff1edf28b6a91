package ingress

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// leave is DELETE /queue/{ticket}: the shopper gives back what the request has:
// the place in the line, in the waitlist or behind a pause, the unit whose
// checkout window is to open, or the hold. What is final is left as it is. A queued request's release
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
