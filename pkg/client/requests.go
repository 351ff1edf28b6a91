package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// RequestQuery says which requests of a sale to list.
type RequestQuery struct {
	State sale.State // only those in this state; empty: all that have a row
	After string     // RequestPage.Next of the page before; empty: from the start
	Limit int        // requests on a page; 0: as many as the service likes
}

// Request is a request as an operator sees it.
type Request struct {
	ID               string      `json:"id"` // public: partition-offset
	Sale             string      `json:"sale"`
	State            sale.State  `json:"state"`
	Reason           sale.Reason `json:"reason,omitzero"`
	Quantity         int64       `json:"quantity"` // units
	RequestedAt      time.Time   `json:"requested_at"`
	DecidedAt        time.Time   `json:"decided_at,omitzero"`
	PaymentReference string      `json:"payment_reference,omitzero"`
	First            string      `json:"first,omitzero"` // for a duplicate, the request that counts
}

// RequestPage is a part of the requests of a sale, in the order of the log.
type RequestPage struct {
	Requests []Request `json:"requests"`
	Next     string    `json:"next,omitzero"` // for RequestQuery.After; empty: this was the last page
}

// Requests gives a page of the requests of a product's latest sale.
func (c *Client) Requests(ctx context.Context, product string, query RequestQuery) (RequestPage, error) {
	k := c.asOperator(http.MethodGet, nil, product, "requests")
	k.query = url.Values{}
	if query.State != "" {
		k.query.Set("state", string(query.State))
	}
	if query.After != "" {
		k.query.Set("after", query.After)
	}
	if query.Limit != 0 {
		k.query.Set("limit", strconv.Itoa(query.Limit))
	}
	page, _, err := once[RequestPage](ctx, c, k)
	return page, err
}

// errNoProgress is a list of pages that has no end.
var errNoProgress = errors.New("the page after this one is this one")

// AllRequests gives the requests of a product's latest sale, one page after the
// other, from where the query says. An error is the last that it gives.
func (c *Client) AllRequests(ctx context.Context, product string, query RequestQuery) iter.Seq2[Request, error] {
	return func(yield func(Request, error) bool) {
		for next := query; ; {
			page, err := c.Requests(ctx, product, next)
			if err == nil && page.Next != "" && page.Next == next.After {
				err = errNoProgress
			}
			if err != nil {
				yield(Request{}, waiting("the next page of requests", err))
				return
			}
			for _, request := range page.Requests {
				if !yield(request, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			next.After = page.Next
		}
	}
}
