package sale_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// lastSecond is the last time that RFC 3339 and a ledger's timestamp can say.
const lastSecond sale.Time = 253_402_300_799_999

// TestNothingPoisonous: whatever a record says, what the core makes of it can
// be written to a ledger, sent and shown: short visible text, times that have
// a year, counts that add up far below an int64's end.
func TestNothingPoisonous(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := append(saletest.Log(t), hostile(t)...)
		p := sale.New()
		for i, r := range records {
			r.Offset = sale.Offset(i)
			var changes sale.Changes
			if err := p.Apply(r, &changes); err != nil {
				t.Fatal(err)
			}
			for _, d := range changes.Decisions {
				checkHarmless(t, d)
			}
			for _, s := range changes.Sales() {
				checkHarmlessSale(t, s)
			}
			if _, err := json.Marshal(changes.Decisions); err != nil {
				t.Fatal(err)
			}
		}
		snapshot := p.Snapshot()
		sales := salesByID(snapshot)
		for i := range snapshot.Requests {
			r := &snapshot.Requests[i]
			if end, ok := endOf(sales, snapshot.Starts, r); ok && r.State == sale.Held {
				checkTime(t, "end", end)
			}
		}
		restored(t, p)
	})
}

// hostile draws records with text and numbers of any kind.
func hostile(t *rapid.T) []sale.Record {
	anyTime := rapid.OneOf(rapid.Int64(), rapid.Int64Range(int64(lastSecond)-1_000_000_000, int64(lastSecond)+2), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, -1, 0}))
	anyText := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"ok", "a\x00b", "\xff\xfe", "\u202e", "a\nb", "'; --", `"`, "\x7f", strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("\u00e4", 64),
	}))
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sale.Record {
		offset := sale.Offset(rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 20)).Draw(t, "offset"))
		number := rapid.OneOf(rapid.Int64(), rapid.Int64Range(1, 3)).Draw(t, "number")
		text := anyText.Draw(t, "text")
		r := sale.Record{
			Time:    sale.Time(anyTime.Draw(t, "time")),
			Product: rapid.OneOf(rapid.Just(sale.Product("ring")), rapid.Map(anyText, func(s string) sale.Product { return sale.Product(s) })).Draw(t, "product"),
		}
		switch rapid.IntRange(0, 5).Draw(t, "type") {
		case 0:
			r.Body = sale.Buy{Sale: offset, Buyer: sale.Buyer(text), Quantity: number, AcceptedAt: sale.Time(anyTime.Draw(t, "accepted"))}
		case 1:
			r.Body = sale.Confirm{Request: offset, PaymentReference: text}
		case 2:
			r.Body = sale.Release{Request: offset, By: sale.Party(text)}
		case 3:
			r.Body = sale.Create{
				Rules: int(number), BuyerKey: text, Actor: text, Reason: text,
				Settings: sale.Settings{Quantity: number, HoldSeconds: number, PerBuyerLimit: number, MaxQuantityPerRequest: number, Policy: sale.Policy(text)},
			}
		case 4:
			r.Body = sale.Tick{Committed: offset}
		case 5:
			r.Body = sale.Schema{Version: min(int(number), sale.NewestSchema)}
		}
		return r
	}), 0, 30).Draw(t, "hostile")
}

func checkHarmless(t *rapid.T, d sale.Decision) {
	t.Helper()
	checkTime(t, "decision", d.Time)
	switch d.Kind {
	case sale.OfRequest:
		checkTime(t, "accepted", d.Request.AcceptedAt)
		checkTime(t, "decided", d.Request.DecidedAt)
		checkText(t, string(d.Request.Product), d.Request.Reason == sale.ReasonMalformed)
		checkText(t, string(d.Request.Buyer), d.Request.Reason == sale.ReasonMalformed || d.Default)
		checkText(t, d.Request.Payment, d.Request.State != sale.Confirmed)
		if d.Request.State == sale.Held && (d.Request.Quantity < 1 || d.Request.Quantity > sale.MaxQuantity) {
			t.Fatalf("a hold of %d", d.Request.Quantity)
		}
	case sale.OfCommand:
		checkTime(t, "result", d.Result.Time)
		checkText(t, string(d.Result.Product), false)
	case sale.OfStart:
		checkTime(t, "start", d.Start.At)
	}
}

func checkHarmlessSale(t *rapid.T, s sale.Sale) {
	t.Helper()
	checkTime(t, "created", s.CreatedAt)
	checkText(t, string(s.Product), false)
	checkText(t, s.BuyerKey, false)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if s.Requests < s.SoldOut+s.Rejected || s.SoldOut < 0 || s.Rejected < 0 {
		t.Fatalf("sale %d counts %d requests, %d sold out, %d rejected", s.ID, s.Requests, s.SoldOut, s.Rejected)
	}
}

