package ingress

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

const (
	defaultPage = 100 // requests
	maxPage     = 1000
)

// requestAnswer is what operators are shown of a request.
type requestAnswer struct {
	ID               string      `json:"id"`
	Sale             string      `json:"sale"`
	State            sale.State  `json:"state"`
	Reason           sale.Reason `json:"reason,omitempty"`
	Quantity         int64       `json:"quantity"`
	RequestedAt      string      `json:"requested_at"`
	DecidedAt        string      `json:"decided_at,omitempty"`
	PaymentReference string      `json:"payment_reference,omitempty"`
	First            string      `json:"first,omitempty"` // for a duplicate, the request that counts
}

// listRequests is GET /v1/sales/{product}/requests: those of the product's
// latest sale that have a row, in the order of the log.
func (i *Ingress) listRequests(c echo.Context) error {
	if err := i.operator.check(c.Request()); err != nil {
		return err
	}
	of, err := i.saleIn(c)
	if err != nil {
		return err
	}
	page, err := pageOf(c.Request().URL, &of)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), lookupWait)
	defer cancel()
	limit := page.Limit
	page.Limit++ // is there a page after it?
	rows, err := i.requests.List(ctx, page)
	if err != nil {
		i.log.Warn("requests cannot be listed", "product", of.Product, "error", err)
		return cannotTell("the requests cannot be read now")
	}
	answer := struct {
		Requests []requestAnswer `json:"requests"`
		Next     string          `json:"next,omitempty"` // for ?after=; it is left out on the last page
	}{Requests: make([]requestAnswer, min(len(rows), limit))}
	for n := range answer.Requests {
		answer.Requests[n] = requestOf(of.Partition, &rows[n])
	}
	if len(rows) > limit {
		answer.Next = answer.Requests[limit-1].ID
	}
	return writeJSON(c, http.StatusOK, &answer)
}

func requestOf(partition int32, r *sale.Request) requestAnswer {
	answer := requestAnswer{
		ID: ticket.PublicID(partition, int64(r.Offset)), Sale: ticket.PublicID(partition, int64(r.Sale)),
		State: r.State, Reason: r.Reason, Quantity: r.Quantity, RequestedAt: timestamp(r.AcceptedAt),
		PaymentReference: r.Payment,
	}
	if r.State != sale.Queued { // else a pause keeps it
		answer.DecidedAt = timestamp(r.DecidedAt)
	}
	if r.First != sale.None {
		answer.First = ticket.PublicID(partition, int64(r.First))
	}
	return answer
}

// pageOf reads ?state=, ?after= and ?limit=.
func pageOf(from *url.URL, of *board.SaleView) (Page, error) {
	page := Page{Partition: of.Partition, Sale: of.ID, After: sale.None, Limit: defaultPage}
	query, err := url.ParseQuery(from.RawQuery)
	if err != nil {
		return page, refuse(invalidRequest, "the query cannot be read")
	}
	if text := query.Get("state"); text != "" {
		if page.State = sale.State(text); !isState(page.State) {
			return page, refuse(invalidRequest, "state is none that a request can have")
		}
	}
	if text := query.Get("after"); text != "" {
		partition, offset, err := ticket.ParsePublicID(text)
		if err != nil || partition != of.Partition {
			return page, refuse(invalidRequest, "after must be the id of a request of this sale, as next of a page gives it")
		}
		page.After = sale.Offset(offset)
	}
	if text := query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxPage {
			return page, refusef(invalidRequest, "limit must be a whole number from 1 to %d", maxPage)
		}
		page.Limit = limit
	}
	return page, nil
}

func isState(s sale.State) bool {
	switch s {
	case sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected,
		sale.Released, sale.Confirmed, sale.Expired, sale.Returned:
		return true
	}
	return false
}
