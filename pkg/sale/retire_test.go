package sale_test

import (
	"fmt"
	"testing"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const month sale.Time = 30 * 24 * 3600 * 1000

// closedLine is a line of the third schema, with a sale of two units that has
// just closed: one is sold, to the request that it gives, and one given back.
func closedLine(t *testing.T) (l *line, sold, left, twice sale.Offset) {
	t.Helper()
	l = newLineOf(t, 3)
	l.sale(waiting(2))
	sold, left = l.buy("ann", 1), l.buy("bob", 1)
	twice = l.buy("bob", 1)
	l.do(sale.Confirm{Request: sold, PaymentReference: "pay-1"})
	l.do(sale.Release{Request: left, By: sale.ByShopper})
	l.do(sale.Close{Sale: l.current})
	return l, sold, left, twice
}

// TestRetirement: a millisecond before a month is over every command has the
// result that it always had, and at the month's end each of a product's is
// refused in the same words.
func TestRetirement(t *testing.T) {
	t.Parallel()
	of := sale.Offset(1)
	_, sold, left, twice := closedLine(t)
	for name, test := range map[string]struct {
		body    sale.Body
		before  string
		request sale.Offset // None for a command about the sale
	}{
		"confirm":           {sale.Confirm{Request: sold, PaymentReference: "pay-1"}, fmt.Sprintf("result  sale 1 request %d", sold), sold},
		"confirm otherwise": {sale.Confirm{Request: sold, PaymentReference: "pay-2"}, fmt.Sprintf("result other_payment sale 1 request %d", sold), sold},
		"extend":            {sale.Extend{Request: sold, Seconds: 5}, fmt.Sprintf("result not_held sale 1 request %d", sold), sold},
		"release":           {sale.Release{Request: left, By: sale.ByMerchant}, fmt.Sprintf("result  sale -1 request %d", left), left},
		"return":            {sale.Return{Request: left}, fmt.Sprintf("result not_confirmed sale -1 request %d", left), left},
		"by the duplicate":  {sale.Confirm{Request: twice, PaymentReference: "pay-1"}, fmt.Sprintf("result not_held sale -1 request %d", left), twice},
		"update":            {sale.Update{Sale: of, Version: 1, Change: sale.Change{Quantity: new(int64(9))}}, "result sale_closed sale 1 request -1", sale.None},
		"update to the same": {
			sale.Update{Sale: of, Version: 1, Change: sale.Change{Quantity: new(int64(2))}}, "result  sale 1 request -1", sale.None,
		},
		"pause":  {sale.Pause{Sale: of}, "result sale_closed sale 1 request -1", sale.None},
		"resume": {sale.Resume{Sale: of}, "result sale_closed sale 1 request -1", sale.None},
		"close":  {sale.Close{Sale: of}, "result  sale 1 request -1", sale.None},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _, _, _ := closedLine(t)
			closed := l.now().ClosedAt
			if due, ok := l.state.Due(); !ok || due != closed+month {
				t.Errorf("due at %d, %t, want %d", due, ok, closed+month)
			}
			l.time = closed + month - 1
			l.do(test.body)
			l.wants(test.before)
			if l.now().RetiredAt != 0 {
				t.Fatal("it has retired before its time")
			}

			l.time = closed + month
			l.do(test.body)
			if test.request == sale.None {
				l.wants("result sale_retired sale 1 request -1")
			} else {
				l.wants(fmt.Sprintf("result sale_retired sale -1 request %d", test.request))
			}
			now := l.now()
			if now.RetiredAt != l.time || now.Revision != l.state.Next()-1 || now.Confirmed != 1 || now.Available != 1 {
				t.Errorf("it has retired as %+v", now)
			}
			if due, ok := l.state.Due(); ok {
				t.Errorf("something is due at %d still", due)
			}
			if kept := l.state.Snapshot().Requests; len(kept) > 0 {
				t.Errorf("it keeps %+v", kept)
			}
			at := l.buy("dee", 1)
			l.wants(fmt.Sprintf("request %d rejected closed", at))
			if !l.decisions[0].Default {
				t.Error("a buy of a sale that has retired has a row")
			}
			l.sale(waiting(1))
			at = l.buy("ann", 1)
			l.wants(fmt.Sprintf("request %d held", at))
		})
	}
}

