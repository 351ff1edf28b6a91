package sale_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// wants compares what the latest record decided.
func (l *line) wants(lines ...string) {
	l.t.Helper()
	if diff := cmp.Diff(lines, l.told()); diff != "" {
		l.t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestUnstartedHoldNeverExpires(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.sale(ring(1))
	held := l.buy("ann", 1)
	for range 50 {
		l.time += 30 * 24 * 3600 * 1000
		l.do(sale.Tick{})
		l.wants()
		l.do(sale.Tick{Committed: held}) // not above it
		l.wants()
	}
	if due, ok := l.state.Due(); ok {
		t.Fatalf("something is due at %d", due)
	}
	l.tick()
	l.wants(fmt.Sprintf("start below %d at %d", l.state.Next()-1, l.time))
	l.time += 9_999
	l.do(sale.Tick{})
	l.wants()
	l.time++
	l.do(sale.Tick{})
	l.wants(fmt.Sprintf("request %d expired", held))
}

func TestHoldStartsOnce(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.sale(ring(3))
	held := l.buy("ann", 1)
	begun := l.time
	l.do(sale.Tick{Committed: held + 1})
	l.wants(fmt.Sprintf("start below %d at %d", held+1, begun))
	l.time += 5_000
	l.tick() // begins nothing again
	l.wants()
	second := l.buy("bob", 1)
	l.tick() // begins the second alone
	l.wants(fmt.Sprintf("start below %d at %d", second+1, l.time))
	if due, ok := l.state.Due(); !ok || due != begun+10_000 {
		t.Fatalf("due at %d, %t", due, ok)
	}
	l.time = begun + 10_000
	l.do(sale.Tick{})
	l.wants(fmt.Sprintf("request %d expired", held))
	l.time += 5_000
	l.do(sale.Tick{})
	l.wants(fmt.Sprintf("request %d expired", second))
}

func TestConfirmationAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		after sale.Time
		want  string
	}{
		{9_998, "confirmed"}, {9_999, "confirmed"}, {10_000, "expired"}, {10_001, "expired"},
	} {
		l := newLine(t)
		l.sale(ring(1))
		held := l.buy("ann", 1)
		l.tick()
		l.time += c.after
		l.do(sale.Confirm{Request: held, PaymentReference: "pay-1"})
		if c.want == "confirmed" {
			l.wants(fmt.Sprintf("request %d confirmed", held), fmt.Sprintf("result  sale %d request %d", l.current, held))
		} else {
			l.wants(fmt.Sprintf("request %d expired", held), fmt.Sprintf("result hold_expired sale -1 request %d", held))
		}
	}
}

// TestEarlierTimestampIsNoExcuse: log time does not go back, so a record with
// an earlier timestamp acts at the latest time that was seen.
func TestEarlierTimestampIsNoExcuse(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.sale(ring(1))
	held := l.buy("ann", 1)
	l.tick()
	begun := l.time
	l.time = begun + 9_999
	l.do(nil) // malformed, and still lets time pass
	l.time = begun - 5_000
	l.do(sale.Tick{})
	if now := l.state.Now(); now != begun+9_999 {
		t.Fatalf("log time is %d", now-begun)
	}
	second := l.buy("bob", 1)
	l.wants(fmt.Sprintf("request %d sold_out", second))
	l.time = begun + 10_000
	l.do(nil) // lets it pass to the end
	l.wants(fmt.Sprintf("request %d expired", held), fmt.Sprintf("request %d rejected malformed", l.state.Next()-1))
	l.time = begun
	l.do(sale.Confirm{Request: held, PaymentReference: "pay-1"})
	l.wants(fmt.Sprintf("result hold_expired sale -1 request %d", held))
}

// TestDueInOrder: holds of different lengths that end before one record end in
// the order of their ends and then of their offsets, at the record's time, and
// before the record acts, which may then have their units.
func TestDueInOrder(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	lamp := ring(2)
	lamp.HoldSeconds = 4
	lampSale := l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Create{Rules: sale.FirstRules, Settings: lamp, BuyerKey: "key-1"}})
	l.sale(ring(3))
	first := l.buy("ann", 1)
	second := l.buy("bob", 1)
	inLamp := l.record(sale.Record{Time: l.time, Product: "lamp", Body: sale.Buy{Sale: lampSale, Buyer: "ann", Quantity: 2}})
	l.tick()
	l.time++
	third := l.buy("cid", 1)
	l.tick()
	l.time += 20_000
	fourth := l.buy("dee", 2)
	l.wants(
		fmt.Sprintf("request %d expired", inLamp),
		fmt.Sprintf("request %d expired", first),
		fmt.Sprintf("request %d expired", second),
		fmt.Sprintf("request %d expired", third),
		fmt.Sprintf("request %d held", fourth),
	)
	for i, d := range l.decisions {
		if d.Time != l.time || d.Cause != fourth || d.Index != i {
			t.Errorf("decision %d is (%d, %d) at %d", i, d.Cause, d.Index, d.Time)
		}
	}
}

