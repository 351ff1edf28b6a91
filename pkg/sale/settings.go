package sale

import (
	"errors"
	"fmt"
)

// Policy says what happens to those who come after the last unit.
type Policy string

// The policies.
const (
	// PolicyWaitlist lets them wait, in order, for units that come back.
	PolicyWaitlist Policy = "waitlist"
	// PolicyQueue tells them in their turn that the sale is sold out.
	PolicyQueue Policy = "queue"
	// PolicyReject is PolicyQueue with a gate before the log, which lets in
	// what can still be sold.
	PolicyReject Policy = "reject"
)

// Bounds of a sale's settings.
const (
	MaxQuantity    = 1_000_000_000
	MaxHoldSeconds = 7 * 24 * 3600
	MaxPerSecond   = 1_000_000 // checkout windows
	MaxURL         = 2048      // characters
)

// Settings are a sale's terms, as its operators state them. Those that sales
// of the first rules do not have are 0 there.
type Settings struct {
	Quantity              int64  `json:"quantity"`                  // units on sale
	HoldSeconds           int64  `json:"hold_seconds"`              // how long a hold lasts from its start
	MaxHoldSeconds        int64  `json:"max_hold_seconds,omitzero"` // how long one can be extended to, from its start
	PerBuyerLimit         int64  `json:"per_buyer_limit"`           // units, held and confirmed
	MaxQuantityPerRequest int64  `json:"max_quantity_per_request"`  // units
	Policy                Policy `json:"policy"`
	WaitlistCapacity      int64  `json:"waitlist_capacity,omitzero"` // requests
	OpensAt               Time   `json:"opens_at,omitzero"`          // 0 is at once
	ClosesAt              Time   `json:"closes_at,omitzero"`         // 0 is never
	AdmitPerSecond        int64  `json:"admit_per_second,omitzero"`  // checkout windows; 0 is without bound
	MaxActiveHolds        int64  `json:"max_active_holds,omitzero"`  // requests that hold at once; 0 is without bound
	CheckoutURL           string `json:"checkout_url,omitzero"`
}

// ErrInvalidSettings is wrapped by every error of [Settings.Validate].
var ErrInvalidSettings = errors.New("invalid settings")

// Validate reports the first setting that no sale under NewestRules can have.
func (s Settings) Validate() error { return s.validate(NewestRules) }

// validate reports the first setting that no sale under these rules can have.
func (s Settings) validate(rules int) error {
	if rules == rulesFirst {
		// They have one policy and know nothing of the later settings.
		first := Settings{
			Quantity: s.Quantity, HoldSeconds: s.HoldSeconds, PerBuyerLimit: s.PerBuyerLimit,
			MaxQuantityPerRequest: s.MaxQuantityPerRequest, Policy: PolicyQueue,
		}
		if s != first {
			return fmt.Errorf("%w: a sale of the first rules has policy %q and no later setting", ErrInvalidSettings, PolicyQueue)
		}
		first.MaxHoldSeconds = s.HoldSeconds
		s = first
	}
	for _, bound := range []struct {
		name            string
		value, from, to int64
	}{
		{"quantity", s.Quantity, 1, MaxQuantity},
		{"hold_seconds", s.HoldSeconds, 1, MaxHoldSeconds},
		{"max_hold_seconds", s.MaxHoldSeconds, s.HoldSeconds, MaxHoldSeconds},
		{"per_buyer_limit", s.PerBuyerLimit, 1, MaxQuantity},
		{"max_quantity_per_request", s.MaxQuantityPerRequest, 1, s.PerBuyerLimit},
		{"waitlist_capacity", s.WaitlistCapacity, 0, MaxQuantity},
		{"admit_per_second", s.AdmitPerSecond, 0, MaxPerSecond},
		{"max_active_holds", s.MaxActiveHolds, 0, MaxQuantity},
		{"opens_at", int64(s.OpensAt), 0, maxLogTime},
		{"closes_at", int64(s.ClosesAt), 0, maxLogTime},
	} {
		if bound.value < bound.from || bound.value > bound.to {
			return fmt.Errorf("%w: %s must be from %d to %d, not %d", ErrInvalidSettings, bound.name, bound.from, bound.to, bound.value)
		}
	}
	if s.ClosesAt != 0 && s.ClosesAt <= s.OpensAt {
		return fmt.Errorf("%w: closes_at must be after opens_at", ErrInvalidSettings)
	}
	switch s.Policy {
	case PolicyWaitlist, PolicyQueue, PolicyReject:
	default:
		return fmt.Errorf("%w: policy must be %q, %q or %q, not %q", ErrInvalidSettings, PolicyWaitlist, PolicyQueue, PolicyReject, s.Policy)
	}
	if s.CheckoutURL != "" && !readableUpTo(s.CheckoutURL, MaxURL) {
		return fmt.Errorf("%w: checkout_url must have at most %d visible ASCII characters", ErrInvalidSettings, MaxURL)
	}
	return nil
}

// Paced reports whether checkout windows open at a pace.
func (s *Settings) Paced() bool { return s.AdmitPerSecond > 0 || s.MaxActiveHolds > 0 }

// Change is what an operator wants to be otherwise: what is nil stays.
type Change struct {
	Quantity              *int64  `json:"quantity,omitzero"`
	HoldSeconds           *int64  `json:"hold_seconds,omitzero"`
	MaxHoldSeconds        *int64  `json:"max_hold_seconds,omitzero"`
	PerBuyerLimit         *int64  `json:"per_buyer_limit,omitzero"`
	MaxQuantityPerRequest *int64  `json:"max_quantity_per_request,omitzero"`
	Policy                *Policy `json:"policy,omitzero"`
	WaitlistCapacity      *int64  `json:"waitlist_capacity,omitzero"`
	OpensAt               *Time   `json:"opens_at,omitzero"`
	ClosesAt              *Time   `json:"closes_at,omitzero"`
	AdmitPerSecond        *int64  `json:"admit_per_second,omitzero"`
	MaxActiveHolds        *int64  `json:"max_active_holds,omitzero"`
	CheckoutURL           *string `json:"checkout_url,omitzero"`
}

// Of gives the settings as they are with the change.
func (c *Change) Of(s Settings) Settings {
	put(&s.Quantity, c.Quantity)
	put(&s.HoldSeconds, c.HoldSeconds)
	put(&s.MaxHoldSeconds, c.MaxHoldSeconds)
	put(&s.PerBuyerLimit, c.PerBuyerLimit)
	put(&s.MaxQuantityPerRequest, c.MaxQuantityPerRequest)
	put(&s.Policy, c.Policy)
	put(&s.WaitlistCapacity, c.WaitlistCapacity)
	put(&s.OpensAt, c.OpensAt)
	put(&s.ClosesAt, c.ClosesAt)
	put(&s.AdmitPerSecond, c.AdmitPerSecond)
	put(&s.MaxActiveHolds, c.MaxActiveHolds)
	put(&s.CheckoutURL, c.CheckoutURL)
	return s
}

func put[T any](into *T, value *T) {
	if value != nil {
		*into = *value
	}
}
