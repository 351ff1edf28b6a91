package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// NewSale is what a sale is created with. Zero fields take the service's
// defaults.
type NewSale struct {
	Product               string `json:"product"`
	Quantity              int64  `json:"quantity"` // units
	HoldSeconds           int64  `json:"hold_seconds,omitzero"`
	PerBuyerLimit         int64  `json:"per_buyer_limit,omitzero"`          // units
	MaxQuantityPerRequest int64  `json:"max_quantity_per_request,omitzero"` // units
	Policy                string `json:"policy,omitzero"`
	Partition             *int32 `json:"partition,omitzero"`
	Reason                string `json:"reason,omitzero"` // why, for the log
}

// Sale is a sale as an operator sees it. Counts are in units, except those of
// requests.
type Sale struct {
	Sale                  string    `json:"sale"` // partition-offset
	Product               string    `json:"product"`
	Partition             int32     `json:"partition"`
	State                 string    `json:"state"`
	Policy                string    `json:"policy"`
	Quantity              int64     `json:"quantity"`
	Available             int64     `json:"available"`
	Reserved              int64     `json:"reserved"`
	Held                  int64     `json:"held"`
	Confirmed             int64     `json:"confirmed"`
	Requests              int64     `json:"requests"` // decided
	SoldOut               int64     `json:"sold_out"` // of them
	Rejected              int64     `json:"rejected"` // of them
	Line                  int64     `json:"line"`     // undecided records
	HoldSeconds           int64     `json:"hold_seconds"`
	PerBuyerLimit         int64     `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64     `json:"max_quantity_per_request"`
	Version               int64     `json:"version"`
	CreatedAt             time.Time `json:"created_at"`
}

// lookAgain is how long CreateSale waits between looks for a sale that was not
// decided at once.
const lookAgain = 200 * time.Millisecond

// CreateSale opens a sale, and returns when it is open. HasCode(err,
// "already_open") where the product has an open one. When ctx ends before the
// sale is decided, it may come to be open all the same.
func (c *Client) CreateSale(ctx context.Context, sale NewSale) (Sale, error) {
	var created Sale
	status, err := c.do(ctx, http.MethodPost, []string{"v1", "sales"}, sale, &created)
	if err != nil || status != http.StatusAccepted {
		return created, err
	}
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		found, err := c.Sale(ctx, sale.Product)
		switch {
		case err == nil && found.Sale == created.Sale:
			return found, nil
		case err != nil && !HasCode(err, "unknown_product"):
			return created, fmt.Errorf("waiting for the sale to open: %w", err)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return created, fmt.Errorf("waiting for the sale to open: %w", ctx.Err())
		}
	}
}

// Sales lists all sales, by product and age.
func (c *Client) Sales(ctx context.Context) ([]Sale, error) {
	var list struct {
		Sales []Sale `json:"sales"`
	}
	_, err := c.do(ctx, http.MethodGet, []string{"v1", "sales"}, nil, &list)
	return list.Sales, err
}

// Sale gives a product's latest sale. HasCode(err, "unknown_product") where it
// has none.
func (c *Client) Sale(ctx context.Context, product string) (Sale, error) {
	var found Sale
	_, err := c.do(ctx, http.MethodGet, []string{"v1", "sales", product}, nil, &found)
	return found, err
}
