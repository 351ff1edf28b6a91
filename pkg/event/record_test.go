package event_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// drawBody draws a record's body of any type, with text and numbers of any
// kind: encoding is not where they are judged.
func drawBody(t *rapid.T) sale.Body {
	offset := func(name string) sale.Offset { return sale.Offset(rapid.Int64().Draw(t, name)) }
	text := func(name string) string {
		return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a\x00b", `"\`, "\u2028<&>", "\U0001f39f"})).Draw(t, name)
	}
	number := func(name string) int64 {
		return rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, 1<<53 + 1, math.MaxInt64, math.MinInt64})).Draw(t, name)
	}
	switch rapid.IntRange(0, 11).Draw(t, "type") {
	case 0:
		return sale.Buy{
			Sale: offset("sale"), Buyer: sale.Buyer(text("buyer")), Quantity: number("quantity"), AcceptedAt: sale.Time(number("time")),
			Lease: rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "lease"),
		}
	case 1:
		return sale.Confirm{Request: offset("request"), PaymentReference: text("payment")}
	case 2:
		return sale.Release{Request: offset("request"), By: sale.Party(text("party"))}
	case 3:
		if settings := drawSettings(t); rapid.Bool().Draw(t, "later") {
			later := settings
			later.Quantity, later.HoldSeconds, later.PerBuyerLimit, later.MaxQuantityPerRequest, later.Policy = 0, 0, 0, 0, ""
			return sale.Create{Rules: int(number("rules")), BuyerKey: text("key"), Actor: text("actor"), Settings: settings, Later: later != sale.Settings{}}
		}
		return sale.Create{
			Rules: int(number("rules")), BuyerKey: text("key"), Actor: text("actor"), Reason: text("reason"),
			Settings: sale.Settings{
				Quantity: number("quantity"), HoldSeconds: number("hold"), PerBuyerLimit: number("limit"),
				MaxQuantityPerRequest: number("most"), Policy: sale.Policy(text("policy")),
			},
		}
	case 4:
		return sale.Tick{Committed: offset("committed")}
	case 5:
		return sale.Extend{Request: offset("request"), Seconds: number("seconds")}
	case 6:
		return sale.Return{Request: offset("request")}
	case 7:
		return sale.Update{Sale: offset("sale"), Version: number("version"), Change: drawChange(t), Actor: text("actor"), Reason: text("reason")}
	case 8:
		return sale.Pause{Sale: offset("sale"), Actor: text("actor"), Reason: text("reason")}
	case 9:
		return sale.Resume{Sale: offset("sale"), Actor: text("actor"), Reason: text("reason")}
	case 10:
		return sale.Close{Sale: offset("sale"), Actor: text("actor"), Reason: text("reason")}
	default:
		return sale.Schema{Version: int(number("version"))}
	}
}

func drawSettings(t *rapid.T) sale.Settings {
	number := func(name string) int64 { return rapid.Int64Range(0, 9).Draw(t, name) }
	return sale.Settings{
		Quantity: number("quantity"), HoldSeconds: number("hold"), MaxHoldSeconds: number("longest"), PerBuyerLimit: number("limit"),
		MaxQuantityPerRequest: number("most"), Policy: sale.Policy(rapid.String().Draw(t, "policy")), WaitlistCapacity: number("capacity"),
		OpensAt: sale.Time(number("opens")), ClosesAt: sale.Time(number("closes")), AdmitPerSecond: number("pace"),
		MaxActiveHolds: number("active"), CheckoutURL: rapid.String().Draw(t, "url"),
	}
}

// drawChange draws some settings to be changed, to zero among others.
func drawChange(t *rapid.T) sale.Change {
	s := drawSettings(t)
	return sale.Change{
		Quantity: some(t, s.Quantity), HoldSeconds: some(t, s.HoldSeconds), MaxHoldSeconds: some(t, s.MaxHoldSeconds),
		PerBuyerLimit: some(t, s.PerBuyerLimit), MaxQuantityPerRequest: some(t, s.MaxQuantityPerRequest), Policy: some(t, s.Policy),
		WaitlistCapacity: some(t, s.WaitlistCapacity), OpensAt: some(t, s.OpensAt), ClosesAt: some(t, s.ClosesAt),
		AdmitPerSecond: some(t, s.AdmitPerSecond), MaxActiveHolds: some(t, s.MaxActiveHolds), CheckoutURL: some(t, s.CheckoutURL),
	}
}

func some[T any](t *rapid.T, value T) *T {
	if rapid.Bool().Draw(t, "left out") {
		return nil
	}
	return &value
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := drawBody(t)
		value, err := event.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(body, event.Decode(value)); diff != "" {
			t.Fatalf("%s (-encoded +decoded):\n%s", value, diff)
		}
		again, err := event.Encode(body)
		if err != nil || string(again) != string(value) {
			t.Fatalf("%s, then %s, %v", value, again, err)
		}
	})
}

// TestWireForm freezes how records look: a log is read for ever.
func TestWireForm(t *testing.T) {
	t.Parallel()
	for value, body := range map[string]sale.Body{
		`{"type":"buy","sale":1,"buyer":"b1.x","quantity":2,"accepted_at":1750000000000}`: sale.Buy{Sale: 1, Buyer: "b1.x", Quantity: 2, AcceptedAt: 1750000000000},
		`{"type":"confirm","request":7,"payment_reference":"pay-1"}`:                      sale.Confirm{Request: 7, PaymentReference: "pay-1"},
		`{"type":"release","request":7,"by":"merchant"}`:                                  sale.Release{Request: 7, By: sale.ByMerchant},
		`{"type":"tick"}`:               sale.Tick{},
		`{"type":"tick","committed":9}`: sale.Tick{Committed: 9},
		`{"type":"schema","version":1}`: sale.Schema{Version: 1},
		`{"type":"buy","sale":1,"buyer":"b1.x","quantity":2,"accepted_at":1750000000000,"lease":"l-1"}`: sale.Buy{Sale: 1, Buyer: "b1.x", Quantity: 2, AcceptedAt: 1750000000000, Lease: "l-1"},
		`{"type":"extend","request":7,"seconds":300}`:                                                   sale.Extend{Request: 7, Seconds: 300},
		`{"type":"return","request":7}`:                                                                 sale.Return{Request: 7},
		`{"type":"sale.pause","sale":1,"actor":"olga","reason":"a break"}`:                              sale.Pause{Sale: 1, Actor: "olga", Reason: "a break"},
		`{"type":"sale.resume","sale":1}`:                                                               sale.Resume{Sale: 1},
		`{"type":"sale.close","sale":1,"reason":"enough"}`:                                              sale.Close{Sale: 1, Reason: "enough"},
		`{"type":"sale.update","sale":1,"version":3,"quantity":5,"closes_at":0,"checkout_url":"","actor":"olga"}`: sale.Update{
			Sale: 1, Version: 3, Actor: "olga", Change: sale.Change{Quantity: new(int64(5)), ClosesAt: new(sale.Time(0)), CheckoutURL: new("")},
		},
		`{"type":"sale.create","rules":2,"quantity":5,"hold_seconds":480,"max_hold_seconds":1800,"per_buyer_limit":2,"max_quantity_per_request":1,` +
			`"policy":"waitlist","waitlist_capacity":10,"opens_at":1750000000000,"closes_at":1760000000000,"admit_per_second":3,"max_active_holds":4,` +
			`"checkout_url":"https://shop.example","buyer_key":"b1","actor":"olga","reason":"spring"}`: sale.Create{
			Rules: 2, BuyerKey: "b1", Actor: "olga", Reason: "spring", Later: true,
			Settings: sale.Settings{
				Quantity: 5, HoldSeconds: 480, MaxHoldSeconds: 1800, PerBuyerLimit: 2, MaxQuantityPerRequest: 1, Policy: sale.PolicyWaitlist,
				WaitlistCapacity: 10, OpensAt: 1750000000000, ClosesAt: 1760000000000, AdmitPerSecond: 3, MaxActiveHolds: 4, CheckoutURL: "https://shop.example",
			},
		},
		`{"type":"sale.create","rules":1,"quantity":5,"hold_seconds":480,"per_buyer_limit":2,"max_quantity_per_request":1,"policy":"queue","buyer_key":"b1","actor":"olga","reason":"spring"}`: sale.Create{
			Rules: 1, BuyerKey: "b1", Actor: "olga", Reason: "spring",
			Settings: sale.Settings{Quantity: 5, HoldSeconds: 480, PerBuyerLimit: 2, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue},
		},
	} {
		if diff := cmp.Diff(body, event.Decode([]byte(value))); diff != "" {
			t.Errorf("%s (-want +decoded):\n%s", value, diff)
		}
		encoded, err := event.Encode(body)
		if err != nil || string(encoded) != value {
			t.Errorf("%s is encoded as %s, %v", value, encoded, err)
		}
	}
}

const goodBuy = `{"type":"buy","sale":1,"buyer":"ann","quantity":1,"accepted_at":5}`

// TestStrictness freezes what is malformed and what is not, of texts that
// JSON libraries disagree on: a newer library that reads one of them in
// another way would change the past.
func TestStrictness(t *testing.T) {
	t.Parallel()
	with := func(from, to string) string { return strings.Replace(goodBuy, from, to, 1) }
	more := func(member string) string { return strings.TrimSuffix(goodBuy, "}") + "," + member + "}" }
	nest := func(depth int) string {
		return more(`"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth))
	}
	for name, value := range map[string]string{
		"empty": "", "null": "null", "number": "1", "array": "[]", "text": `"buy"`, "object": "{}", "NUL": "\x00",
		"unknown member": more(`"coupon":"x"`), "unknown null": more(`"coupon":null`), "empty name": more(`"":1`),
		"member twice": more(`"quantity":1`), "type twice": more(`"type":"buy"`), "twice, escaped": more(`"quan\u0074ity":1`),
		"case of a name": with(`"quantity"`, `"Quantity"`), "case of type": with(`"type"`, `"Type"`), "case of a type": with(`"buy"`, `"Buy"`),
		"underscore left out": with(`"accepted_at"`, `"acceptedat"`),
		"unknown type":        with(`"buy"`, `"bid"`), "no type": `{"sale":1}`, "type null": with(`"buy"`, `null`), "escaped type": with(`"buy"`, `"bu\u0079"`),
		"type not first": `{"sale":1,"type":"buy","buyer":"ann","quantity":1,"accepted_at":5}`,
		"leading space":  " " + goodBuy, "leading newline": "\n" + goodBuy, "byte order mark": "\ufeff" + goodBuy,
		"space before type": with(`{"type"`, `{ "type"`), "space in type": with(`"type":`, `"type": `),
		"trailing text": goodBuy + "x", "trailing object": goodBuy + goodBuy, "trailing comma": with(`5}`, `5,}`), "trailing NUL": goodBuy + "\x00",
		"cut off": goodBuy[:len(goodBuy)-1], "cut in a name": goodBuy[:20], "only the head": `{"type":"buy"`, "type without an end": `{"type":"buy`,
		"float": with(`"quantity":1`, `"quantity":1.0`), "fraction": with(`"quantity":1`, `"quantity":1.5`),
		"exponent": with(`"quantity":1`, `"quantity":1e0`), "large exponent": with(`"quantity":1`, `"quantity":1e999999999`),
		"beyond 64 bits": with(`"quantity":1`, `"quantity":9223372036854775808`), "far beyond": with(`"quantity":1`, `"quantity":1`+strings.Repeat("0", 400)),
		"below 64 bits": with(`"quantity":1`, `"quantity":-9223372036854775809`), "leading zero": with(`"quantity":1`, `"quantity":01`),
		"plus": with(`"quantity":1`, `"quantity":+1`), "hexadecimal": with(`"quantity":1`, `"quantity":0x1`), "NaN": with(`"quantity":1`, `"quantity":NaN`),
		"number as text": with(`"quantity":1`, `"quantity":"1"`), "bool": with(`"quantity":1`, `"quantity":true`),
		"array for a number": with(`"quantity":1`, `"quantity":[1]`), "number for text": with(`"ann"`, `1`), "object for text": with(`"ann"`, `{}`),
		"invalid UTF-8": with("ann", "a\xffn"), "lone surrogate": with("ann", `\ud800`), "overlong": with("ann", "\xc0\x80"), "UTF-8 in a name": with("buyer", "buy\xff"),
		"bare control character": with("ann", "a\x00n"), "bare newline": with("ann", "a\nn"), "bad escape": with("ann", `\x41`), "single quotes": strings.ReplaceAll(goodBuy, `"`, `'`),
		"comment": with(`1,`, `1,/* */`), "nesting": nest(100), "nesting bomb": nest(200_000), "unclosed bomb": `{"type":"buy","sale":` + strings.Repeat("[", 1<<20),
		"empty lease": more(`"lease":""`), "no lease": more(`"lease":null`), "lease a number": more(`"lease":1`), "lease twice": more(`"lease":"a","lease":"a"`),
		"lease and more": more(`"lease":"a","coupon":"x"`), "extension and more": `{"type":"extend","request":7,"seconds":1,"minutes":1}`,
		"return and more": `{"type":"return","request":7,"seconds":1}`, "pause and more": `{"type":"sale.pause","sale":1,"version":1}`,
		"update and more": `{"type":"sale.update","sale":1,"version":1,"stage":"open"}`, "update of a key": `{"type":"sale.update","sale":1,"version":1,"buyer_key":"b2"}`,
		"update twice": `{"type":"sale.update","sale":1,"version":1,"quantity":1,"quantity":1}`, "update by text": `{"type":"sale.update","sale":1,"version":1,"quantity":"1"}`,
		"create and more": `{"type":"sale.create","rules":2,"policy":"queue","opens_at":5,"coupon":"x"}`, "opening as text": `{"type":"sale.create","rules":2,"opens_at":"2026-01-01T00:00:00Z"}`,
		"half seconds": `{"type":"extend","request":7,"seconds":1.5}`,
		"open bomb":    strings.Repeat("[", 1<<20), "another type's member": `{"type":"tick","version":1}`, "schema beyond 64 bits": `{"type":"schema","version":18446744073709551616}`,
	} {
		if body := event.Decode([]byte(value)); body != nil {
			t.Errorf("%s: decoded as %#v", name, body)
		}
	}

	want := event.Decode([]byte(goodBuy)).(sale.Buy)
	for name, c := range map[string]struct {
		value string
		want  sale.Body
	}{
		"members in another order": {`{"type":"buy","accepted_at":5,"quantity":1,"buyer":"ann","sale":1}`, want},
		"space between members":    {with(`,"quantity":1`, " ,\n\"quantity\"\t: 1 "), want},
		"trailing space":           {goodBuy + " \r\n\t", want},
		"escaped letter":           {with("ann", `\u0061nn`), want},
		"escaped name":             {with("quantity", `quantit\u0079`), want},
		"negative zero":            {with(`"sale":1`, `"sale":-0`), sale.Buy{Sale: 0, Buyer: "ann", Quantity: 1, AcceptedAt: 5}},
		"null for a number":        {with(`"quantity":1`, `"quantity":null`), sale.Buy{Sale: 1, Buyer: "ann", AcceptedAt: 5}},
		"a member left out":        {`{"type":"buy","sale":1,"buyer":"ann","quantity":1}`, sale.Buy{Sale: 1, Buyer: "ann", Quantity: 1}},
		"all members left out":     {`{"type":"buy"}`, sale.Buy{}},
		"escaped NUL":              {with("ann", `a\u0000n`), sale.Buy{Sale: 1, Buyer: "a\x00n", Quantity: 1, AcceptedAt: 5}}, // the core refuses it
		"largest":                  {with(`"quantity":1`, `"quantity":9223372036854775807`), sale.Buy{Sale: 1, Buyer: "ann", Quantity: math.MaxInt64, AcceptedAt: 5}},
		"smallest":                 {with(`"quantity":1`, `"quantity":-9223372036854775808`), sale.Buy{Sale: 1, Buyer: "ann", Quantity: math.MinInt64, AcceptedAt: 5}},
	} {
		if diff := cmp.Diff(c.want, event.Decode([]byte(c.value))); diff != "" {
			t.Errorf("%s (-want +decoded):\n%s", name, diff)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]sale.Body{
		"nothing":       nil,
		"invalid UTF-8": sale.Confirm{Request: 1, PaymentReference: "\xff"},
	} {
		if value, err := event.Encode(body); err == nil {
			t.Errorf("%s: encoded as %s", name, value)
		}
	}
}

// FuzzDecode: nothing panics, and what can be read is read the same after it
// was written again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		goodBuy, `{"type":"tick"}`, `{"type":"tick","committed":9}`, `{"type":"schema","version":1}`, `{"type":"confirm","request":7,"payment_reference":"p"}`,
		`{"type":"release","request":7,"by":"shopper"}`, `{"type":"sale.create","rules":1,"policy":"queue"}`, `{"type":"`,
		`{"type":"sale.create","rules":2,"policy":"queue","opens_at":5}`, `{"type":"sale.update","sale":1,"version":1,"quantity":null,"opens_at":0}`,
		`{"type":"extend","request":7,"seconds":1}`, `{"type":"return","request":7}`, `{"type":"sale.pause","sale":1}`, `{"type":"sale.resume","sale":1,"actor":"o"}`,
		`{"type":"sale.close","sale":1,"reason":"r"}`, `{"type":"buy","sale":1,"lease":""}`, `{"type":"buy","sale":1,"lease":"l"}`, "", "\x00", `{"type":"buy","sale":[[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		body := event.Decode(value)
		if body == nil {
			return
		}
		encoded, err := event.Encode(body)
		if err != nil {
			t.Fatalf("%q was decoded as %#v and cannot be encoded: %v", value, body, err)
		}
		if again := event.Decode(encoded); !reflect.DeepEqual(again, body) {
			t.Fatalf("%q was decoded as %#v, and after encoding as %#v", value, body, again)
		}
		state := sale.New()
		var changes sale.Changes
		for i, b := range []sale.Body{sale.Schema{Version: 1}, body, sale.Schema{Version: 2}, body, body} {
			if v, ok := b.(sale.Schema); ok && v.Version > sale.NewestSchema {
				break // it stops the partition
			}
			if err := state.Apply(sale.Record{Offset: sale.Offset(i), Product: "ring", Body: b}, &changes); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestEncodedBuys: a buy is written in one way, whichever code does it.
func TestEncodedBuys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]*`), rapid.StringMatching(`[a-z"\\<&\x00\x7f]*`), rapid.SampledFrom([]string{"\xff", "\u2028"}))
		body := sale.Buy{
			Sale: sale.Offset(rapid.Int64().Draw(t, "sale")), Buyer: sale.Buyer(text.Draw(t, "buyer")),
			Quantity: rapid.Int64().Draw(t, "quantity"), AcceptedAt: sale.Time(rapid.Int64().Draw(t, "time")), Lease: text.Draw(t, "lease"),
		}
		got, err := event.Encode(body)
		want, wantErr := event.EncodeAny(body)
		if string(got) != string(want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%+v: %s, %v; in general %s, %v", body, got, err, want, wantErr)
		}
	})
}

func BenchmarkEncodeBuy(b *testing.B) {
	buy := sale.Buy{Sale: 123_456, Buyer: "AbCdEfGhIjKlMnOpQrStUv", Quantity: 1, AcceptedAt: 1_750_000_000_000}
	for name, encode := range map[string]func(sale.Body) ([]byte, error){"used": event.Encode, "in general": event.EncodeAny} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encode(buy); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
