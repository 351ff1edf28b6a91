package sale_test

import (
	"fmt"
	"testing"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestSecondSale: a sale that comes later starts with nothing of the one
// before, whose holds go on beside it.
func TestSecondSale(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	terms := waiting(2)
	terms.PerBuyerLimit, terms.MaxQuantityPerRequest = 1, 1
	first := l.sale(terms)
	ann, bob := l.buy("ann", 1), l.buy("bob", 1)
	cid := l.buy("cid", 1)
	l.do(sale.Confirm{Request: ann, PaymentReference: "pay-1"})
	l.tick()
	l.do(sale.Close{Sale: first})
	l.wants(fmt.Sprintf("request %d sold_out closed", cid), fmt.Sprintf("result  sale %d request -1", first))

	second := l.sale(terms)
	now := l.now()
	if now.Available != 2 || now.Held+now.Confirmed+now.Waitlisted+now.Requests+now.SoldOut+now.Rejected != 0 || now.Version != 1 || now.Pauses != nil {
		t.Fatalf("the second sale begins as %+v", now)
	}
	for _, buyer := range []sale.Buyer{"ann", "bob"} { // neither the limit nor the hold of the first sale counts
		at := l.buy(buyer, 1)
		l.wants(fmt.Sprintf("request %d held", at))
	}
	l.do(sale.Buy{Sale: first, Buyer: "dee", Quantity: 1})
	l.wants(fmt.Sprintf("request %d rejected unknown_sale", l.state.Next()-1))

	// What the first one's holders do has nothing to do with the second.
	dee := l.buy("dee", 1)
	l.wants(fmt.Sprintf("request %d waitlisted", dee))
	l.do(sale.Extend{Request: bob, Seconds: 20})
	l.wants(fmt.Sprintf("request %d held", bob), fmt.Sprintf("result  sale %d request %d", first, bob))
	l.time += 15_000
	l.do(sale.Confirm{Request: bob, PaymentReference: "pay-2"})
	l.wants(fmt.Sprintf("request %d confirmed", bob), fmt.Sprintf("result  sale %d request %d", first, bob))
	l.do(sale.Return{Request: ann})
	l.wants(fmt.Sprintf("request %d returned", ann), fmt.Sprintf("result  sale %d request %d", first, ann))
	for id, want := range map[sale.Offset][4]int64{first: {1, 0, 1, 0}, second: {0, 2, 0, 1}} {
		s := salesByID(l.state.Snapshot())[id]
		if got := [4]int64{s.Available, s.Held, s.Confirmed, s.Waitlisted}; got != want {
			t.Errorf("sale %d has %v available, held, confirmed, waitlisted; want %v", id, got, want)
		}
	}
	for _, body := range []sale.Body{sale.Pause{Sale: first}, sale.Resume{Sale: first}, sale.Update{Sale: first, Version: 1, Change: sale.Change{Quantity: new(int64(5))}}} {
		l.do(body)
		l.wants(fmt.Sprintf("result sale_closed sale %d request -1", first))
	}
}

// TestOperatorsOfAnotherProduct: a command under another product's key reaches
// no sale, and no request that is live.
func TestOperatorsOfAnotherProduct(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	of := l.sale(waiting(1))
	held := l.buy("ann", 1)
	for _, body := range []sale.Body{sale.Pause{Sale: of}, sale.Resume{Sale: of}, sale.Close{Sale: of}, sale.Update{Sale: of, Version: 1}} {
		l.record(sale.Record{Time: l.time, Product: "lamp", Body: body})
		l.wants("result unknown_sale sale -1 request -1")
	}
	l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Extend{Request: held, Seconds: 20}})
	l.wants(fmt.Sprintf("result not_held sale -1 request %d", held))
	l.do(sale.Confirm{Request: held, PaymentReference: "pay-1"})
	l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Return{Request: held}})
	l.wants(fmt.Sprintf("result not_confirmed sale -1 request %d", held))
}

// TestPauseAtTheBeginningOfTime: log time is 0 until a timestamp above it was
// seen; a pause that ended then has ended.
func TestPauseAtTheBeginningOfTime(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	l.state = sale.New()
	l.time = -1 // a broker's word for no timestamp
	l.do(sale.Schema{Version: 2})
	of := l.sale(waiting(1))
	l.do(sale.Pause{Sale: of})
	l.do(sale.Resume{Sale: of})
	l.time = 5_000
	l.buy("ann", 1)
	l.tick()
	if due, ok := l.state.Due(); !ok || due != 15_000 {
		t.Fatalf("a hold of 10 s that begins at 5000 ends at %d, %t", due, ok)
	}
}

// TestOpeningAndClosingAtOnce: of a sale whose opening and closing have both
// passed nobody gets anything, whatever comes next.
func TestOpeningAndClosingAtOnce(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	terms := waiting(1)
	terms.OpensAt, terms.ClosesAt = l.time+1_000, l.time+2_000
	l.sale(terms)
	if stage := l.now().Stage; stage != sale.StageScheduled {
		t.Fatalf("the sale is %s", stage)
	}
	l.time += 2_000
	at := l.buy("ann", 1)
	l.wants(fmt.Sprintf("request %d rejected closed", at))
	now := l.now()
	if outcome, ok := now.DefaultAt(at); !ok || outcome.Reason != sale.ReasonClosed || now.OpenedAt != l.time || now.ClosedAt != l.time {
		t.Fatalf("the sale has become %+v", now)
	}
}

// TestWaitingKeepsLogOrder: those whom a pause kept wait behind those who waited
// before it, and before those who come after it.
func TestWaitingKeepsLogOrder(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	l.sale(waiting(1))
	l.buy("ann", 1)
	first := l.buy("bob", 1)
	l.do(sale.Pause{Sale: l.current})
	second, third := l.buy("cid", 1), l.buy("dee", 1)
	l.do(sale.Resume{Sale: l.current})
	l.wants(fmt.Sprintf("request %d waitlisted", second), fmt.Sprintf("request %d waitlisted", third), fmt.Sprintf("result  sale %d request -1", l.current))
	fourth := l.buy("eve", 1)
	for _, next := range []sale.Offset{first, second, third, fourth} {
		l.do(sale.Release{Request: l.holder(), By: sale.ByShopper})
		if got := l.holder(); got != next {
			t.Fatalf("request %d got the unit, not %d", got, next)
		}
	}
}

// holder gives the only request that holds.
func (l *line) holder() sale.Offset {
	l.t.Helper()
	holder := sale.None
	for _, r := range l.state.Snapshot().Requests {
		if r.State == sale.Held {
			if holder != sale.None {
				l.t.Fatalf("requests %d and %d both hold", holder, r.Offset)
			}
			holder = r.Offset
		}
	}
	return holder
}
