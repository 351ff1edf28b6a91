package sale_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestNobodyIsPassedOver looks at the decisions alone. Who gets units asked for
// no more than was left; and everybody who came before, is live and has none
// waits for more than could be had even if all holds came back. Whoever gets
// none is told why.
func TestNobodyIsPassedOver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		watch(t, func(w *watched) {
			for _, d := range w.decisions {
				if w.given(d) {
					checkTurn(w, d)
				}
				if d.Kind == sale.OfRequest && d.Request.State.Final() && d.Request.State != sale.Expired && d.Request.State != sale.Returned && d.Request.Reason == "" {
					t.Fatalf("request %d is %s and not told why", d.Request.Offset, d.Request.State)
				}
				if d.Kind == sale.OfRequest && d.Request.Reason == sale.ReasonSoldOut || d.Kind == sale.OfRequest && d.Request.State == sale.Waitlisted {
					checkLeftOut(w, d)
				}
				w.take(d)
			}
		})
	})
}

func checkTurn(w *watched, d sale.Decision) {
	of := d.Request.Sale
	taken, sold := w.units(of, sale.Held, sale.Reserved, sale.Confirmed), w.units(of, sale.Confirmed)
	fits, fair := false, false
	for _, quantity := range w.quantities(of) {
		fits = fits || d.Request.Quantity <= quantity-taken
		passed := false
		for _, other := range w.in(of, sale.Waitlisted) {
			passed = passed || other.Offset < d.Request.Offset && other.Quantity <= quantity-sold
		}
		fair = fair || !passed
	}
	if !fits {
		w.t.Fatalf("record %d: request %d for %d got more than was left", w.record.Offset, d.Request.Offset, d.Request.Quantity)
	}
	if !fair {
		w.t.Fatalf("record %d: request %d was preferred to one before it", w.record.Offset, d.Request.Offset)
	}
	for _, other := range w.in(of, sale.Queued) {
		if other.Offset < d.Request.Offset {
			w.t.Fatalf("record %d: request %d was preferred to %d, which a pause had kept", w.record.Offset, d.Request.Offset, other.Offset)
		}
	}
}

// checkLeftOut: who is told that nothing is left, or to wait, asked for more
// than was left or came after somebody whom the rest is kept for; and is told
// to wait wherever the list had a place and enough could come back.
func checkLeftOut(w *watched, d sale.Decision) {
	of, quantity := w.sales[d.Request.Sale], w.quantities(d.Request.Sale)
	if len(quantity) > 1 || d.Request.Reason == sale.ReasonClosed {
		return
	}
	taken, sold := w.units(of.ID, sale.Held, sale.Reserved, sale.Confirmed), w.units(of.ID, sale.Confirmed)
	waiting := w.in(of.ID, sale.Waitlisted)
	kept := slices.ContainsFunc(waiting, func(r sale.Request) bool { return r.Quantity <= quantity[0]-sold })
	if d.Request.Quantity <= quantity[0]-taken && !kept {
		w.t.Fatalf("record %d: request %d for %d of %d left is %s", w.record.Offset, d.Request.Offset, d.Request.Quantity, quantity[0]-taken, d.Request.State)
	}
	place := of.Policy == sale.PolicyWaitlist && int64(len(waiting)) < of.WaitlistCapacity && d.Request.Quantity <= quantity[0]-sold
	if place != (d.Request.State == sale.Waitlisted) {
		w.t.Fatalf("record %d: request %d is %s, with %d of %d waiting and %d of %d sold", w.record.Offset, d.Request.Offset, d.Request.State, len(waiting), of.WaitlistCapacity, sold, quantity[0])
	}
}

