package sale

import (
	"errors"
	"fmt"
)

// Policy says what happens to those who come after the last unit.
type Policy string

// PolicyQueue tells them in their turn that the sale is sold out.
const PolicyQueue Policy = "queue"

// Bounds of a sale's settings.
const (
	MaxQuantity    = 1_000_000_000
	MaxHoldSeconds = 7 * 24 * 3600
)

// Settings are a sale's terms, as its creator stated them.
type Settings struct {
	Quantity              int64  `json:"quantity"`                 // units on sale
	HoldSeconds           int64  `json:"hold_seconds"`             // how long a hold lasts from its start
	PerBuyerLimit         int64  `json:"per_buyer_limit"`          // units, held and confirmed
	MaxQuantityPerRequest int64  `json:"max_quantity_per_request"` // units
	Policy                Policy `json:"policy"`
}

// ErrInvalidSettings is wrapped by every error of [Settings.Validate].
var ErrInvalidSettings = errors.New("invalid settings")

// Validate reports the first setting that no sale can have.
func (s Settings) Validate() error {
	for _, bound := range []struct {
		name            string
		value, from, to int64
	}{
		{"quantity", s.Quantity, 1, MaxQuantity},
		{"hold_seconds", s.HoldSeconds, 1, MaxHoldSeconds},
		{"per_buyer_limit", s.PerBuyerLimit, 1, MaxQuantity},
		{"max_quantity_per_request", s.MaxQuantityPerRequest, 1, s.PerBuyerLimit},
	} {
		if bound.value < bound.from || bound.value > bound.to {
			return fmt.Errorf("%w: %s must be from %d to %d, not %d", ErrInvalidSettings, bound.name, bound.from, bound.to, bound.value)
		}
	}
	if s.Policy != PolicyQueue {
		return fmt.Errorf("%w: policy must be %q, not %q", ErrInvalidSettings, PolicyQueue, s.Policy)
	}
	return nil
}
