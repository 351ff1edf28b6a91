package saletest

import (
	"math"
	"math/rand/v2"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Epoch is about the time at which the logs begin.
const Epoch sale.Time = 1_750_000_000_000

// Log draws a log of at most 150 records, with offsets from 0 on. Nearly all
// begin with a schema record, some with garbage before it.
func Log(t *rapid.T) []sale.Record {
	return rapid.Custom(drawLog).Draw(t, "log")
}

func drawLog(t *rapid.T) []sale.Record {
	l := log{now: Epoch}
	for place := range rapid.SampledFrom([]int{150, 100, 50, 10}).Draw(t, "steps") {
		// One number makes a whole step, evenly spread over what a step can be:
		// rapid's own generators prefer small values, with which few sales would
		// sell anything. What shrinks to 0 is left out.
		number := rapid.Uint32().Draw(t, "step")
		if number == 0 {
			continue
		}
		s := drawStep(rand.New(rand.NewPCG(uint64(number), uint64(place))))
		switch own := len(l.records); {
		case own == 0 && s.oddity != 0:
			s.kind = kindSchema
		case own == 1 && s.oddity > 8:
			s.kind, s.product, s.quantity = kindCreate, "ring", int64(1+s.choice%8)
		case own == 2 && s.oddity > 8:
			s.kind, s.product, s.quantity = kindCreate, "lamp", int64(1+s.choice%8)
		}
		l.append(s)
	}
	return l.records
}

// Entries gives the records as they lie in a log. A record without a body
// gets a value that cannot be read.
func Entries(records []sale.Record) []event.Entry {
	entries := make([]event.Entry, len(records))
	for i, r := range records {
		value := []byte(`{"type":"garbage"`)
		if r.Body != nil {
			encoded, err := event.Encode(r.Body)
			if err != nil {
				panic(err) // Log draws no text that cannot be encoded
			}
			value = encoded
		}
		entries[i] = event.Entry{Offset: r.Offset, Time: r.Time, Key: []byte(r.Product), Value: value}
	}
	return entries
}

type kind int

const (
	kindBuy kind = iota
	kindConfirm
	kindRelease
	kindTick
	kindCreate
	kindSchema
	kindGarbage
)

// kinds holds each kind as often as it is to be drawn.
var kinds = []kind{
	kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy,
	kindTick, kindTick, kindTick, kindTick,
	kindConfirm, kindConfirm, kindConfirm,
	kindRelease, kindRelease,
	kindCreate,
	kindSchema,
	kindGarbage,
}

var (
	products   = []sale.Product{"ring", "ring", "ring", "ring", "lamp", "lamp", "cup.2", "", "Ring", "ring\x00", ".ring"}
	buyers     = []sale.Buyer{"ann", "ann", "bob", "cid", "dee", "eve", "", "a b", "\u00e4nn"}
	references = []string{"pay-1", "pay-1", "pay-2", "", "pay\n1"}
	parties    = []sale.Party{sale.ByShopper, sale.ByMerchant, sale.ByMerchant, "nobody", ""}
	quantities = []int64{1, 1, 1, 1, 1, 2, 2, 3, 0, -1, sale.MaxQuantity, math.MaxInt64, math.MinInt64}
	elapsed    = []sale.Time{0, 0, 1, 1, 10, 499, 500, 500, 999, 1000, 1000, 1001, 2000, 7000, -1, -1000, -60_000}
	offsets    = []sale.Offset{-1, math.MinInt64, math.MaxInt64, 1 << 40}
)

// step is a record in the making: numbers that find their meaning from what
// was appended before it, so that leaving steps out still makes a log.
type step struct {
	kind     kind
	product  sale.Product
	buyer    sale.Buyer
	quantity int64
	elapsed  sale.Time
	back     int // how many candidates back from the latest an offset is aimed
	oddity   int // 0 in a small share of the steps: something unusual
	choice   int
}

func drawStep(draw *rand.Rand) step {
	s := step{
		kind:    evenly(draw, kinds),
		product: evenly(draw, products[:7]),
		elapsed: evenly(draw, elapsed),
		oddity:  draw.IntN(32),
		choice:  draw.IntN(32),
	}
	if s.oddity == 0 {
		s.product = evenly(draw, products)
	}
	switch s.kind {
	case kindBuy:
		s.buyer, s.quantity = evenly(draw, buyers[:6]), evenly(draw, quantities[:8])
		if s.oddity == 1 {
			s.buyer = evenly(draw, buyers)
		}
		if s.oddity == 2 {
			s.quantity = evenly(draw, quantities)
		}
	case kindCreate:
		s.quantity = int64(1 + draw.IntN(8))
	case kindConfirm, kindRelease, kindTick:
		s.back = draw.IntN(4)
	case kindSchema, kindGarbage:
	}
	return s
}

func evenly[T any](draw *rand.Rand, from []T) T { return from[draw.IntN(len(from))] }

// log is what has been appended so far.
type log struct {
	records []sale.Record
	now     sale.Time
}

func (l *log) append(s step) {
	at := l.now + s.elapsed
	l.now = max(l.now, at) // a timestamp that goes back is one record's
	if s.oddity == 3 && s.choice == 0 {
		at = []sale.Time{0, -1, math.MinInt64}[len(l.records)%3]
	}
	l.records = append(l.records, sale.Record{
		Offset: sale.Offset(len(l.records)), Time: at, Product: s.product, Body: l.body(s),
	})
}

func (l *log) body(s step) sale.Body {
	switch s.kind {
	case kindBuy:
		return sale.Buy{Sale: l.saleFor(s), Buyer: s.buyer, Quantity: s.quantity, AcceptedAt: acceptedAt(s, l.now)}
	case kindConfirm:
		return sale.Confirm{Request: l.requestFor(s), PaymentReference: pick(references[:3], references, s)}
	case kindRelease:
		return sale.Release{Request: l.requestFor(s), By: pick(parties[:3], parties, s)}
	case kindTick:
		return sale.Tick{Committed: l.committedFor(s)}
	case kindCreate:
		return create(s)
	case kindSchema:
		if s.oddity == 1 {
			return sale.Schema{Version: -s.choice}
		}
		return sale.Schema{Version: sale.NewestSchema}
	case kindGarbage:
		return nil
	}
	return nil
}

// saleFor is nearly always the product's latest sale.create, which may have
// been refused.
func (l *log) saleFor(s step) sale.Offset {
	if s.oddity == 3 {
		return append(offsets, sale.Offset(s.choice))[s.choice%(len(offsets)+1)]
	}
	fallback := sale.None
	for i := len(l.records) - 1; i >= 0; i-- {
		c, ok := l.records[i].Body.(sale.Create)
		if !ok {
			continue
		}
		if l.records[i].Product == s.product {
			if s.choice < 2 || c.Settings.Validate() == nil && l.firstOf(s.product) == i {
				return sale.Offset(i)
			}
			continue
		}
		fallback = sale.Offset(i)
	}
	return fallback
}

// firstOf is the place of the first sale.create of a product that a sale can
// be made of.
func (l *log) firstOf(product sale.Product) int {
	open := false
	for i, r := range l.records {
		if schema, ok := r.Body.(sale.Schema); ok && schema.Version > 0 {
			open = true
		}
		if c, ok := r.Body.(sale.Create); ok && open && r.Product == product && c.Settings.Validate() == nil && c.Rules == sale.FirstRules {
			return i
		}
	}
	return -1
}

// requestFor is nearly always a recent buy of the same product.
func (l *log) requestFor(s step) sale.Offset {
	if s.oddity == 3 {
		return append(offsets, sale.Offset(s.choice), sale.Offset(len(l.records)), sale.Offset(len(l.records)+1))[s.choice%(len(offsets)+3)]
	}
	back, latest := s.back, sale.Offset(s.choice)
	for i := len(l.records) - 1; i >= 0; i-- {
		if _, ok := l.records[i].Body.(sale.Buy); !ok {
			continue
		}
		if l.records[i].Product != s.product && s.oddity != 4 {
			continue
		}
		latest = sale.Offset(i)
		if back == 0 {
			break
		}
		back--
	}
	return latest
}

// committedFor is mostly an offset at or a little below the tick's own.
func (l *log) committedFor(s step) sale.Offset {
	own := sale.Offset(len(l.records))
	switch s.oddity {
	case 1:
		return 0
	case 2:
		return own + 1 // one too far
	case 3:
		return offsets[s.choice%len(offsets)]
	case 4:
		return own / 2
	default:
		return max(0, own-sale.Offset(s.back))
	}
}

func create(s step) sale.Create {
	limit := int64(1 + s.choice/8)
	c := sale.Create{
		Rules: sale.FirstRules, BuyerKey: "key-1", Actor: "operator", Reason: "a random sale",
		Settings: sale.Settings{
			Quantity: s.quantity, HoldSeconds: int64(1 + s.choice%3), PerBuyerLimit: limit,
			MaxQuantityPerRequest: max(1, limit-int64(s.choice/4%2)), Policy: sale.PolicyQueue,
		},
	}
	switch s.oddity {
	case 1:
		c.Settings.Quantity = []int64{0, -1, sale.MaxQuantity, sale.MaxQuantity + 1, math.MaxInt64}[s.choice%5]
	case 2:
		c.Settings.HoldSeconds = []int64{0, -1, sale.MaxHoldSeconds, sale.MaxHoldSeconds + 1, math.MaxInt64}[s.choice%5]
	case 3:
		c.Rules = []int{0, -1, sale.NewestRules + 1, math.MaxInt32}[s.choice%4]
	case 4:
		c.BuyerKey = []string{"", "a key", "\u00e4"}[s.choice%3]
	case 5:
		c.Settings.MaxQuantityPerRequest = []int64{0, -1, limit + 1, math.MaxInt64}[s.choice%4]
	case 6:
		c.Settings.Policy = []sale.Policy{"", "waitlist", "lottery"}[s.choice%3]
	}
	return c
}

func acceptedAt(s step, now sale.Time) sale.Time {
	if s.oddity == 4 {
		return []sale.Time{-1, math.MaxInt64, math.MinInt64, 253_402_300_799_999, 253_402_300_800_000, 0}[s.choice%6]
	}
	return now - 3
}

// pick takes one of the usual, or in few steps one of all.
func pick[T any](usual, all []T, s step) T {
	if s.oddity == 5 {
		return all[s.choice%len(all)]
	}
	return usual[s.choice%len(usual)]
}