func checkTime(t *rapid.T, what string, at sale.Time) {
	t.Helper()
	if at < 0 || at > lastSecond {
		t.Fatalf("the time %q is %d", what, at)
	}
	if _, err := time.UnixMilli(int64(at)).UTC().MarshalJSON(); err != nil {
		t.Fatalf("the time %q: %v", what, err)
	}
}

func checkText(t *rapid.T, s string, mayBeEmpty bool) {
	t.Helper()
	if s == "" && mayBeEmpty {
		return
	}
	if s == "" || len(s) > 128 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		t.Fatalf("the text %q got through", s)
	}
}

// TestTimeAtTheEndOfTheWorld: a timestamp that no calendar has stops log time
// where every hold's end can still be written, and nothing overflows.
func TestTimeAtTheEndOfTheWorld(t *testing.T) {
	t.Parallel()
	for _, at := range []sale.Time{math.MaxInt64, math.MaxInt64 - 1, lastSecond, lastSecond + 1, lastSecond - sale.MaxHoldSeconds*1000 + 1} {
		l := newLine(t)
		s := ring(2)
		s.HoldSeconds = sale.MaxHoldSeconds
		l.time = at
		l.sale(s)
		l.do(sale.Buy{Sale: l.current, Buyer: "ann", Quantity: 1})
		l.tick()
		if due, ok := l.state.Due(); !ok || due < l.state.Now() || due > lastSecond {
			t.Errorf("at %d, the hold ends at %d, %t", at, due, ok)
		}
		l.do(sale.Tick{})
		l.wants()
	}
	for _, at := range []sale.Time{math.MinInt64, -1, 0} {
		p := sale.New()
		apply(t, p, sale.Record{Time: at, Body: sale.Schema{Version: 1}})
		if p.Now() != 0 {
			t.Errorf("a timestamp of %d makes log time %d", at, p.Now())
		}
	}
}

// TestLargestSale: the largest numbers that pass still add up.
func TestLargestSale(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.sale(sale.Settings{
		Quantity: sale.MaxQuantity, HoldSeconds: sale.MaxHoldSeconds,
		PerBuyerLimit: sale.MaxQuantity, MaxQuantityPerRequest: sale.MaxQuantity, Policy: sale.PolicyQueue,
	})
	first := l.buy("ann", sale.MaxQuantity-1)
	l.do(sale.Confirm{Request: first, PaymentReference: "pay-1"})
	for _, quantity := range []int64{math.MaxInt64, math.MaxInt64 - sale.MaxQuantity, sale.MaxQuantity + 1, 0, -1, math.MinInt64} {
		at := l.buy("ann", quantity)
		l.wants(fmt.Sprintf("request %d rejected invalid_quantity", at))
	}
	at := l.buy("ann", sale.MaxQuantity)
	l.wants(fmt.Sprintf("request %d rejected buyer_limit", at))
	at = l.buy("bob", 2)
	l.wants(fmt.Sprintf("request %d sold_out", at))
	at = l.buy("ann", 1)
	l.wants(fmt.Sprintf("request %d held", at))
	if got := l.available(); got != 0 {
		t.Fatalf("%d available", got)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sale.Settings){
		"quantity 0":              func(s *sale.Settings) { s.Quantity = 0 },
		"quantity too large":      func(s *sale.Settings) { s.Quantity = sale.MaxQuantity + 1 },
		"hold 0":                  func(s *sale.Settings) { s.HoldSeconds = 0 },
		"hold too long":           func(s *sale.Settings) { s.HoldSeconds = sale.MaxHoldSeconds + 1 },
		"limit 0":                 func(s *sale.Settings) { s.PerBuyerLimit = 0 },
		"limit too large":         func(s *sale.Settings) { s.PerBuyerLimit = sale.MaxQuantity + 1 },
		"per request 0":           func(s *sale.Settings) { s.MaxQuantityPerRequest = 0 },
		"per request above limit": func(s *sale.Settings) { s.MaxQuantityPerRequest = s.PerBuyerLimit + 1 },
		"no policy":               func(s *sale.Settings) { s.Policy = "" },
		"unknown policy":          func(s *sale.Settings) { s.Policy = "lottery" },
	} {
		s := ring(3)
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&s)
		if err := s.Validate(); !errors.Is(err, sale.ErrInvalidSettings) {
			t.Errorf("%s: %v", name, err)
		}
		l := newLine(t)
		l.sale(s)
		l.wants("result invalid sale -1 request -1")
	}
}

func TestValidProduct(t *testing.T) {
	t.Parallel()
	for product, want := range map[sale.Product]bool{
		"a": true, "0": true, "a.b_c-d9": true, sale.Product(strings.Repeat("a", 64)): true,
		"": false, ".a": false, "-a": false, "_a": false, "A": false, "a b": false, "a/b": false, "a\x00": false, "\u00e4": false,
		sale.Product(strings.Repeat("a", 65)): false,
	} {
		if got := sale.ValidProduct(product); got != want {
			t.Errorf("%q: %t", product, got)
		}
	}
}
