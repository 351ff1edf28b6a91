package sale_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
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
		switch rapid.IntRange(0, 11).Draw(t, "type") {
		case 0:
			r.Body = sale.Buy{
				Sale: offset, Buyer: sale.Buyer(text), Quantity: number, AcceptedAt: sale.Time(anyTime.Draw(t, "accepted")),
				Lease: rapid.OneOf(rapid.Just(""), anyText).Draw(t, "lease"),
			}
		case 1:
			r.Body = sale.Confirm{Request: offset, PaymentReference: text}
		case 2:
			r.Body = sale.Release{Request: offset, By: sale.Party(text)}
		case 3:
			r.Body = sale.Create{
				Rules: int(number), BuyerKey: text, Actor: text, Reason: text,
				Settings: sale.Settings{Quantity: number, HoldSeconds: number, PerBuyerLimit: number, MaxQuantityPerRequest: number, Policy: sale.Policy(text)},
			}
			if rapid.Bool().Draw(t, "later") {
				r.Body = sale.Create{Rules: int(number), BuyerKey: "key-1", Later: true, Settings: hostileSettings(t, number, text)}
			}
		case 4:
			r.Body = sale.Tick{Committed: offset}
		case 5:
			r.Body = sale.Schema{Version: min(int(number), sale.NewestSchema)}
		case 6:
			r.Body = sale.Extend{Request: offset, Seconds: number}
		case 7:
			r.Body = sale.Return{Request: offset}
		case 8:
			settings := hostileSettings(t, number, text)
			r.Body = sale.Update{Sale: offset, Version: rapid.Int64Range(1, 3).Draw(t, "version"), Actor: text, Reason: text, Change: someOf(t, settings)}
		case 9:
			r.Body = sale.Pause{Sale: offset, Actor: text, Reason: text}
		case 10:
			r.Body = sale.Resume{Sale: offset, Actor: text, Reason: text}
		case 11:
			r.Body = sale.Close{Sale: offset, Actor: text, Reason: text}
		}
		return r
	}), 0, 30).Draw(t, "hostile")
}

// hostileSettings are such as a sale could have but for a few.
func hostileSettings(t *rapid.T, number int64, text string) sale.Settings {
	mostly := func(name string, good int64) int64 {
		return rapid.OneOf(rapid.Just(good), rapid.Just(number), rapid.SampledFrom([]int64{0, 1, sale.MaxQuantity, sale.MaxHoldSeconds, math.MaxInt64, math.MinInt64})).Draw(t, name)
	}
	at := func(name string) sale.Time {
		return sale.Time(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64(), rapid.Int64Range(int64(saletest.Epoch), int64(saletest.Epoch)+99_000)).Draw(t, name))
	}
	return sale.Settings{
		Quantity: mostly("quantity", 3), HoldSeconds: mostly("hold", 1), MaxHoldSeconds: mostly("longest", 9), PerBuyerLimit: mostly("limit", 3),
		MaxQuantityPerRequest: mostly("most", 3), WaitlistCapacity: mostly("capacity", 5), AdmitPerSecond: mostly("pace", 1), MaxActiveHolds: mostly("active", 1),
		Policy:  rapid.SampledFrom([]sale.Policy{sale.PolicyWaitlist, sale.PolicyQueue, sale.Policy(text)}).Draw(t, "policy"),
		OpensAt: at("opens"), ClosesAt: at("closes"), CheckoutURL: rapid.SampledFrom([]string{"", "https://shop.example", text}).Draw(t, "url"),
	}
}

// someOf makes a change to some of the settings.
func someOf(t *rapid.T, s sale.Settings) sale.Change {
	chosen := rapid.IntRange(0, 1<<12-1).Draw(t, "chosen")
	is := func(bit int) bool { return chosen>>bit&1 == 1 }
	return sale.Change{
		Quantity: where(is(0), s.Quantity), HoldSeconds: where(is(1), s.HoldSeconds), MaxHoldSeconds: where(is(2), s.MaxHoldSeconds),
		PerBuyerLimit: where(is(3), s.PerBuyerLimit), MaxQuantityPerRequest: where(is(4), s.MaxQuantityPerRequest), Policy: where(is(5), s.Policy),
		WaitlistCapacity: where(is(6), s.WaitlistCapacity), OpensAt: where(is(7), s.OpensAt), ClosesAt: where(is(8), s.ClosesAt),
		AdmitPerSecond: where(is(9), s.AdmitPerSecond), MaxActiveHolds: where(is(10), s.MaxActiveHolds), CheckoutURL: where(is(11), s.CheckoutURL),
	}
}

