package ingress

import (
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// States of a sale, as it is shown, beside its stages.
const (
	stateSoldOut   = "sold_out"  // open, and nothing can come back
	stateUndecided = "undecided" // asked for, and not made yet
)

// productAnswer is what anyone may know of a sale.
type productAnswer struct {
	Product               sale.Product `json:"product"`
	State                 string       `json:"state"`
	OpensAt               string       `json:"opens_at,omitempty"`
	ClosesAt              string       `json:"closes_at,omitempty"`
	ServerTime            string       `json:"server_time"` // to count down from
	Available             int64        `json:"available"`
	Quantity              int64        `json:"quantity"`
	Line                  int64        `json:"line"`
	Waitlisted            int64        `json:"waitlisted"`
	HoldSeconds           int64        `json:"hold_seconds"`
	PerBuyerLimit         int64        `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64        `json:"max_quantity_per_request"`
	Policy                sale.Policy  `json:"policy"`
}

// settingsAnswer is a sale's settings. Times that are not set are left out.
type settingsAnswer struct {
	Quantity              int64       `json:"quantity"`
	HoldSeconds           int64       `json:"hold_seconds"`
	MaxHoldSeconds        int64       `json:"max_hold_seconds"`
	PerBuyerLimit         int64       `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64       `json:"max_quantity_per_request"`
	Policy                sale.Policy `json:"policy"`
	WaitlistCapacity      int64       `json:"waitlist_capacity"`
	OpensAt               string      `json:"opens_at,omitempty"`
	ClosesAt              string      `json:"closes_at,omitempty"`
	AdmitPerSecond        int64       `json:"admit_per_second"`
	MaxActiveHolds        int64       `json:"max_active_holds"`
	CheckoutURL           string      `json:"checkout_url,omitempty"`
}

// saleAnswer is what operators are shown of a sale.
type saleAnswer struct {
	Sale      string       `json:"sale"`
	Product   sale.Product `json:"product"`
	Partition int32        `json:"partition"`
	State     string       `json:"state"`
	Stopped   string       `json:"stopped,omitempty"` // why its partition cannot go on
	settingsAnswer
	Available  int64  `json:"available"`
	Reserved   int64  `json:"reserved"`
	Held       int64  `json:"held"`
	Confirmed  int64  `json:"confirmed"`
	Waitlisted int64  `json:"waitlisted"`
	Parked     int64  `json:"parked"`
	Requests   int64  `json:"requests"`
	SoldOut    int64  `json:"sold_out"`
	Rejected   int64  `json:"rejected"`
	Line       int64  `json:"line"`
	Version    int64  `json:"version"`
	CreatedAt  string `json:"created_at,omitempty"`
	OpenedAt   string `json:"opened_at,omitempty"`
	ClosedAt   string `json:"closed_at,omitempty"`
	RetiredAt  string `json:"retired_at,omitempty"`
}

func stateOf(s *board.SaleView) string {
	if s.Stage == sale.StageOpen && s.SoldOutForGood() {
		return stateSoldOut
	}
	return string(s.Stage)
}

func publicOf(s *board.SaleView) productAnswer {
	return productAnswer{
		Product: s.Product, State: stateOf(s),
		OpensAt: timeIfSet(s.OpensAt), ClosesAt: timeIfSet(s.ClosesAt), ServerTime: timestamp(sale.Time(time.Now().UnixMilli())),
		Available: s.Available, Quantity: s.Quantity, Line: s.Line, Waitlisted: s.Waitlisted,
		HoldSeconds: s.HoldSeconds, PerBuyerLimit: s.PerBuyerLimit, MaxQuantityPerRequest: s.MaxQuantityPerRequest, Policy: s.Policy,
	}
}

func answerOf(s *board.SaleView) saleAnswer {
	return saleAnswer{
		Sale: ticket.PublicID(s.Partition, int64(s.ID)), Product: s.Product, Partition: s.Partition,
		State: stateOf(s), Stopped: s.Stopped, settingsAnswer: settingsOf(&s.Settings),
		Available: s.Available, Reserved: s.Reserved, Held: s.Held, Confirmed: s.Confirmed,
		Waitlisted: s.Waitlisted, Parked: s.Parked,
		Requests: s.Requests, SoldOut: s.SoldOut, Rejected: s.Rejected, Line: s.Line, Version: s.Version,
		CreatedAt: timestamp(s.CreatedAt), OpenedAt: timeIfSet(s.OpenedAt), ClosedAt: timeIfSet(s.ClosedAt), RetiredAt: timeIfSet(s.RetiredAt),
	}
}

func settingsOf(s *sale.Settings) settingsAnswer {
	return settingsAnswer{
		Quantity: s.Quantity, HoldSeconds: s.HoldSeconds, MaxHoldSeconds: s.MaxHoldSeconds,
		PerBuyerLimit: s.PerBuyerLimit, MaxQuantityPerRequest: s.MaxQuantityPerRequest,
		Policy: s.Policy, WaitlistCapacity: s.WaitlistCapacity,
		OpensAt: timeIfSet(s.OpensAt), ClosesAt: timeIfSet(s.ClosesAt),
		AdmitPerSecond: s.AdmitPerSecond, MaxActiveHolds: s.MaxActiveHolds, CheckoutURL: s.CheckoutURL,
	}
}

func timeIfSet(t sale.Time) string {
	if t == 0 {
		return ""
	}
	return timestamp(t)
}
