package event_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// canonicalForms has each form that is read directly, short and with its rarer
// parts too.
func canonicalForms() map[string]sale.Body {
	return map[string]sale.Body{
		`{"type":"buy","sale":1,"buyer":"b1.x","quantity":2,"accepted_at":1750000000000}`:     sale.Buy{Sale: 1, Buyer: "b1.x", Quantity: 2, AcceptedAt: 1750000000000},
		`{"type":"buy","sale":0,"buyer":"","quantity":-2,"accepted_at":-5}`:                   sale.Buy{Quantity: -2, AcceptedAt: -5},
		`{"type":"buy","sale":10,"buyer":" ~<&>","quantity":1,"accepted_at":5,"lease":"l-1"}`: sale.Buy{Sale: 10, Buyer: " ~<&>", Quantity: 1, AcceptedAt: 5, Lease: "l-1"},
		`{"type":"tick"}`:                                        sale.Tick{},
		`{"type":"tick","committed":90}`:                         sale.Tick{Committed: 90},
		`{"type":"tick","committed":-1}`:                         sale.Tick{Committed: -1},
		`{"type":"tick","committed":999999999999999999}`:         sale.Tick{Committed: 1e18 - 1},
		`{"type":"tick","committed":-999999999999999999}`:        sale.Tick{Committed: 1 - 1e18},
		`{"type":"confirm","request":7,"payment_reference":"p"}`: sale.Confirm{Request: 7, PaymentReference: "p"},
		`{"type":"release","request":7,"by":"merchant"}`:         sale.Release{Request: 7, By: sale.ByMerchant},
		`{"type":"release","request":-7,"by":""}`:                sale.Release{Request: -7},
	}
}

// agree holds what Decode and the direct reading make of a value against the
// strict reading, and the direct one to its form.
func agree(t require, value []byte) {
	t.Helper()
	want := event.Strict(value)
	if got := event.Decode(value); !reflect.DeepEqual(got, want) {
		t.Errorf("%q is decoded as %#v, strictly as %#v", value, got, want)
	}
	direct := event.Canonical(value)
	if direct == nil {
		return
	}
	if !reflect.DeepEqual(direct, want) {
		t.Errorf("%q is read as %#v, strictly as %#v", value, direct, want)
	}
	if encoded, err := event.Encode(direct); err != nil || string(encoded) != string(value) {
		t.Errorf("%q is read directly, and written as %q, %v", value, encoded, err)
	}
	memory := slices.Clone(value)
	direct = event.Canonical(memory)
	clear(memory)
	if !reflect.DeepEqual(direct, want) {
		t.Errorf("what was read of %q keeps its memory: %#v", value, direct)
	}
}

func TestCanonicalForms(t *testing.T) {
	t.Parallel()
	for value, want := range canonicalForms() {
		if diff := cmp.Diff(want, event.Canonical([]byte(value))); diff != "" {
			t.Errorf("%s (-want +read):\n%s", value, diff)
		}
		agree(t, []byte(value))
	}
}

// TestEncodedIsCanonical: what Encode writes of these bodies is read directly,
// where the text needs no escape and the numbers have at most 18 digits.
func TestEncodedIsCanonical(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string) int64 {
			return rapid.OneOf(rapid.Int64Range(1-1e18, 1e18-1), rapid.Int64Range(-11, 11)).Draw(t, name)
		}
		text := func(name string) string { return rapid.StringMatching(`[ !#-\[\]-~]*`).Draw(t, name) }
		var body sale.Body
		switch rapid.IntRange(0, 3).Draw(t, "type") {
		case 0:
			body = sale.Buy{
				Sale: sale.Offset(number("sale")), Buyer: sale.Buyer(text("buyer")), Quantity: number("quantity"),
				AcceptedAt: sale.Time(number("time")), Lease: text("lease"),
			}
		case 1:
			body = sale.Tick{Committed: sale.Offset(number("committed"))}
		case 2:
			body = sale.Confirm{Request: sale.Offset(number("request")), PaymentReference: text("payment")}
		case 3:
			body = sale.Release{Request: sale.Offset(number("request")), By: sale.Party(text("party"))}
		}
		value, err := event.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(body, event.Canonical(value)); diff != "" {
			t.Fatalf("%s (-encoded +read directly):\n%s", value, diff)
		}
		agree(t, value)
	})
}