// TestRetirementNeedsItsSchema: under an earlier schema a closed sale stays, and
// retires once the log is raised, at once or when its time has come.
func TestRetirementNeedsItsSchema(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	l.sale(waiting(1))
	sold := l.buy("ann", 1)
	l.do(sale.Confirm{Request: sold, PaymentReference: "pay-1"})
	l.do(sale.Close{Sale: l.current})
	first := l.current
	if due, ok := l.state.Due(); ok {
		t.Errorf("under the second schema something is due at %d", due)
	}
	l.time += month + 5000
	l.sale(waiting(1))
	second := l.current
	l.do(sale.Close{Sale: second})
	l.do(sale.Confirm{Request: sold, PaymentReference: "pay-1"})
	l.wants(fmt.Sprintf("result  sale %d request %d", first, sold))

	l.time += 1000
	l.do(sale.Schema{Version: 3})
	l.wants()
	sales := salesByID(l.state.Snapshot())
	if sales[first].RetiredAt != l.time || sales[second].RetiredAt != 0 {
		t.Errorf("raised at %d, they retire at %d and %d", l.time, sales[first].RetiredAt, sales[second].RetiredAt)
	}
	l.do(sale.Confirm{Request: sold, PaymentReference: "pay-1"})
	l.wants(fmt.Sprintf("result sale_retired sale -1 request %d", sold))
	if due, ok := l.state.Due(); !ok || due != sales[second].ClosedAt+month {
		t.Errorf("then due at %d, %t, want %d", due, ok, sales[second].ClosedAt+month)
	}
	l.time = sales[second].ClosedAt + month
	l.do(sale.Tick{})
	if at := l.now().RetiredAt; at != l.time {
		t.Errorf("the second retires at %d, not %d", at, l.time)
	}
}

// TestRetirementWaitsForTheLive: a sale of which something is live after a month
// retires with the last of it, whatever ends it.
func TestRetirementWaitsForTheLive(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		paced sale.Settings
		end   func(l *line, live sale.Offset)
		ended string
	}{
		"hold confirmed": {waiting(2), func(l *line, live sale.Offset) {
			l.do(sale.Confirm{Request: live, PaymentReference: "pay-1"})
		}, "confirmed"},
		"hold released": {waiting(2), func(l *line, live sale.Offset) {
			l.do(sale.Release{Request: live, By: sale.ByMerchant})
		}, "released by_merchant"},
		"hold expired": {waiting(2), func(l *line, _ sale.Offset) {
			l.tick()
			if due, ok := l.state.Due(); !ok || due != l.time+10_000 {
				l.t.Errorf("due at %d, %t, want %d: the hold's end", due, ok, l.time+10_000)
			}
			l.time += 10_000
			l.do(sale.Tick{})
		}, "expired"},
		"turn released": {paced(waiting(2)), func(l *line, live sale.Offset) {
			l.do(sale.Release{Request: live, By: sale.ByShopper})
		}, "released by_shopper"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLineOf(t, 3)
			l.sale(test.paced)
			early, live := l.buy("ann", 1), l.buy("bob", 1)
			l.do(sale.Close{Sale: l.current})
			l.do(sale.Release{Request: early, By: sale.ByShopper})
			if due, ok := l.state.Due(); ok && due >= l.time+month {
				t.Errorf("while one is live the sale is due at %d", due)
			}
			l.time += month + 77_000
			l.do(sale.Schema{Version: 3}) // says nothing new, and is no tick, which would open a window
			if l.now().RetiredAt != 0 {
				t.Fatal("it has retired while a request is live")
			}
			test.end(l, live)
			if told := l.told()[0]; told != fmt.Sprintf("request %d %s", live, test.ended) {
				t.Errorf("the last one is %s", told)
			}
			if at := l.now().RetiredAt; at != l.time {
				t.Errorf("with the last one's end at %d it retires at %d", l.time, at)
			}
			if kept := l.state.Snapshot().Requests; len(kept) > 0 {
				t.Errorf("it keeps %+v", kept)
			}
			l.do(sale.Release{Request: live, By: sale.ByMerchant})
			l.wants(fmt.Sprintf("result sale_retired sale -1 request %d", live))
		})
	}
}

