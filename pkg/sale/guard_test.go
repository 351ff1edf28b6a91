package sale

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// opened gives a partition with a sale of one unit at offset 1.
func opened(t *testing.T) *Partition {
	t.Helper()
	p := New()
	settings := Settings{Quantity: 1, HoldSeconds: 1, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: PolicyQueue}
	for _, body := range []Body{Schema{Version: 1}, Create{Rules: FirstRules, Settings: settings, BuyerKey: "key-1"}} {
		if err := p.Apply(Record{Offset: p.next, Product: "ring", Body: body}, new(Changes)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// TestBrokenRules breaks the state from within, as an error in the core would:
// the record that finds it is an error, not a decision to be committed.
func TestBrokenRules(t *testing.T) {
	t.Parallel()
	p := opened(t)
	p.sales[1].Held = 1 // a unit that is held twice
	if err := p.Apply(Record{Offset: 2, Product: "ring", Body: Buy{Sale: 1, Buyer: "ann", Quantity: 1}}, new(Changes)); !errors.Is(err, ErrBroken) {
		t.Errorf("units that do not add up: %v", err)
	}

	for from := range map[State]bool{Confirmed: true, Expired: true, SoldOut: true, Rejected: true, Released: true, Returned: true} {
		a := application{Partition: opened(t), changes: new(Changes)}
		r := &Request{Offset: 2, State: from}
		a.move(r, Held, "")
		if a.err == nil || r.State != from || len(a.changes.Decisions) != 0 {
			t.Errorf("a request went from %s to held: %v", from, a.err)
		}
	}
}

// TestBuyersAreForgotten: those who have nothing any more take no memory.
func TestBuyersAreForgotten(t *testing.T) {
	t.Parallel()
	p := opened(t)
	for i := range 100 {
		at, buy := p.next, Buy{Sale: 1, Buyer: Buyer(fmt.Sprint("buyer-", i)), Quantity: 1}
		ends := []Body{buy, Release{Request: at, By: ByShopper}}
		if i%2 == 1 {
			ends = []Body{buy, Confirm{Request: at, PaymentReference: "pay-1"}, Schema{Version: 2}, Return{Request: at}}
		}
		for _, body := range ends {
			if err := p.Apply(Record{Offset: p.next, Product: "ring", Body: body}, new(Changes)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if known := len(p.sales[1].buyers); known != 0 {
		t.Errorf("%d buyers are remembered", known)
	}
}

// TestEndedSalesForget: a closed sale keeps nobody in mind who gets nothing.
func TestEndedSalesForget(t *testing.T) {
	t.Parallel()
	p := New()
	settings := Settings{
		Quantity: 1, HoldSeconds: 1, MaxHoldSeconds: 1, PerBuyerLimit: 1, MaxQuantityPerRequest: 1,
		Policy: PolicyWaitlist, WaitlistCapacity: 5, MaxActiveHolds: 1,
	}
	for _, body := range []Body{
		Schema{Version: 2}, Create{Rules: 2, Settings: settings, BuyerKey: "key-1"},
		Buy{Sale: 1, Buyer: "ann", Quantity: 1}, Buy{Sale: 1, Buyer: "bob", Quantity: 1}, Buy{Sale: 1, Buyer: "cid", Quantity: 1},
		Pause{Sale: 1}, Buy{Sale: 1, Buyer: "dee", Quantity: 1}, Buy{Sale: 1, Buyer: "eve", Quantity: 1},
		Release{Request: 2, By: ByShopper}, Close{Sale: 1},
	} {
		if err := p.Apply(Record{Offset: p.next, Product: "ring", Body: body}, new(Changes)); err != nil {
			t.Fatal(err)
		}
	}
	s := p.sales[1]
	if len(s.waitlist)+len(s.parked)+len(s.turns)+int(s.holding)+len(s.buyers)+len(p.requests)+len(p.paced)+len(p.unstarted) != 0 {
		t.Errorf("%d wait, %d are parked, %d have turns, %d hold, %d buyers, %d requests, %d paced sales, %d unstarted holds",
			len(s.waitlist), len(s.parked), len(s.turns), s.holding, len(s.buyers), len(p.requests), len(p.paced), len(p.unstarted))
	}
}

// TestRetiredSalesTakeNoMemory: however many sales there have been, what is
// remembered is of those that have not retired.
func TestRetiredSalesTakeNoMemory(t *testing.T) {
	t.Parallel()
	p := New()
	settings := Settings{
		Quantity: 3, HoldSeconds: 1, MaxHoldSeconds: 1, PerBuyerLimit: 1, MaxQuantityPerRequest: 1,
		Policy: PolicyWaitlist, WaitlistCapacity: 5,
	}
	now := Time(0)
	do := func(product Product, body Body) Offset {
		t.Helper()
		at := p.next
		if err := p.Apply(Record{Offset: at, Time: now, Product: product, Body: body}, new(Changes)); err != nil {
			t.Fatal(err)
		}
		return at
	}
	do("", Schema{Version: 3})
	stays := do("lamp", Create{Rules: 2, Settings: settings, BuyerKey: "key-1"})
	kept := do("lamp", Buy{Sale: stays, Buyer: "ann", Quantity: 1})
	do("lamp", Confirm{Request: kept, PaymentReference: "pay-1"})
	for range 10 {
		of := do("ring", Create{Rules: 2, Settings: settings, BuyerKey: "key-1"})
		var requests []Offset
		for i := range 8 { // three hold, five wait
			requests = append(requests, do("ring", Buy{Sale: of, Buyer: Buyer(fmt.Sprint("buyer-", i)), Quantity: 1}))
		}
		do("ring", Buy{Sale: of, Buyer: "buyer-0", Quantity: 1}) // a duplicate
		do("ring", Confirm{Request: requests[0], PaymentReference: "pay-1"})
		do("ring", Confirm{Request: requests[1], PaymentReference: "pay-1"})
		do("ring", Return{Request: requests[1]})
		do("ring", Release{Request: requests[3], By: ByShopper})
		do("ring", Pause{Sale: of})
		do("ring", Buy{Sale: of, Buyer: "dee", Quantity: 1})
		do("ring", Close{Sale: of})
		do("", Tick{Committed: requests[3]}) // begins one hold; the other never begins
		now += retireAfter
		do("ring", Release{Request: requests[4], By: ByMerchant})

		s := p.sales[of]
		if s.RetiredAt != now {
			t.Fatalf("sale %d is %+v", of, s.Sale)
		}
		if len(s.buyers)+len(s.kept)+int(s.holding)+len(s.waitlist)+len(s.parked)+len(s.turns) != 0 {
			t.Errorf("the sale has %d buyers, %d requests, %d holds, %d that wait, %d parked, %d turns",
				len(s.buyers), len(s.kept), s.holding, len(s.waitlist), len(s.parked), len(s.turns))
		}
		if len(p.requests) != 1 || p.requests[kept] == nil || len(p.ended)+len(p.first)+len(p.paced)+len(p.starts)+len(p.unstarted)+len(p.due) != 0 {
			t.Fatalf("%d requests, %d ended, %d duplicates, %d paced sales, %d starts, %d unstarted holds, %d due",
				len(p.requests), len(p.ended), len(p.first), len(p.paced), len(p.starts), len(p.unstarted), len(p.due))
		}
	}
}

// TestRetirementThatDoesNotStand: what was noted of a sale that does not retire
// then does nothing.
func TestRetirementThatDoesNotStand(t *testing.T) {
	t.Parallel()
	p := opened(t)
	if err := p.Apply(Record{Offset: 2, Body: Schema{Version: 3}}, new(Changes)); err != nil {
		t.Fatal(err)
	}
	p.due.add(due{kind: dueRetirement, offset: 1})
	if at, ok := p.Due(); ok {
		t.Errorf("an open sale retires at %d", at)
	}
	p.due.add(due{kind: dueRetirement, offset: 1})
	if err := p.Apply(Record{Offset: 3, Body: Tick{}}, new(Changes)); err != nil {
		t.Fatal(err)
	}
	if p.sales[1].retired() {
		t.Error("an open sale has retired")
	}
}

// TestLineIsSorted: whatever the order of coming, a line is in the order of the
// log, and turns in that of granting.
func TestLineIsSorted(t *testing.T) {
	t.Parallel()
	var l line
	var of turns
	for _, offset := range []Offset{5, 1, 4, 2, 3} {
		l.add(&Request{Offset: offset})
		of.add(&Request{Offset: offset, Granted: 10 - offset/2})
	}
	l.remove(&Request{Offset: 9})
	l.remove(&Request{Offset: 1})
	l.remove(&Request{Offset: 4})
	of.remove(&Request{Offset: 4, Granted: 9})
	of.remove(&Request{Offset: 5, Granted: 8})
	var in, turn []Offset
	for _, r := range l {
		in = append(in, r.Offset)
	}
	for _, r := range of {
		turn = append(turn, r.Offset)
	}
	if want := []Offset{2, 3, 5}; !slices.Equal(in, want) {
		t.Errorf("the line is %v, want %v", in, want)
	}
	if want := []Offset{4, 2, 3, 1}; !slices.Equal(turn, want) {
		t.Errorf("the turns are %v, want %v", turn, want)
	}
}
