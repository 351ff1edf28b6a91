package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Why says who does something to a sale, and why, for the log. Both may be
// empty.
type Why struct {
	Actor  string `json:"actor,omitzero"`
	Reason string `json:"reason,omitzero"`
}

// NewSale is what a sale is created with. Zero fields take the service's
// defaults.
type NewSale struct {
	Product               string    `json:"product"`
	Quantity              int64     `json:"quantity"`                          // units
	HoldSeconds           int64     `json:"hold_seconds,omitzero"`             // how long a hold lasts
	MaxHoldSeconds        int64     `json:"max_hold_seconds,omitzero"`         // how long one can be extended to, from its start
	PerBuyerLimit         int64     `json:"per_buyer_limit,omitzero"`          // units, held and confirmed
	MaxQuantityPerRequest int64     `json:"max_quantity_per_request,omitzero"` // units
	Policy                string    `json:"policy,omitzero"`                   // waitlist, queue or reject
	WaitlistCapacity      *int64    `json:"waitlist_capacity,omitzero"`        // requests
	OpensAt               time.Time `json:"opens_at,omitzero"`                 // zero: at once
	ClosesAt              time.Time `json:"closes_at,omitzero"`                // zero: never
	AdmitPerSecond        int64     `json:"admit_per_second,omitzero"`         // checkout windows; 0: as fast as they come
	MaxActiveHolds        int64     `json:"max_active_holds,omitzero"`         // requests that hold at once; 0: any number
	CheckoutURL           string    `json:"checkout_url,omitzero"`             // where winners pay
	Partition             *int32    `json:"partition,omitzero"`                // of a product that is new; nil: the least used
	Actor                 string    `json:"actor,omitzero"`                    // who, for the log
	Reason                string    `json:"reason,omitzero"`                   // why, for the log
}

// Sale is a sale as an operator sees it. Counts are in units, except those of
// requests.
type Sale struct {
	Sale                  string    `json:"sale"` // partition-offset
	Product               string    `json:"product"`
	Partition             int32     `json:"partition"`
	State                 string    `json:"state"`            // scheduled, open, paused, closed or sold_out, when nothing can come back
	Stopped               string    `json:"stopped,omitzero"` // why its partition cannot go on
	Quantity              int64     `json:"quantity"`
	HoldSeconds           int64     `json:"hold_seconds"`
	MaxHoldSeconds        int64     `json:"max_hold_seconds"`
	PerBuyerLimit         int64     `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64     `json:"max_quantity_per_request"`
	Policy                string    `json:"policy"`
	WaitlistCapacity      int64     `json:"waitlist_capacity"`  // requests
	OpensAt               time.Time `json:"opens_at,omitzero"`  // zero: at once
	ClosesAt              time.Time `json:"closes_at,omitzero"` // zero: never
	AdmitPerSecond        int64     `json:"admit_per_second"`   // checkout windows; 0: as fast as they come
	MaxActiveHolds        int64     `json:"max_active_holds"`   // requests; 0: any number
	CheckoutURL           string    `json:"checkout_url,omitzero"`
	Available             int64     `json:"available"`
	Reserved              int64     `json:"reserved"`
	Held                  int64     `json:"held"`
	Confirmed             int64     `json:"confirmed"`
	Waitlisted            int64     `json:"waitlisted"` // requests
	Parked                int64     `json:"parked"`     // requests made while it is paused
	Requests              int64     `json:"requests"`   // decided
	SoldOut               int64     `json:"sold_out"`   // of them
	Rejected              int64     `json:"rejected"`   // of them
	Line                  int64     `json:"line"`       // undecided records
	Version               int64     `json:"version"`    // for UpdateSale
	CreatedAt             time.Time `json:"created_at,omitzero"`
	OpenedAt              time.Time `json:"opened_at,omitzero"`
	ClosedAt              time.Time `json:"closed_at,omitzero"`
	RetiredAt             time.Time `json:"retired_at,omitzero"` // since when it takes no commands
}

// CreateSale makes a sale, and returns when it is made: open, or scheduled
// where it opens later. HasCode(err, "already_open") where the product has one
// that is not closed. When the context or the patience ends before it is
// decided the error is ErrUndecided, and it may come to be made all the same.
func (c *Client) CreateSale(ctx context.Context, sale NewSale) (Sale, error) {
	created, a, err := once[Sale](ctx, c, c.asOperator(http.MethodPost, sale))
	if err != nil || a.status != http.StatusAccepted {
		return created, err
	}
	patience := c.newPatience()
	for {
		found, err := c.Sale(ctx, sale.Product)
		if err == nil && found.Sale == created.Sale {
			return found, nil
		}
		if err != nil && !HasCode(err, "unknown_product") && !errors.Is(err, ErrUnknown) {
			return created, waiting("the sale to be made", err)
		}
		if err := patience.pause(ctx, ErrUndecided); err != nil {
			return created, waiting("the sale to be made", err)
		}
	}
}

// Sales lists all sales, by product and age.
func (c *Client) Sales(ctx context.Context) ([]Sale, error) {
	list, _, err := once[struct {
		Sales []Sale `json:"sales"`
	}](ctx, c, c.asOperator(http.MethodGet, nil))
	return list.Sales, err
}

// Sale gives a product's latest sale. HasCode(err, "unknown_product") where it
// has none.
func (c *Client) Sale(ctx context.Context, product string) (Sale, error) {
	found, _, err := once[Sale](ctx, c, c.asOperator(http.MethodGet, nil, product))
	return found, err
}

// asOperator gives an operator's call below /v1/sales.
func (c *Client) asOperator(method string, body any, path ...string) *call {
	return &call{method: method, path: append([]string{"v1", "sales"}, path...), token: c.operator, body: body}
}