// TestDecodeReadsDirectly: the direct reading is the one that is used, which
// shows in what it allocates: the body and its texts.
func TestDecodeReadsDirectly(t *testing.T) { // not parallel: it counts allocations
	for _, c := range []struct {
		value string
		most  float64
	}{
		{`{"type":"buy","sale":1,"buyer":"b1.x","quantity":2,"accepted_at":1750000000000}`, 2},
		{`{"type":"buy","sale":1,"buyer":"b1.x","quantity":2,"accepted_at":1750000000000,"lease":"l-1"}`, 3},
		{`{"type":"tick","committed":1000}`, 1},
		{`{"type":"confirm","request":7,"payment_reference":"pay-1"}`, 2},
		{`{"type":"release","request":7,"by":"merchant"}`, 2},
	} {
		value := []byte(c.value)
		direct := testing.AllocsPerRun(100, func() { event.Decode(value) })
		strict := testing.AllocsPerRun(100, func() { event.Strict(value) })
		if direct > c.most || direct >= strict {
			t.Errorf("%s: %v allocations, at most %v are to be; %v strictly", value, direct, c.most, strict)
		}
	}
}

// TestNearlyCanonical: what differs a little from a canonical form is left to
// the strict reading, whatever that makes of it.
func TestNearlyCanonical(t *testing.T) {
	t.Parallel()
	const leased = `{"type":"buy","sale":1,"buyer":"ann","quantity":1,"accepted_at":5,"lease":"l"}`
	with := func(from, to string) string { return strings.Replace(leased, from, to, 1) }
	values := map[string]string{
		"nothing": "", "null": "null", "no object": `"buy"`, "only a brace": "{", "empty object": "{}", "only the type": `{"type":"buy"}`,
		"members in another order": `{"type":"buy","buyer":"ann","sale":1,"quantity":1,"accepted_at":5}`,
		"type last":                `{"sale":1,"buyer":"ann","quantity":1,"accepted_at":5,"type":"buy"}`,
		"a member left out":        `{"type":"buy","sale":1,"buyer":"ann","quantity":1}`,
		"lease first":              `{"type":"buy","lease":"l","sale":1,"buyer":"ann","quantity":1,"accepted_at":5}`,
		"empty lease":              with(`"l"}`, `""}`), "null lease": with(`"l"}`, `null}`), "lease a number": with(`"l"}`, `1}`), "lease twice": with(`"l"}`, `"l","lease":"l"}`),
		"lease unclosed": with(`"l"}`, `"l}`), "no brace": strings.TrimSuffix(leased, "}"), "two braces": leased + "}", "bracket": with(`"l"}`, `"l"]`),
		"space after": leased + " ", "newline after": leased + "\n", "NUL after": leased + "\x00", "another after": leased + leased,
		"space before": " " + leased, "byte order mark": "\ufeff" + leased, "space in it": with(",", ", "), "tab in it": with(":1", ":\t1"), "space at the end": with("}", " }"),
		"case of type": with("type", "Type"), "case of a type": with("buy", "Buy"), "case of a name": with("quantity", "Quantity"),
		"name escaped": with("quantity", `quantit\u0079`), "type escaped": with(`"buy"`, `"bu\u0079"`), "other name": with("quantity", "number"),
		"unknown member": with("}", `,"coupon":"x"}`), "unknown member within": with(`,"quantity"`, `,"x":1,"quantity"`), "member twice": with("}", `,"sale":1}`), "type twice": with("}", `,"type":"buy"}`),
		"trailing comma": with("}", ",}"), "no comma": with(`,"quantity"`, `"quantity"`), "two commas": with(`,"quantity"`, `,,"quantity"`),
		"committed is 0": `{"type":"tick","committed":0}`, "committed twice": `{"type":"tick","committed":1,"committed":1}`, "committed null": `{"type":"tick","committed":null}`,
		"committed is nothing": `{"type":"tick","committed":}`, "tick with a comma": `{"type":"tick",}`, "tick of a sale": `{"type":"tick","sale":1}`, "tick, unclosed": `{"type":"tick"`, "type goes on": `{"type":"tick "}`,
		"party a number": `{"type":"release","request":7,"by":1}`, "party null": `{"type":"release","request":7,"by":null}`, "confirm's for release": `{"type":"release","request":7,"payment_reference":"p"}`,
		"reference null": `{"type":"confirm","request":7,"payment_reference":null}`, "release's for confirm": `{"type":"confirm","request":7,"by":"p"}`, "no reference": `{"type":"confirm","request":7}`,
		"extend": `{"type":"extend","request":7,"seconds":1}`, "schema": `{"type":"schema","version":1}`, "unknown type": `{"type":"bid","sale":1}`,
	}
	for name, number := range map[string]string{
		"nothing": "", "minus": "-", "plus": "+1", "minus 0": "-0", "minus 00": "-00", "00": "00", "01": "01", "-01": "-01", "two minuses": "--1", "minus at the end": "1-",
		"fraction": "1.0", "half": "1.5", "point": "1.", "no whole": ".5", "exponent": "1e3", "capital exponent": "1E3", "0e0": "0e0", "huge exponent": "1e999999999", "hexadecimal": "0x1", "underscore": "1_0",
		"19 digits": "1000000000000000000", "-19 digits": "-1000000000000000000", "largest": "9223372036854775807", "smallest": "-9223372036854775808",
		"too large": "9223372036854775808", "too small": "-9223372036854775809", "2^64": "18446744073709551616", "2^64 and 1": "18446744073709551617",
		"huge": strings.Repeat("9", 5000), "many zeros": strings.Repeat("0", 18), "19 zeros and 1": strings.Repeat("0", 19) + "1",
		"text": `"1"`, "true": "true", "null": "null", "array": "[1]", "object": "{}", "NaN": "NaN", "Infinity": "Infinity", "other digits": "\u0661", "before 0": "/", "after 9": ":",
		"space before": " 1", "space after": "1 ", "unclosed": `1"`,
	} {
		for _, member := range []string{`"sale":`, `"quantity":`, `"accepted_at":`} {
			before, after, _ := strings.Cut(leased, member)
			_, after, _ = strings.Cut(after, ",")
			values[member+" "+name] = before + member + number + "," + after
		}
		values[`"request": `+name] = `{"type":"confirm","request":` + number + `,"payment_reference":"p"}`
		values[`"committed": `+name] = `{"type":"tick","committed":` + number + `}`
	}
	for name, text := range map[string]string{
		"quote": `"`, "quotes": `""`, "escaped quote": `\"`, "backslash": `\`, "escaped backslash": `\\`, "escaped letter": `\u0061`, "escaped slash": `\/`, "escaped newline": `\n`, "bad escape": `\x41`,
		"lone surrogate": `\ud800`, "pair": `\ud83c\udf9f`, "half an escape": `\u00`, "NUL": "\x00", "newline": "\n", "tab": "\t", "last control character": "\x1f", "DEL": "\x7f",
		"two bytes": "é", "three bytes": "\u2028", "four bytes": "\U0001f39f", "replacement": "\ufffd", "invalid UTF-8": "\xff", "continuation": "\x80", "overlong": "\xc0\x80", "half a letter": "\xc3",
		"surrogate in UTF-8": "\xed\xa0\x80", "beyond Unicode": "\xf4\x90\x80\x80",
	} {
		for _, place := range []string{text, "x" + text, text + "x", "x" + text + "x"} {
			values["buyer with "+name+" as "+place] = with("ann", place)
			values["lease with "+name+" as "+place] = with(`"l"`, `"`+place+`"`)
			values["party with "+name+" as "+place] = `{"type":"release","request":7,"by":"` + place + `"}`
			values["reference with "+name+" as "+place] = `{"type":"confirm","request":7,"payment_reference":"` + place + `"}`
		}
	}
	for name, value := range values {
		if body := event.Canonical([]byte(value)); body != nil {
			t.Errorf("%s: %.100q is read directly, as %#v", name, value, body)
		}
		agree(t, []byte(value))
	}
}

// TestOnePlaceOff: the forms, with every byte of them replaced by every other,
// with every byte put in everywhere, and with every part left out, among them
// the last ones.
func TestOnePlaceOff(t *testing.T) {
	t.Parallel()
	for form := range canonicalForms() {
		for at := range len(form) + 1 {
			for end := at + 1; end <= len(form); end++ {
				agree(t, []byte(form[:at]+form[end:]))
			}
			for b := range math.MaxUint8 + 1 {
				agree(t, slices.Concat([]byte(form[:at]), []byte{byte(b)}, []byte(form[at:])))
				if at < len(form) {
					agree(t, slices.Concat([]byte(form[:at]), []byte{byte(b)}, []byte(form[at+1:])))
				}
			}
		}
	}
}

// TestManyPlacesOff: what is made of the forms by cutting, joining and putting
// in pieces that mean something to JSON.
func TestManyPlacesOff(t *testing.T) {
	t.Parallel()
	var forms []string
	for form := range canonicalForms() {
		forms = append(forms, form)
	}
	slices.Sort(forms)
	pieces := []string{
		"", "0", "-", "00", ".0", "e1", "9223372036854775807", "99999999999999999999", `"`, `\`, `\u0041`, "\x00", "\x7f", "é", "\xff", " ", ",", ":", "{", "}", "null",
		`"sale":1,`, `,"lease":"x"`, `,"lease":""`, `,"committed":0`, `"type":"tick",`, `,"x":1`,
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SampledFrom(forms).Draw(t, "form")
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			from := rapid.IntRange(0, len(value)).Draw(t, "from")
			to := rapid.IntRange(from, min(len(value), from+12)).Draw(t, "to")
			piece := rapid.OneOf(
				rapid.SampledFrom(pieces),
				rapid.Map(rapid.Byte(), func(b byte) string { return string([]byte{b}) }),
				rapid.Map(rapid.SampledFrom(forms), func(form string) string { return form[len(form)/2:] }),
			).Draw(t, "piece")
			value = value[:from] + piece + value[to:]
		}
		agree(t, []byte(value))
	})
}

