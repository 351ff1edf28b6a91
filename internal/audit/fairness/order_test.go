package fairness

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// orderOf gives the order of the sale that a story's record 1 makes.
func orderOf(t *testing.T, s *story, doctor func(steps []step)) Order {
	t.Helper()
	steps := stepsOf(t, s.records)
	if doctor != nil {
		doctor(steps)
	}
	return judged(steps, Query{})[1].Order
}

// crowdFor2 is two units, four buyers of one, and two units that come back.
func crowdFor2(t *testing.T) *story {
	s := newStory(t)
	s.buys(s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyWaitlist, WaitlistCapacity: 10}), 4) // 2 to 5
	s.after(700).add("ring", sale.Release{Request: 2, By: sale.ByShopper})                             // 6: to 4
	s.after(300).add("ring", sale.Release{Request: 3, By: sale.ByShopper})                             // 7: to 5
	return s
}

// rename lets one request have in a step what another had.
func rename(steps []step, step int, from, to sale.Offset) {
	for i := range steps[step].decisions {
		if r := &steps[step].decisions[i].Request; r.Offset == from {
			r.Offset = to
		}
	}
}

// TestOrderUnfairDecisions: decisions that were not made in order are found
// and named.
func TestOrderUnfairDecisions(t *testing.T) {
	t.Parallel()
	at := func(ms sale.Time) event.Instant { return event.Instant(storyBegins + ms) }
	for name, c := range map[string]struct {
		story  *story
		doctor func(steps []step)
		want   Order
	}{
		"as they were": {crowdFor2(t), nil, Order{Grants: 4, Listed: []Inversion{}}},
		"two grants swapped": {crowdFor2(t), func(steps []step) {
			rename(steps, 6, 4, 5)
			rename(steps, 7, 5, 4)
		}, Order{Grants: 4, Inversions: 1, Listed: []Inversion{
			{Cause: 6, Index: 1, Time: at(700), Request: 5, Quantity: 1, Earlier: 4, EarlierQuantity: 1, PassedOver: 1},
		}}},
		"a waiter skipped": {crowdFor2(t), func(steps []step) {
			rename(steps, 6, 4, 5)
			steps[7].decisions = nil
		}, Order{Grants: 3, Inversions: 1, Listed: []Inversion{
			{Cause: 6, Index: 1, Time: at(700), Request: 5, Quantity: 1, Earlier: 4, EarlierQuantity: 1, PassedOver: 1},
		}}},
		"a newcomer preferred": {crowdFor2(t), func(steps []step) {
			steps[5].decisions[0].Request.State = sale.Held
		}, Order{Grants: 4, Inversions: 1, Listed: []Inversion{
			{Cause: 5, Index: 0, Time: at(0), Request: 5, Quantity: 1, Earlier: 4, EarlierQuantity: 1, PassedOver: 1},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, orderOf(t, c.story, c.doctor)); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOrderWhatIsKept: who waits for two, of which one is free and one may
// come back, is not to be passed by who wants one.
func TestOrderWhatIsKept(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyWaitlist, WaitlistCapacity: 10})
	s.buys(of, 2)                                               // 2 and 3 hold
	s.buy(of, "two", 2)                                         // 4 waits
	s.buy(of, "one", 1)                                         // 5 waits
	s.add("ring", sale.Release{Request: 2, By: sale.ByShopper}) // 6: one is kept for 4
	order := orderOf(t, s, func(steps []step) {
		given := steps[3].decisions[0] // a hold
		given.Cause, given.Index, given.Request.Offset, given.Request.HeldSince = 6, 2, 5, 6
		steps[6].decisions = append(steps[6].decisions, given)
	})
	want := Inversion{Cause: 6, Index: 2, Time: event.Instant(storyBegins), Request: 5, Quantity: 1, Earlier: 4, EarlierQuantity: 2, PassedOver: 1}
	if diff := cmp.Diff([]Inversion{want}, order.Listed); diff != "" || order.PassedOver != 0 {
		t.Errorf("%d passed over, inversions (-want +got):\n%s", order.PassedOver, diff)
	}
}

// TestOrderPassedOver: who wants more than can come back is passed, which
// is counted once and is no inversion.
func TestOrderPassedOver(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyWaitlist, WaitlistCapacity: 10})
	s.buys(of, 2)
	s.buy(of, "two", 2)                                                // 4 waits
	s.buy(of, "one", 1)                                                // 5 waits
	s.add("ring", sale.Confirm{Request: 2, PaymentReference: "pay-1"}) // now 2 cannot come back
	s.add("ring", sale.Release{Request: 3, By: sale.ByShopper})        // to 5
	s.add("ring", sale.Release{Request: 5, By: sale.ByShopper})        // free
	s.buy(of, "three", 1)                                              // 9 passes 4 too
	if diff := cmp.Diff(Order{Grants: 4, PassedOver: 1, Listed: []Inversion{}}, orderOf(t, s, nil)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestOrderAfterSoldOut: without a waitlist, a unit that comes back goes to
// whoever asks next. That is shown, and no inversion.
func TestOrderAfterSoldOut(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyQueue})
	s.buys(of, 1)                                               // 2 holds
	s.buy(of, "two", 2)                                         // 3 is told sold_out
	s.buy(of, "one", 1)                                         // 4 holds, after one who wanted more
	s.buy(of, "late", 1)                                        // 5 is told sold_out
	s.add("ring", sale.Release{Request: 2, By: sale.ByShopper}) // 6
	s.buy(of, "lucky", 1)                                       // 7 holds
	want := Order{Grants: 3, AfterSoldOut: 2, AfterSoldOutForNoMore: 1, Listed: []Inversion{}}
	if diff := cmp.Diff(want, orderOf(t, s, nil)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestOrderListIsBounded: all inversions are counted, 100 are listed.
func TestOrderListIsBounded(t *testing.T) {
	t.Parallel()
	const many = 130
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: many, Policy: sale.PolicyWaitlist, WaitlistCapacity: 10})
	s.buys(of, many+1)
	order := orderOf(t, s, func(steps []step) {
		steps[2].decisions[0].Request.State = sale.Waitlisted
	})
	if order.Inversions != many-1 || len(order.Listed) != 100 || order.Listed[99].Cause != 102 {
		t.Errorf("%d inversions, %d listed: %+v", order.Inversions, len(order.Listed), order.Listed)
	}
}
