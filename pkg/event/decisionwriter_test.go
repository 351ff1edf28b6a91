package event_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Whatever a decision is of, what is written by hand is what encoding the
// struct gives: texts that need escapes or are no UTF-8 and times beyond the
// years included.
func TestDecisionsAreWrittenAsTheStructIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDecision(t)
		partition := rapid.Int32Range(0, 1<<31-1).Draw(t, "partition")
		want, err := event.EncodeStruct(decisionTopic(), partition, d)
		if err != nil {
			t.Fatal(err)
		}
		b := event.NewDecisionBatch()
		b.Add(d)
		encoded, err := b.Encode(decisionTopic(), partition, decisionNow)
		if err != nil {
			t.Fatal(err)
		}
		product := string(d.Request.Product) + string(d.Result.Product)
		if got := string(encoded); got != product+"\t"+string(want)+"\n" {
			t.Errorf("written as\n%s\nthe struct is\n%s\t%s", got, product, want)
		}
	})
}

func drawDecision(t *rapid.T) *sale.Decision {
	offset := rapid.OneOf(rapid.Just(sale.None), rapid.Just(sale.Offset(0)), rapid.Map(rapid.Int64Min(0), func(n int64) sale.Offset { return sale.Offset(n) }))
	instant := rapid.OneOf(rapid.Just(sale.Time(0)), rapid.Just(decisionNow), rapid.Map(rapid.Int64(), func(n int64) sale.Time { return sale.Time(n) }))
	text := rapid.OneOf(
		rapid.Just(""), rapid.StringMatching(`[a-z0-9._ -]{1,8}`), rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.StringMatching(`["\\<>&\x{2028}\x{7f}/\n\t]{1,4}`),
	)
	d := &sale.Decision{
		Cause: sale.Offset(rapid.Int64Min(0).Draw(t, "cause")), Index: rapid.IntMin(0).Draw(t, "index"), Time: instant.Draw(t, "time"),
		Kind: rapid.SampledFrom([]sale.Kind{sale.OfRequest, sale.OfCommand, sale.OfStart}).Draw(t, "kind"),
	}
	switch d.Kind {
	case sale.OfRequest:
		d.Default = rapid.Bool().Draw(t, "default")
		d.Request = sale.Request{
			Offset: sale.Offset(rapid.Int64Range(0, 1<<62).Draw(t, "request")), Sale: offset.Draw(t, "sale"), Product: sale.Product(text.Draw(t, "product")),
			Buyer: "a buyer", Quantity: rapid.Int64().Draw(t, "quantity"), AcceptedAt: instant.Draw(t, "accepted"),
			State: rapid.SampledFrom([]sale.State{
				sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected, sale.Released, sale.Confirmed, sale.Expired, sale.Returned,
			}).Draw(t, "state"),
			Reason: sale.Reason(text.Draw(t, "reason")), First: offset.Draw(t, "first"), HeldSince: offset.Draw(t, "held since"),
			Payment: text.Draw(t, "payment"), HoldFor: instant.Draw(t, "hold for"),
		}
		if rapid.Bool().Draw(t, "just held") {
			d.Request.HeldSince = d.Cause
		}
	case sale.OfCommand:
		d.Result = sale.Result{
			Command: offset.Draw(t, "command"), Product: sale.Product(text.Draw(t, "product")), Sale: offset.Draw(t, "sale"),
			Request: offset.Draw(t, "request"), Code: sale.Code(text.Draw(t, "code")),
		}
	case sale.OfStart:
		d.Start = sale.Start{Below: offset.Draw(t, "below"), At: instant.Draw(t, "at")}
	}
	return d
}
