package ingress

import (
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Defaults of a sale's settings.
const (
	defaultHoldSeconds    = 480
	defaultMaxHoldSeconds = 1800 // at least hold_seconds
	defaultPerBuyerLimit  = 1
	defaultMaxQuantity    = 1
	defaultPolicy         = sale.PolicyWaitlist
	defaultCapacity       = 10 // of the waitlist; at least the quantity
)

const (
	operatorActor = "operator" // where a body names none
	maxActor      = 100        // characters
	maxReason     = 200        // characters
)

// wish is a member of a body that may be left out. null is a wish for nothing.
type wish[T any] struct {
	said bool
	want *T
}

// UnmarshalJSONFrom is called for a member that is there.
func (w *wish[T]) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	w.said = true
	return json.UnmarshalDecode(decoder, &w.want)
}

// settingsBody is a sale's settings as an operator writes them. null takes away
// what a sale need not have: its times and its checkout_url.
type settingsBody struct {
	Quantity              wish[int64]       `json:"quantity"`
	HoldSeconds           wish[int64]       `json:"hold_seconds"`
	MaxHoldSeconds        wish[int64]       `json:"max_hold_seconds"`
	PerBuyerLimit         wish[int64]       `json:"per_buyer_limit"`
	MaxQuantityPerRequest wish[int64]       `json:"max_quantity_per_request"`
	Policy                wish[sale.Policy] `json:"policy"`
	WaitlistCapacity      wish[int64]       `json:"waitlist_capacity"`
	OpensAt               wish[time.Time]   `json:"opens_at"`
	ClosesAt              wish[time.Time]   `json:"closes_at"`
	AdmitPerSecond        wish[int64]       `json:"admit_per_second"`
	MaxActiveHolds        wish[int64]       `json:"max_active_holds"`
	CheckoutURL           wish[string]      `json:"checkout_url"`
}

// settings gives the settings of a new sale.
func (b *settingsBody) settings(now time.Time) (sale.Settings, error) {
	change, err := b.change(now)
	if err != nil {
		return sale.Settings{}, err
	}
	s := change.Of(sale.Settings{
		HoldSeconds: defaultHoldSeconds, PerBuyerLimit: defaultPerBuyerLimit,
		MaxQuantityPerRequest: defaultMaxQuantity, Policy: defaultPolicy,
	})
	if !b.MaxHoldSeconds.said {
		s.MaxHoldSeconds = max(defaultMaxHoldSeconds, s.HoldSeconds)
	}
	if !b.WaitlistCapacity.said {
		s.WaitlistCapacity = max(defaultCapacity, s.Quantity)
	}
	if err := s.Validate(); err != nil {
		return s, refuse(invalidRequest, err.Error())
	}
	return s, nil
}

// change gives what the body wants to be otherwise, as far as each member can
// be judged by itself.
func (b *settingsBody) change(now time.Time) (change sale.Change, err error) {
	for _, number := range []struct {
		name string
		wish *wish[int64]
		into **int64
	}{
		{"quantity", &b.Quantity, &change.Quantity},
		{"hold_seconds", &b.HoldSeconds, &change.HoldSeconds},
		{"max_hold_seconds", &b.MaxHoldSeconds, &change.MaxHoldSeconds},
		{"per_buyer_limit", &b.PerBuyerLimit, &change.PerBuyerLimit},
		{"max_quantity_per_request", &b.MaxQuantityPerRequest, &change.MaxQuantityPerRequest},
		{"waitlist_capacity", &b.WaitlistCapacity, &change.WaitlistCapacity},
		{"admit_per_second", &b.AdmitPerSecond, &change.AdmitPerSecond},
		{"max_active_holds", &b.MaxActiveHolds, &change.MaxActiveHolds},
	} {
		if number.wish.said && number.wish.want == nil {
			return change, refusef(invalidRequest, "%s must be a number", number.name)
		}
		*number.into = number.wish.want
	}
	if b.Policy.said && b.Policy.want == nil {
		return change, refuse(invalidRequest, "policy must be a text")
	}
	change.Policy = b.Policy.want
	if change.OpensAt, err = timeOf("opens_at", b.OpensAt); err != nil {
		return change, err
	}
	if change.ClosesAt, err = timeOf("closes_at", b.ClosesAt); err != nil {
		return change, err
	}
	// A courtesy to whoever mistypes it: the log decides by its own time.
	if at := change.ClosesAt; b.ClosesAt.want != nil && *at <= sale.Time(now.UnixMilli()) {
		return change, refuse(invalidRequest, "closes_at must be in the future")
	}
	if b.CheckoutURL.said {
		change.CheckoutURL = new(string)
		if b.CheckoutURL.want != nil {
			change.CheckoutURL = b.CheckoutURL.want
		}
		if *change.CheckoutURL != "" {
			err = validCheckoutURL(*change.CheckoutURL)
		}
	}
	return change, err
}

// timeOf gives a time as the log has it, where 0 is none.
func timeOf(name string, of wish[time.Time]) (*sale.Time, error) {
	if !of.said {
		return nil, nil
	}
	at := new(sale.Time)
	if of.want != nil {
		*at = sale.Time(of.want.UnixMilli())
		if *at <= 0 {
			return nil, refusef(invalidRequest, "%s must be later than 1970", name)
		}
	}
	return at, nil
}

// whyBody says who does something to a sale, and why.
type whyBody struct {
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
}

// why gives both as the log may have them.
func (b *whyBody) why() (actor, reason string, err error) {
	for _, text := range []struct {
		name, is string
		most     int
	}{{"actor", b.Actor, maxActor}, {"reason", b.Reason, maxReason}} {
		if utf8.RuneCountInString(text.is) > text.most {
			return "", "", refusef(invalidRequest, "%s must have at most %d characters", text.name, text.most)
		}
		for _, r := range text.is {
			if !unicode.IsPrint(r) {
				return "", "", refusef(invalidRequest, "%s must be printable text", text.name)
			}
		}
	}
	if b.Actor == "" {
		return operatorActor, b.Reason, nil
	}
	return b.Actor, b.Reason, nil
}