func TestGoldenLogsReadTheSame(t *testing.T) {
	t.Parallel()
	direct := 0
	for name, log := range goldenLogs(t) {
		for _, entry := range log {
			agree(t, entry.Value)
			if event.Canonical(entry.Value) != nil {
				direct++
			}
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	if direct == 0 {
		t.Error("no record was read directly")
	}
}

// FuzzCanonical: a record means what the strict reading says, for every value.
func FuzzCanonical(f *testing.F) {
	for form := range canonicalForms() {
		f.Add([]byte(form))
	}
	for _, seed := range []string{
		`{"type":"buy","sale":-0,"buyer":"ann","quantity":01,"accepted_at":1e3}`, `{"type":"buy","sale":1,"buyer":"\u0061","quantity":1.0,"accepted_at":5}`,
		`{"type":"buy","sale":9223372036854775807,"buyer":"é","quantity":9223372036854775808,"accepted_at":5}`, "{\"type\":\"buy\",\"sale\":1,\"buyer\":\"\xff\",\"quantity\":1,\"accepted_at\":5}",
		`{"type":"buy","sale":1,"buyer":"ann","quantity":1,"accepted_at":5,"lease":""}`, `{"type":"buy","sale":1,"buyer":"ann","quantity":1,"accepted_at":5,"quantity":1}`,
		`{"type":"buy","buyer":"ann","sale":1, "quantity":null}`, `{"type":"tick","committed":0}`, `{"type":"extend","request":7,"seconds":1}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) { agree(t, value) })
}

// BenchmarkDecode reads what a backlog is made of, and what is not canonical,
// and holds it against the strict reading of the same.
func BenchmarkDecode(b *testing.B) {
	const buy = `{"type":"buy","sale":1,"buyer":"b1.5mGh3YxkTzqvXo0Qn2cWc9uJf8sPdR4aLeKiV7tNyE","quantity":1,"accepted_at":1750000000000}`
	for _, c := range []struct{ name, value string }{
		{"buy", buy},
		{"leased buy", strings.TrimSuffix(buy, "}") + `,"lease":"4bTq0mJx1Yw9"}`},
		{"tick", `{"type":"tick","committed":123456789}`},
		{"buy with a space", strings.TrimSuffix(buy, "}") + " }"},
		{"buy with an escape", strings.Replace(buy, "b1", `\u00621`, 1)},
	} {
		value := []byte(c.value)
		var strict float64
		b.Run(c.name+"/strict", func(b *testing.B) {
			strict = benchmarkDecode(b, event.Strict, value)
		})
		b.Run(c.name+"/decode", func(b *testing.B) {
			if rate := benchmarkDecode(b, event.Decode, value); strict > 0 {
				b.ReportMetric(rate/strict, "x-strict")
			}
		})
	}
}

func benchmarkDecode(b *testing.B, decode func([]byte) sale.Body, value []byte) float64 {
	b.ReportAllocs()
	for b.Loop() {
		if decode(value) == nil {
			b.Fatal("malformed")
		}
	}
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "records/s")
	return rate
}