// TestNoUnitLiesIdle: after every record, in an open sale, nobody waits for
// what is left, unless it is kept for somebody who waits for longer and for
// more, and could yet be served.
func TestNoUnitLiesIdle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		watch(t, func(w *watched) {
			for _, d := range w.decisions {
				w.take(d)
			}
			for _, s := range w.sales {
				if s.Stage != sale.StageOpen {
					continue
				}
				for _, r := range w.in(s.ID, sale.Waitlisted) {
					if r.Quantity <= s.Available {
						t.Fatalf("record %d: request %d waits for %d of %d left in sale %d", w.record.Offset, r.Offset, r.Quantity, s.Available, s.ID)
					}
					if r.Quantity <= s.Quantity-s.Confirmed {
						break // what is left is kept for it
					}
				}
			}
		})
	})
}

// TestPlacesNeverRise: a place in the waitlist, and a turn for a checkout
// window, as they are counted from rows, never get worse.
func TestPlacesNeverRise(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before := map[sale.State]map[sale.Offset]int{}
		watch(t, func(w *watched) {
			for _, d := range w.decisions {
				w.take(d)
			}
			for state, turn := range map[sale.State]func(r sale.Request) [2]sale.Offset{
				sale.Waitlisted: func(r sale.Request) [2]sale.Offset { return [2]sale.Offset{r.Offset} },
				sale.Reserved:   func(r sale.Request) [2]sale.Offset { return [2]sale.Offset{r.Granted, r.Offset} },
			} {
				places := map[sale.Offset]int{}
				for _, s := range w.sales {
					in := w.in(s.ID, state)
					slices.SortFunc(in, func(a, b sale.Request) int {
						first, second := turn(a), turn(b)
						return slices.Compare(first[:], second[:])
					})
					for place, r := range in {
						if was, had := before[state][r.Offset]; had && place > was {
							t.Fatalf("record %d: the place of request %d (%s) rose from %d to %d", w.record.Offset, r.Offset, state, was, place)
						}
						places[r.Offset] = place
					}
				}
				before[state] = places
			}
		})
	})
}

// TestDoorSaysWhatTheCoreWould: what a sale is said to refuse is what a buyer
// with nothing would be told, if the request were the next record.
func TestDoorSaysWhatTheCoreWould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		watch(t, func(w *watched) {
			of, ok := w.sales[w.record.Offset]
			if b, isBuy := w.record.Body.(sale.Buy); isBuy {
				of, ok = w.sales[b.Sale]
			}
			if !ok || of.Product != w.record.Product {
				return
			}
			for quantity := range of.MaxQuantityPerRequest {
				checkDoor(w, of, quantity+1)
			}
		})
	})
}

func checkDoor(w *watched, of sale.Sale, quantity int64) {
	reason, final := of.Refuses(quantity)
	p, err := sale.Restore(w.state.Snapshot())
	if err != nil {
		w.t.Fatal(err)
	}
	buy := sale.Buy{Sale: of.ID, Buyer: "a-new-one", Quantity: quantity}
	var got sale.Request
	for _, d := range apply(w.t, p, sale.Record{Offset: p.Next(), Time: 0, Product: of.Product, Body: buy}) {
		if d.Request.Offset == p.Next()-1 {
			got = d.Request
		}
	}
	if now := salesByID(p.Snapshot())[of.ID]; now.Stage != of.Stage || got.Reason == sale.ReasonUnknownSale {
		return // it was due to open or to close, or has a successor
	}
	switch {
	case reason != "" && got.Reason != reason:
		w.t.Fatalf("record %d: the door refuses %d as %s, the core says %s %s", w.record.Offset, quantity, reason, got.State, got.Reason)
	case reason == "" && got.State == sale.Rejected:
		w.t.Fatalf("record %d: the door lets %d in, the core says %s %s", w.record.Offset, quantity, got.State, got.Reason)
	case reason == "" && got.State == sale.SoldOut && quantity > of.Available:
		w.t.Fatalf("record %d: the door lets %d of %d in, the core says %s", w.record.Offset, quantity, of.Available, got.State)
	case final != (of.Stage == sale.StageClosed || of.Stage == sale.StageOpen && of.Confirmed == of.Quantity):
		w.t.Fatalf("record %d: final is %t with %d of %d sold in a sale that is %s", w.record.Offset, final, of.Confirmed, of.Quantity, of.Stage)
	}
}