func where[T any](is bool, value T) *T {
	if !is {
		return nil
	}
	return &value
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
	if !validTerms(s.Settings, s.Rules) {
		t.Fatalf("sale %d has the settings %+v", s.ID, s.Settings)
	}
	for _, at := range []sale.Time{s.OpensAt, s.ClosesAt, s.OpenedAt, s.ClosedAt, s.RetiredAt, s.Pace.At} {
		checkTime(t, "of a sale", at)
	}
	for _, pause := range s.Pauses {
		checkTime(t, "pause", pause.From)
		checkTime(t, "end of a pause", pause.To)
	}
	if s.Pace.Credit < 0 || s.Pace.Credit > 1000*sale.MaxPerSecond || s.Version < 1 {
		t.Fatalf("sale %d has version %d and the pace %+v", s.ID, s.Version, s.Pace)
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
		"quantity 0":                 func(s *sale.Settings) { s.Quantity = 0 },
		"quantity too large":         func(s *sale.Settings) { s.Quantity = sale.MaxQuantity + 1 },
		"hold 0":                     func(s *sale.Settings) { s.HoldSeconds = 0 },
		"hold too long":              func(s *sale.Settings) { s.HoldSeconds, s.MaxHoldSeconds = sale.MaxHoldSeconds+1, sale.MaxHoldSeconds+1 },
		"hold above longest":         func(s *sale.Settings) { s.MaxHoldSeconds = s.HoldSeconds - 1 },
		"longest hold too long":      func(s *sale.Settings) { s.MaxHoldSeconds = sale.MaxHoldSeconds + 1 },
		"limit 0":                    func(s *sale.Settings) { s.PerBuyerLimit = 0 },
		"limit too large":            func(s *sale.Settings) { s.PerBuyerLimit = sale.MaxQuantity + 1 },
		"per request 0":              func(s *sale.Settings) { s.MaxQuantityPerRequest = 0 },
		"per request above limit":    func(s *sale.Settings) { s.MaxQuantityPerRequest = s.PerBuyerLimit + 1 },
		"no policy":                  func(s *sale.Settings) { s.Policy = "" },
		"unknown policy":             func(s *sale.Settings) { s.Policy = "lottery" },
		"waitlist below 0":           func(s *sale.Settings) { s.WaitlistCapacity = -1 },
		"waitlist too long":          func(s *sale.Settings) { s.WaitlistCapacity = sale.MaxQuantity + 1 },
		"pace below 0":               func(s *sale.Settings) { s.AdmitPerSecond = -1 },
		"pace too high":              func(s *sale.Settings) { s.AdmitPerSecond = sale.MaxPerSecond + 1 },
		"active holds below 0":       func(s *sale.Settings) { s.MaxActiveHolds = -1 },
		"too many active holds":      func(s *sale.Settings) { s.MaxActiveHolds = sale.MaxQuantity + 1 },
		"opening below 0":            func(s *sale.Settings) { s.OpensAt = -1 },
		"opening after the year":     func(s *sale.Settings) { s.OpensAt = lastSecond },
		"closing below 0":            func(s *sale.Settings) { s.ClosesAt = -1 },
		"closing after the year":     func(s *sale.Settings) { s.ClosesAt = lastSecond },
		"closing at the opening":     func(s *sale.Settings) { s.OpensAt, s.ClosesAt = 5000, 5000 },
		"closing before the opening": func(s *sale.Settings) { s.OpensAt, s.ClosesAt = 5000, 4999 },
		"a space in the URL":         func(s *sale.Settings) { s.CheckoutURL = "https://shop.example/a b" },
		"URL too long":               func(s *sale.Settings) { s.CheckoutURL = "https://" + strings.Repeat("x", 2041) },
	} {
		s := waiting(3)
		s.CheckoutURL = "https://" + strings.Repeat("x", 2040) // just short enough
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&s)
		if err := s.Validate(); !errors.Is(err, sale.ErrInvalidSettings) {
			t.Errorf("%s: %v", name, err)
		}
		l := newLaterLine(t)
		l.sale(s)
		l.wants("result invalid sale -1 request -1")
	}
}

// TestValidateFirstRules: a sale of the first rules has no later setting.
func TestValidateFirstRules(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sale.Settings){
		"quantity 0":              func(s *sale.Settings) { s.Quantity = 0 },
		"hold 0":                  func(s *sale.Settings) { s.HoldSeconds = 0 },
		"hold too long":           func(s *sale.Settings) { s.HoldSeconds = sale.MaxHoldSeconds + 1 },
		"limit 0":                 func(s *sale.Settings) { s.PerBuyerLimit = 0 },
		"per request above limit": func(s *sale.Settings) { s.MaxQuantityPerRequest = s.PerBuyerLimit + 1 },
		"waitlist":                func(s *sale.Settings) { s.Policy = sale.PolicyWaitlist },
		"no policy":               func(s *sale.Settings) { s.Policy = "" },
		"longest hold":            func(s *sale.Settings) { s.MaxHoldSeconds = 60 },
		"capacity":                func(s *sale.Settings) { s.WaitlistCapacity = 1 },
		"opening":                 func(s *sale.Settings) { s.OpensAt = 1 },
		"closing":                 func(s *sale.Settings) { s.ClosesAt = 1 << 41 },
		"pace":                    func(s *sale.Settings) { s.AdmitPerSecond = 1 },
		"active holds":            func(s *sale.Settings) { s.MaxActiveHolds = 1 },
		"URL":                     func(s *sale.Settings) { s.CheckoutURL = "https://shop.example" },
	} {
		s := ring(3)
		for _, l := range []*line{newLine(t), newLaterLine(t)} {
			l.create(sale.FirstRules, s)
			l.wants("result  sale 1 request -1")
		}
		change(&s)
		for _, l := range []*line{newLine(t), newLaterLine(t)} {
			l.create(sale.FirstRules, s)
			if got := l.told(); !slices.Equal(got, []string{"result invalid sale -1 request -1"}) {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	for rules, want := range map[int]string{-1: "invalid", 0: "invalid", 3: "invalid", 2: ""} {
		l := newLaterLine(t)
		l.create(rules, waiting(1))
		if got := string(l.decisions[0].Result.Code); got != want {
			t.Errorf("rules %d: %q", rules, got)
		}
	}
	l := newLine(t)
	l.create(2, waiting(1))
	l.wants("result invalid sale -1 request -1") // the first schema does not know them
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