// paced lets checkout windows open at ticks.
func paced(s sale.Settings) sale.Settings {
	s.AdmitPerSecond = 1
	return s
}

// TestRetiredByOffset: which requests are of a sale that has retired follows
// from their offsets and the product of who asks.
func TestRetiredByOffset(t *testing.T) {
	t.Parallel()
	l, sold, _, _ := closedLine(t)
	other := l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Create{Rules: 2, Settings: waiting(1), BuyerKey: "key-1"}})
	lit := l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Buy{Sale: other, Buyer: "ann", Quantity: 1}})
	unlit := l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Buy{Sale: other, Buyer: "bob", Quantity: 1}})
	l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Release{Request: unlit, By: sale.ByShopper}})
	l.time += month
	late := l.buy("dee", 1)
	create := l.sale(waiting(1))
	held := l.buy("ann", 1)
	none := l.buy("eve", 3)

	for _, test := range []struct {
		product sale.Product
		request sale.Offset
		code    sale.Code
	}{
		{"ring", sold, sale.CodeSaleRetired},
		{"ring", late, sale.CodeSaleRetired},   // came after the retirement
		{"ring", create, sale.CodeSaleRetired}, // what it is, nobody knows: it is no request of the sale that it makes
		{"ring", held, sale.CodeDone},
		{"ring", none, sale.CodeNotHeld}, // refused by the sale that is open
		{"ring", 1, sale.CodeNotHeld},    // before it there was no sale
		{"ring", 0, sale.CodeNotHeld},
		{"ring", -1, sale.CodeNotHeld},
		{"ring", 1 << 40, sale.CodeNotHeld},
		{"ring", lit, sale.CodeNotHeld}, // is remembered, and the other product's
		{"ring", unlit, sale.CodeNotHeld},
		{"lamp", sold, sale.CodeNotHeld},
		{"cup", sold, sale.CodeNotHeld},
	} {
		l.record(sale.Record{Time: l.time, Product: test.product, Body: sale.Confirm{Request: test.request, PaymentReference: "pay-9"}})
		if got := l.decisions[len(l.decisions)-1].Result.Code; got != test.code {
			t.Errorf("of %s, request %d: %q, want %q", test.product, test.request, got, test.code)
		}
	}

	l.do(sale.Close{Sale: create})
	l.time += month
	for from, code := range map[sale.Offset]sale.Code{-1: sale.CodeSaleRetired, 0: sale.CodeNotHeld, 1: sale.CodeNotHeld} {
		own := l.state.Next()
		l.do(sale.Release{Request: own + from, By: sale.ByShopper})
		if got := l.decisions[0].Result.Code; got != code {
			t.Errorf("record %d about request %d: %q, want %q", own, own+from, got, code)
		}
	}
}

// TestRestoreWithoutTheRetired: rows of a sale that has retired may be in what a
// ledger gives, and make no difference.
func TestRestoreWithoutTheRetired(t *testing.T) {
	t.Parallel()
	l, sold, _, _ := closedLine(t)
	rows := l.state.Snapshot().Requests
	l.time += month
	l.do(sale.Tick{})
	snapshot := l.state.Snapshot()
	want := throughJSON(t, snapshot)
	snapshot.Requests = rows
	p, err := sale.Restore(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if diff := difference(want, throughJSON(t, p.Snapshot())); diff != "" {
		t.Errorf("(-without the rows +with them):\n%s", diff)
	}
	l.state = p
	l.do(sale.Return{Request: sold})
	l.wants(fmt.Sprintf("result sale_retired sale -1 request %d", sold))
}
