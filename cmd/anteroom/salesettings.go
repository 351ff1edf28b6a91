package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/anteroomhq/anteroom/pkg/client"
)

// saleFlags are the settings of a sale that create and update have in common.
// What is not given is left to the service, or stays.
type saleFlags struct {
	HoldSeconds           *int64  `placeholder:"N" help:"How long a hold lasts. A new sale's default: 480."`
	MaxHoldSeconds        *int64  `placeholder:"N" help:"How long a hold can be extended to, from its start. A new sale's default: 1800, or hold-seconds if that is more."`
	PerBuyerLimit         *int64  `placeholder:"UNITS" help:"Units that one buyer may hold and buy. A new sale's default: 1."`
	MaxQuantityPerRequest *int64  `placeholder:"UNITS" help:"Units that one request may ask for, at most the per-buyer-limit. A new sale's default: 1."`
	Policy                *string `enum:"waitlist,queue,reject" placeholder:"POLICY" help:"What happens to those after the last unit: waitlist lets them wait for units that come back, queue tells them in their turn, reject turns them away at the door. A new sale's default: waitlist."`
	WaitlistCapacity      *int64  `placeholder:"N" help:"Requests that may wait. A new sale's default: its quantity, at least 10."`
	OpensAt               moment  `placeholder:"TIME" help:"When it opens; none: at once."`
	ClosesAt              moment  `placeholder:"TIME" help:"When it closes by itself; none: never."`
	AdmitPerSecond        *int64  `placeholder:"N" help:"Checkout windows that open in a second; 0: as fast as they come."`
	MaxActiveHolds        *int64  `placeholder:"N" help:"Requests that hold at the same time; 0: any number."`
	CheckoutURL           *string `name:"checkout-url" placeholder:"URL" help:"Where winners pay, http or https; none: nowhere."`
}

// whyFlags say who does something to a sale, and why. Both are kept in the log.
type whyFlags struct {
	Actor  string `env:"ANTEROOM_ACTOR" placeholder:"NAME" help:"Who does it, for the log. Default: operator."`
	Reason string `placeholder:"TEXT" help:"Why, for the log."`
}

func (w *whyFlags) why() client.Why { return client.Why{Actor: w.Actor, Reason: w.Reason} }

// timesHelp says how times are given.
const timesHelp = "A TIME is in RFC 3339, as 2027-03-01T10:00:00Z or 2027-03-01T11:00:00+01:00, or from now on, as +90s, +10m or +1h30m (by this machine's clock)."

// noneText takes away a setting that a sale need not have.
const noneText = "none"

// moment is a time as an operator gives it.
type moment struct {
	given bool
	none  bool
	after time.Duration // from now; where at is zero
	at    time.Time
}

// UnmarshalText reads a time.
func (m *moment) UnmarshalText(text []byte) (err error) {
	*m = moment{given: true}
	given := string(text)
	if given == noneText {
		m.none = true
		return nil
	}
	if ahead, relative := strings.CutPrefix(given, "+"); relative {
		if m.after, err = time.ParseDuration(ahead); err == nil && m.after >= 0 {
			return nil
		}
	} else if m.at, err = time.Parse(time.RFC3339, given); err == nil && m.at.UnixMilli() > 0 {
		return nil
	}
	return fmt.Errorf("%q is no time: give one as 2027-03-01T10:00:00Z, as +10m, or none", given)
}

// time gives it to the millisecond, which is as exact as the log; zero is none.
func (m *moment) time(now time.Time) time.Time {
	switch {
	case !m.given || m.none:
		return time.Time{}
	case m.at.IsZero():
		return now.Add(m.after).UTC().Truncate(time.Millisecond)
	}
	return m.at.UTC().Truncate(time.Millisecond)
}

// check refuses numbers that no sale can have. The service knows more, but takes
// a 0 in a new sale for one that was not given.
func (f *saleFlags) check(quantity *int64) error {
	for _, number := range []struct {
		flag  string
		value *int64
		least int64
	}{
		{"quantity", quantity, 1},
		{"hold-seconds", f.HoldSeconds, 1},
		{"max-hold-seconds", f.MaxHoldSeconds, 1},
		{"per-buyer-limit", f.PerBuyerLimit, 1},
		{"max-quantity-per-request", f.MaxQuantityPerRequest, 1},
		{"waitlist-capacity", f.WaitlistCapacity, 0},
		{"admit-per-second", f.AdmitPerSecond, 0},
		{"max-active-holds", f.MaxActiveHolds, 0},
	} {
		if number.value != nil && *number.value < number.least {
			return fmt.Errorf("%w: --%s must be at least %d", errMisuse, number.flag, number.least)
		}
	}
	return nil
}

// newSale gives what a sale is created with.
func (f *saleFlags) newSale(now time.Time) client.NewSale {
	return client.NewSale{
		HoldSeconds: orZero(f.HoldSeconds), MaxHoldSeconds: orZero(f.MaxHoldSeconds),
		PerBuyerLimit: orZero(f.PerBuyerLimit), MaxQuantityPerRequest: orZero(f.MaxQuantityPerRequest),
		Policy: orZero(f.Policy), WaitlistCapacity: f.WaitlistCapacity,
		OpensAt: f.OpensAt.time(now), ClosesAt: f.ClosesAt.time(now),
		AdmitPerSecond: orZero(f.AdmitPerSecond), MaxActiveHolds: orZero(f.MaxActiveHolds),
		CheckoutURL: orZero(f.checkoutURL()),
	}
}

// change gives what is to be otherwise.
func (f *saleFlags) change(now time.Time) client.SaleChange {
	change := client.SaleChange{
		HoldSeconds: f.HoldSeconds, MaxHoldSeconds: f.MaxHoldSeconds,
		PerBuyerLimit: f.PerBuyerLimit, MaxQuantityPerRequest: f.MaxQuantityPerRequest,
		Policy: f.Policy, WaitlistCapacity: f.WaitlistCapacity,
		AdmitPerSecond: f.AdmitPerSecond, MaxActiveHolds: f.MaxActiveHolds,
		CheckoutURL: f.checkoutURL(),
	}
	if f.OpensAt.given {
		change.OpensAt = new(f.OpensAt.time(now))
	}
	if f.ClosesAt.given {
		change.ClosesAt = new(f.ClosesAt.time(now))
	}
	return change
}

// checkoutURL gives nil where it is not given, and an empty one for none.
func (f *saleFlags) checkoutURL() *string {
	if f.CheckoutURL != nil && *f.CheckoutURL == noneText {
		return new(string)
	}
	return f.CheckoutURL
}

func orZero[T any](of *T) T {
	if of == nil {
		return *new(T)
	}
	return *of
}
