package event

import (
	"bytes"
	"fmt"
	"strconv"

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
	typeExtend  = "extend"
	typeReturn  = "return"
	typeUpdate  = "sale.update"
	typePause   = "sale.pause"
	typeResume  = "sale.resume"
	typeClose   = "sale.close"
)

type buy struct {
	Type       string      `json:"type"`
	Sale       sale.Offset `json:"sale"`
	Buyer      sale.Buyer  `json:"buyer"`
	Quantity   int64       `json:"quantity"`
	AcceptedAt sale.Time   `json:"accepted_at"`
}

// leasedBuy is a buy that a credit let in.
type leasedBuy struct {
	Type       string      `json:"type"`
	Sale       sale.Offset `json:"sale"`
	Buyer      sale.Buyer  `json:"buyer"`
	Quantity   int64       `json:"quantity"`
	AcceptedAt sale.Time   `json:"accepted_at"`
	Lease      string      `json:"lease"`
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

// laterCreate is a sale.create with the members that came after the first
// schema.
type laterCreate struct {
	Type          string `json:"type"`
	Rules         int    `json:"rules"`
	sale.Settings `json:",inline"`
	BuyerKey      string `json:"buyer_key"`
	Actor         string `json:"actor,omitempty"`
	Reason        string `json:"reason,omitempty"`
}

type extend struct {
	Type    string      `json:"type"`
	Request sale.Offset `json:"request"`
	Seconds int64       `json:"seconds"`
}

type giveBack struct {
	Type    string      `json:"type"`
	Request sale.Offset `json:"request"`
}

type update struct {
	Type        string      `json:"type"`
	Sale        sale.Offset `json:"sale"`
	Version     int64       `json:"version"`
	sale.Change `json:",inline"`
	Actor       string `json:"actor,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

// steer is what an operator does to a sale as a whole.
type steer struct {
	Type   string      `json:"type"`
	Sale   sale.Offset `json:"sale"`
	Actor  string      `json:"actor,omitempty"`
	Reason string      `json:"reason,omitempty"`
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
	if b, ok := body.(sale.Buy); ok {
		return EncodeBuy(&b)
	}
	return encode(body)
}

// EncodeBuy writes the value of a buy.
func EncodeBuy(b *sale.Buy) ([]byte, error) {
	if value, ok := plainBuy(b); ok {
		return value, nil
	}
	return encode(*b)
}

// encode writes any record's value: what Encode gives is what it gives.
func encode(body sale.Body) ([]byte, error) {
	var value any
	switch b := body.(type) {
	case sale.Buy:
		value = &buy{typeBuy, b.Sale, b.Buyer, b.Quantity, b.AcceptedAt}
		if b.Lease != "" {
			value = &leasedBuy{typeBuy, b.Sale, b.Buyer, b.Quantity, b.AcceptedAt, b.Lease}
		}
	case sale.Confirm:
		value = &confirm{typeConfirm, b.Request, b.PaymentReference}
	case sale.Release:
		value = &release{typeRelease, b.Request, b.By}
	case sale.Extend:
		value = &extend{typeExtend, b.Request, b.Seconds}
	case sale.Return:
		value = &giveBack{typeReturn, b.Request}
	case sale.Update:
		value = &update{Type: typeUpdate, Sale: b.Sale, Version: b.Version, Change: b.Change, Actor: b.Actor, Reason: b.Reason}
	case sale.Pause:
		value = &steer{typePause, b.Sale, b.Actor, b.Reason}
	case sale.Resume:
		value = &steer{typeResume, b.Sale, b.Actor, b.Reason}
	case sale.Close:
		value = &steer{typeClose, b.Sale, b.Actor, b.Reason}
	case sale.Create:
		s := b.Settings
		if b.Later {
			value = &laterCreate{Type: typeCreate, Rules: b.Rules, Settings: s, BuyerKey: b.BuyerKey, Actor: b.Actor, Reason: b.Reason}
			break
		}
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

// plainBuy writes what encode writes of a buy. It gives false for one with
// text that needs an escape, which no buy of a door has: a door appends one for
// every click.
func plainBuy(b *sale.Buy) (value []byte, ok bool) {
	if !isPlain(string(b.Buyer)) || !isPlain(b.Lease) {
		return nil, false
	}
	var buffer [256]byte // for the value to take no more than its length
	to := append(buffer[:0], `{"type":"`+typeBuy+`","sale":`...)
	to = strconv.AppendInt(to, int64(b.Sale), 10)
	to = append(to, `,"buyer":"`...)
	to = append(to, b.Buyer...)
	to = append(to, `","quantity":`...)
	to = strconv.AppendInt(to, b.Quantity, 10)
	to = append(to, `,"accepted_at":`...)
	to = strconv.AppendInt(to, int64(b.AcceptedAt), 10)
	if b.Lease != "" {
		to = append(to, `,"lease":"`...)
		to = append(to, b.Lease...)
		to = append(to, '"')
	}
	return bytes.Clone(append(to, '}')), true
}

// isPlain reports whether a text is written in JSON as it is.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Decode reads a record's value. It gives nil for one that is malformed, which
// the core decides as such. The body keeps nothing of the value's memory.
func Decode(value []byte) sale.Body {
	if body := canonical(value); body != nil {
		return body
	}
	return strict(value)
}

// strict reads a record's value, in whatever way it is written: what it gives is
// what a record means.
func strict(value []byte) sale.Body {
	switch typeOf(value) {
	case typeBuy:
		var b buy
		if strictly(value, &b) {
			return sale.Buy{Sale: b.Sale, Buyer: b.Buyer, Quantity: b.Quantity, AcceptedAt: b.AcceptedAt}
		}
		var l leasedBuy
		if strictly(value, &l) && l.Lease != "" {
			return sale.Buy{Sale: l.Sale, Buyer: l.Buyer, Quantity: l.Quantity, AcceptedAt: l.AcceptedAt, Lease: l.Lease}
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
		var l laterCreate
		if strictly(value, &l) {
			return sale.Create{Rules: l.Rules, Settings: l.Settings, BuyerKey: l.BuyerKey, Actor: l.Actor, Reason: l.Reason, Later: true}
		}
	case typeExtend:
		var e extend
		if strictly(value, &e) {
			return sale.Extend{Request: e.Request, Seconds: e.Seconds}
		}
	case typeReturn:
		var g giveBack
		if strictly(value, &g) {
			return sale.Return{Request: g.Request}
		}
	case typeUpdate:
		var u update
		if strictly(value, &u) {
			return sale.Update{Sale: u.Sale, Version: u.Version, Change: u.Change, Actor: u.Actor, Reason: u.Reason}
		}
	case typePause, typeResume, typeClose:
		var s steer
		if strictly(value, &s) {
			return steered(s)
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

func steered(s steer) sale.Body {
	switch s.Type {
	case typePause:
		return sale.Pause{Sale: s.Sale, Actor: s.Actor, Reason: s.Reason}
	case typeResume:
		return sale.Resume{Sale: s.Sale, Actor: s.Actor, Reason: s.Reason}
	}
	return sale.Close{Sale: s.Sale, Actor: s.Actor, Reason: s.Reason}
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
