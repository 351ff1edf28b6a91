package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// SaleChange is what is to be otherwise: what is nil stays. Targets are
// absolute. Times count in whole milliseconds.
type SaleChange struct {
	Quantity              *int64     `json:"quantity,omitzero"` // units; no fewer than are sold, held or reserved
	HoldSeconds           *int64     `json:"hold_seconds,omitzero"`
	MaxHoldSeconds        *int64     `json:"max_hold_seconds,omitzero"`
	PerBuyerLimit         *int64     `json:"per_buyer_limit,omitzero"`          // units
	MaxQuantityPerRequest *int64     `json:"max_quantity_per_request,omitzero"` // units
	Policy                *string    `json:"policy,omitzero"`                   // waitlist, queue or reject
	WaitlistCapacity      *int64     `json:"waitlist_capacity,omitzero"`        // requests
	OpensAt               *time.Time `json:"-"`                                 // the zero time: at once
	ClosesAt              *time.Time `json:"-"`                                 // the zero time: never
	AdmitPerSecond        *int64     `json:"admit_per_second,omitzero"`         // checkout windows; 0: as fast as they come
	MaxActiveHolds        *int64     `json:"max_active_holds,omitzero"`         // requests; 0: any number
	CheckoutURL           *string    `json:"checkout_url,omitzero"`             // empty: none
	Actor                 string     `json:"actor,omitzero"`                    // who, for the log
	Reason                string     `json:"reason,omitzero"`                   // why, for the log
}

// changeBody is a SaleChange as it is sent.
type changeBody struct {
	SaleChange
	Opens  *moment `json:"opens_at,omitzero"`
	Closes *moment `json:"closes_at,omitzero"`
}

// moment is a time, or null for the zero time, which takes a time away.
type moment time.Time

func (m moment) MarshalJSON() ([]byte, error) {
	if time.Time(m).IsZero() {
		return []byte("null"), nil
	}
	return time.Time(m).MarshalJSON()
}

// UpdateSale changes the settings of a product's sale that has this version.
// HasCode(err, "stale_version") where somebody else has changed it first: look
// at it again. HasCode(err, "quantity_in_use") for fewer units than are sold,
// held or reserved, and "sale_closed" for a sale that is over, or "sale_retired"
// for one that has been for long. A sale that is as the change wants it is a
// success.
func (c *Client) UpdateSale(ctx context.Context, product string, version int64, change SaleChange) (Sale, error) {
	body := changeBody{SaleChange: change, Opens: (*moment)(change.OpensAt), Closes: (*moment)(change.ClosesAt)}
	k := c.asOperator(http.MethodPatch, body, product)
	k.header = http.Header{"If-Match": {`"` + strconv.FormatInt(version, 10) + `"`}}
	return c.operate(ctx, product, k, change.holdsIn)
}

// Pause stops a product's sale from deciding: later buys wait until it goes on,
// and holds do not run. HasCode(err, "not_open") or "sale_closed" for a sale
// that cannot be paused. One that is paused already is a success.
func (c *Client) Pause(ctx context.Context, product string, why Why) (Sale, error) {
	return c.steer(ctx, product, "pause", why)
}

// Resume lets a paused sale go on. One that is open already is a success.
func (c *Client) Resume(ctx context.Context, product string, why Why) (Sale, error) {
	return c.steer(ctx, product, "resume", why)
}

// Close ends a product's sale for ever; its holds go on. One that is closed
// already is a success, until it retires: HasCode(err, "sale_retired").
func (c *Client) Close(ctx context.Context, product string, why Why) (Sale, error) {
	return c.steer(ctx, product, "close", why)
}

func (c *Client) steer(ctx context.Context, product, command string, why Why) (Sale, error) {
	return c.operate(ctx, product, c.asOperator(http.MethodPost, why, product, command), func(s *Sale) bool {
		switch command {
		case "pause":
			return s.State == "paused"
		case "resume":
			return s.State == "open" || s.State == "sold_out"
		default:
			return s.State == "closed"
		}
	})
}

// errLaterSale is why a command is not sent again.
var errLaterSale = fmt.Errorf("%w, and the product has a later sale now", ErrUndecided)

// operate sends a command. One that is in the log and not decided in time is
// waited for: the sale shows when it is done, and the same command, sent again
// from time to time, tells when it is refused.
func (c *Client) operate(ctx context.Context, product string, k *call, done func(*Sale) bool) (Sale, error) {
	first, a, err := once[Sale](ctx, c, k)
	if err != nil || a.status != http.StatusAccepted {
		return first, err
	}
	patience, last := c.newPatience(), first
	for looks := 1; ; looks++ {
		if err := patience.pause(ctx, ErrUndecided); err != nil {
			return last, waiting("the command", err)
		}
		now, err := c.Sale(ctx, product)
		switch {
		case err != nil: // the next look, or the command, will say what is wrong
		case now.Sale != first.Sale:
			return last, waiting("the command", errLaterSale)
		case done(&now):
			return now, nil
		default:
			last = now
		}
		if err != nil || looks%looksPerCommand != 0 {
			continue
		}
		again, a, err := once[Sale](ctx, c, k)
		switch {
		case errors.Is(err, ErrUnknown): // the first one is in the log
		case err != nil || a.status != http.StatusAccepted:
			return again, err
		}
	}
}

func waiting(what string, err error) error { return fmt.Errorf("waiting for %s: %w", what, err) }

// holdsIn reports whether a sale is as the change wants it.
func (c *SaleChange) holdsIn(s *Sale) bool {
	return is(c.Quantity, s.Quantity) && is(c.HoldSeconds, s.HoldSeconds) && is(c.MaxHoldSeconds, s.MaxHoldSeconds) &&
		is(c.PerBuyerLimit, s.PerBuyerLimit) && is(c.MaxQuantityPerRequest, s.MaxQuantityPerRequest) &&
		is(c.Policy, s.Policy) && is(c.WaitlistCapacity, s.WaitlistCapacity) &&
		isTime(c.OpensAt, s.OpensAt) && isTime(c.ClosesAt, s.ClosesAt) &&
		is(c.AdmitPerSecond, s.AdmitPerSecond) && is(c.MaxActiveHolds, s.MaxActiveHolds) && is(c.CheckoutURL, s.CheckoutURL)
}

func is[T comparable](want *T, have T) bool { return want == nil || *want == have }

func isTime(want *time.Time, have time.Time) bool {
	return want == nil || want.UnixMilli() == have.UnixMilli()
}