func TestTickBeyondItselfIsMalformed(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.sale(ring(1))
	l.buy("ann", 1)
	for _, committed := range []sale.Offset{-1, l.state.Next() + 2, 1 << 62} {
		at := l.do(sale.Tick{Committed: committed})
		l.wants(fmt.Sprintf("request %d rejected malformed", at))
	}
	at := l.do(sale.Tick{Committed: l.state.Next()})
	l.wants(fmt.Sprintf("start below %d at %d", at, l.time))
}

// TestStartsStayShort: thousands of holds that come and go leave few starts.
func TestStartsStayShort(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	s := ring(100)
	s.HoldSeconds = 2
	l.sale(s)
	for i := range 5_000 {
		l.buy(sale.Buyer(fmt.Sprintf("buyer-%d", i)), 1)
		l.time += 100
		l.tick()
		if i%500 != 0 {
			continue
		}
		if starts := len(l.state.Snapshot().Starts); starts > 21 {
			t.Fatalf("%d starts after %d holds of 2 s, begun 100 ms apart", starts, i)
		}
	}
	l.time += 2_000
	l.do(sale.Tick{})
	if starts := l.state.Snapshot().Starts; len(starts) != 0 {
		t.Fatalf("%d starts from which nothing runs", len(starts))
	}
	if got := l.available(); got != 100 {
		t.Fatalf("%d of 100 available", got)
	}
}

func TestApplyTakesOnlyTheNext(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.sale(ring(1))
	before := l.state.Snapshot()
	var changes sale.Changes
	for _, r := range []sale.Record{
		{Offset: 0, Body: sale.Tick{}}, {Offset: 1, Body: sale.Tick{}}, {Offset: 3, Body: sale.Tick{}}, {Offset: -1, Body: sale.Tick{}},
	} {
		r.Time = saletest.Epoch + 1_000_000
		if err := l.state.Apply(r, &changes); !errors.Is(err, sale.ErrNotNext) {
			t.Errorf("record %d after 1: %v", r.Offset, err)
		}
	}
	for _, version := range []int{sale.NewestSchema + 1, 1 << 30} {
		r := sale.Record{Offset: 2, Time: saletest.Epoch + 1_000_000, Body: sale.Schema{Version: version}}
		if err := l.state.Apply(r, &changes); !errors.Is(err, sale.ErrSchemaTooNew) {
			t.Errorf("schema %d: %v", version, err)
		}
	}
	if diff := difference(before, l.state.Snapshot()); diff != "" || len(changes.Decisions) != 0 || len(changes.Sales()) != 0 {
		t.Errorf("a refused record changed the state:\n%s", diff)
	}
}

// TestResetOfAnEarlierRun: a batch that is reset while the next is being made does
// not make the next name a sale twice.
func TestResetOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	p := sale.New()
	var earlier, later sale.Changes
	s := sale.Create{Rules: sale.FirstRules, Settings: ring(5), BuyerKey: "key-1"}
	for i, step := range []struct {
		body sale.Body
		into *sale.Changes
	}{
		{sale.Schema{Version: 1}, &earlier}, {s, &earlier},
		{sale.Buy{Sale: 1, Buyer: "ann", Quantity: 1}, &later}, {sale.Buy{Sale: 1, Buyer: "bob", Quantity: 1}, &later},
	} {
		if i == 3 {
			earlier.Reset()
		}
		if err := p.Apply(sale.Record{Offset: sale.Offset(i), Product: "ring", Body: step.body}, step.into); err != nil {
			t.Fatal(err)
		}
	}
	if got := later.Sales(); len(got) != 1 || got[0].Held != 2 {
		t.Fatalf("the later run changed %+v", got)
	}
}

// TestOnlyHoldsEnd: a request that is not held has no end, whatever runs from
// the same start.
func TestOnlyHoldsEnd(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	l.sale(waiting(2))
	confirmed := l.buy("ann", 1)
	held := l.buy("bob", 1)
	l.buy("cid", 1)
	l.tick()
	l.do(sale.Confirm{Request: confirmed, PaymentReference: "pay-1"})
	snapshot := l.state.Snapshot()
	sales := salesByID(snapshot)
	for i := range snapshot.Requests {
		r := &snapshot.Requests[i]
		if end, ok := endOf(sales, snapshot.Starts, r); ok != (r.Offset == held) || ok && end != l.time+10_000 {
			t.Errorf("request %d, %s, ends at %d, %t", r.Offset, r.State, end, ok)
		}
	}
}
