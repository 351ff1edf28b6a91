package event

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// The values of a record's member "type".
const (
	typeBuy     = "buy"
	typeConfirm = "confirm"
	typeRelease = "release"
	typeCreate  = "sale.create"
	typeTick    = "tick"
	typeSchema  = "schema"
)

type buy struct {
	Type       string      `json:"type"`
	Sale       sale.Offset `json:"sale"`
	Buyer      sale.Buyer  `json:"buyer"`
	Quantity   int64       `json:"quantity"`
	AcceptedAt sale.Time   `json:"accepted_at"`
}

type confirm struct {
	Type             string      `json:"type"`
	Request          sale.Offset `json:"request"`
	PaymentReference string      `json:"payment_reference"`
}

type release struct {
	Type    string      `json:"type"`
	Request sale.Offset `json:"request"`
	By      sale.Party  `json:"by"`
}

type create struct {
	Type                  string      `json:"type"`
	Rules                 int         `json:"rules"`
	Quantity              int64       `json:"quantity"`
	HoldSeconds           int64       `json:"hold_seconds"`
	PerBuyerLimit         int64       `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64       `json:"max_quantity_per_request"`
	Policy                sale.Policy `json:"policy"`
	BuyerKey              string      `json:"buyer_key"`
	Actor                 string      `json:"actor,omitempty"`
	Reason                string      `json:"reason,omitempty"`
}

type tick struct {
	Type      string      `json:"type"`
	Committed sale.Offset `json:"committed,omitzero"`
}

type schema struct {
	Type    string `json:"type"`
	Version int    `json:"version"`
}

// Encode writes a record's value.
func Encode(body sale.Body) ([]byte, error) {
	var value any
	switch b := body.(type) {
	case sale.Buy:
		value = &buy{typeBuy, b.Sale, b.Buyer, b.Quantity, b.AcceptedAt}
	case sale.Confirm:
		value = &confirm{typeConfirm, b.Request, b.PaymentReference}
	case sale.Release:
		value = &release{typeRelease, b.Request, b.By}
	case sale.Create:
		s := b.Settings
		value = &create{
			Type: typeCreate, Rules: b.Rules, Quantity: s.Quantity, HoldSeconds: s.HoldSeconds,
			PerBuyerLimit: s.PerBuyerLimit, MaxQuantityPerRequest: s.MaxQuantityPerRequest,
			Policy: s.Policy, BuyerKey: b.BuyerKey, Actor: b.Actor, Reason: b.Reason,
		}
	case sale.Tick:
		value = &tick{typeTick, b.Committed}
	case sale.Schema:
		value = &schema{typeSchema, b.Version}
	default:
		return nil, fmt.Errorf("encoding a record: unknown body %T", body)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	return encoded, nil
}

// Decode reads a record's value. It gives nil for one that is malformed, which
// the core decides as such.
func Decode(value []byte) sale.Body {
	switch typeOf(value) {
	case typeBuy:
		var b buy
		if strictly(value, &b) {
			return sale.Buy{Sale: b.Sale, Buyer: b.Buyer, Quantity: b.Quantity, AcceptedAt: b.AcceptedAt}
		}
	case typeConfirm:
		var c confirm
		if strictly(value, &c) {
			return sale.Confirm{Request: c.Request, PaymentReference: c.PaymentReference}
		}
	case typeRelease:
		var r release
		if strictly(value, &r) {
			return sale.Release{Request: r.Request, By: r.By}
		}
	case typeCreate:
		var c create
		if strictly(value, &c) {
			return sale.Create{
				Rules: c.Rules, BuyerKey: c.BuyerKey, Actor: c.Actor, Reason: c.Reason,
				Settings: sale.Settings{
					Quantity: c.Quantity, HoldSeconds: c.HoldSeconds, PerBuyerLimit: c.PerBuyerLimit,
					MaxQuantityPerRequest: c.MaxQuantityPerRequest, Policy: c.Policy,
				},
			}
		}
	case typeTick:
		var t tick
		if strictly(value, &t) {
			return sale.Tick{Committed: t.Committed}
		}
	case typeSchema:
		var s schema
		if strictly(value, &s) {
			return sale.Schema{Version: s.Version}
		}
	}
	return nil
}

// typeOf reads the type, which is the first member, from the value's head.
func typeOf(value []byte) string {
	rest, ok := bytes.CutPrefix(value, []byte(`{"type":"`))
	if !ok {
		return ""
	}
	name, _, ok := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return ""
	}
	return string(name)
}

func strictly(value []byte, into any) bool {
	return json.Unmarshal(value, into, json.RejectUnknownMembers(true)) == nil
}
