package sale

import (
	"errors"
	"fmt"
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
		at := p.next
		for _, body := range []Body{Buy{Sale: 1, Buyer: Buyer(fmt.Sprint("buyer-", i)), Quantity: 1}, Release{Request: at, By: ByShopper}} {
			if err := p.Apply(Record{Offset: p.next, Product: "ring", Body: body}, new(Changes)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if known := len(p.sales[1].buyers); known != 0 {
		t.Errorf("%d buyers are remembered", known)
	}
}
