package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// BuyOptions say who buys and how much. Exactly one of Buyer and Token is set.
type BuyOptions struct {
	// Buyer is the buyer's name, which goes along as X-Buyer-ID: 1 to 128
	// visible ASCII characters. The service takes it from trusted proxies.
	Buyer string
	// Token is a JWT whose subject is the buyer; it goes along as bearer token.
	Token string
	// Quantity is in units; 0 is one.
	Quantity int64
}

// errWho refuses options that do not say who buys.
var errWho = errors.New("client: a buy needs either a buyer or a token")

// Buy asks for units of a product, and gives the request with its ticket, which
// every further call of the shopper takes. A buyer has one live request in a
// sale: buying again gives the same one, so a buy whose outcome is unknown is
// repeated, and one that was refused for coming too soon (429) as well.
//
// The refusals, by code: not_open (with [Problem.OpensAt]), paused, sold_out
// with status 409 (units may come back) or 410 (none will), closed,
// different_quantity, buyer_required, unknown_product, invalid_request. Where
// waiting helps, [Problem.RetryAfter] says how long.
func (c *Client) Buy(ctx context.Context, product string, options BuyOptions) (Status, error) {
	if (options.Buyer == "") == (options.Token == "") {
		return Status{}, errWho
	}
	k := &call{method: http.MethodPost, path: []string{"v1", "products", product, "buy"}, token: options.Token}
	if options.Buyer != "" {
		k.header = http.Header{"X-Buyer-Id": {options.Buyer}}
	}
	if options.Quantity != 0 {
		k.body = struct {
			Quantity int64 `json:"quantity"`
		}{options.Quantity}
	}
	status, _, err := repeat[Status](ctx, c, k)
	return status, err
}

// Status gives a request as it is now. HasCode(err, "unknown_ticket") for what
// is no ticket of this service.
func (c *Client) Status(ctx context.Context, ticket string) (Status, error) {
	status, _, err := repeat[Status](ctx, c, &call{method: http.MethodGet, path: []string{"queue", ticket}})
	return status, err
}

// Leave gives the shopper's place or hold up. What is final stays as it is. The
// state may still be queued in the answer: then the request is given up as soon
// as the line has come to it. HasCode(err, "not_held") where the unit is bought.
func (c *Client) Leave(ctx context.Context, ticket string) (Status, error) {
	status, _, err := repeat[Status](ctx, c, &call{method: http.MethodDelete, path: []string{"queue", ticket}})
	return status, err
}

// Product is what anyone may know of a product's latest sale.
type Product struct {
	Product               string    `json:"product"`
	State                 string    `json:"state"`              // scheduled, open, paused, closed or sold_out, when nothing can come back
	OpensAt               time.Time `json:"opens_at,omitzero"`  // zero: at once
	ClosesAt              time.Time `json:"closes_at,omitzero"` // zero: never
	ServerTime            time.Time `json:"server_time"`        // count down from this, not from the shopper's clock
	Available             int64     `json:"available"`          // units
	Quantity              int64     `json:"quantity"`           // units
	Line                  int64     `json:"line"`               // undecided requests
	Waitlisted            int64     `json:"waitlisted"`         // requests
	HoldSeconds           int64     `json:"hold_seconds"`       // how long a hold lasts
	PerBuyerLimit         int64     `json:"per_buyer_limit"`    // units
	MaxQuantityPerRequest int64     `json:"max_quantity_per_request"`
	Policy                string    `json:"policy"` // waitlist, queue or reject
}

// Product gives the public state of a product's latest sale. HasCode(err,
// "unknown_product") where it has none.
func (c *Client) Product(ctx context.Context, product string) (Product, error) {
	found, _, err := repeat[Product](ctx, c, &call{method: http.MethodGet, path: []string{"v1", "products", product}})
	return found, err
}
