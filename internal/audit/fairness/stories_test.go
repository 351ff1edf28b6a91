package fairness

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// What random logs seldom have.

// TestOrderQuantityRaised: a record that raises the quantity may first give
// what fell due before it, by the quantity that was.
func TestOrderQuantityRaised(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyWaitlist, WaitlistCapacity: 10})
	s.buys(of, 2)
	s.add("", sale.Tick{Committed: 4})
	s.buy(of, "two", 2) // 5 waits
	s.buy(of, "one", 1) // 6 waits
	s.add("ring", sale.Confirm{Request: 2, PaymentReference: "pay-1"})
	s.after(10_000).add("ring", sale.Update{Sale: of, Version: 1, Change: sale.Change{Quantity: new(int64(3))}}) // first 3 expires, and 6 passes 5
	if order := orderOf(t, s, nil); order.Inversions != 0 || order.PassedOver != 1 || order.Grants != 3 {
		t.Errorf("%+v", order)
	}
}

// TestOrderRefusedAfterPause: whom a pause kept and its end refused waits no
// more.
func TestOrderRefusedAfterPause(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 5, Policy: sale.PolicyWaitlist, WaitlistCapacity: 10})
	s.add("ring", sale.Pause{Sale: of})
	s.buy(of, "two", 2)
	s.buy(of, "one", 1)
	s.add("ring", sale.Update{Sale: of, Version: 1, Change: sale.Change{MaxQuantityPerRequest: new(int64(1))}})
	s.add("ring", sale.Resume{Sale: of})
	if order := orderOf(t, s, nil); order.Inversions != 0 || order.Grants != 1 {
		t.Errorf("%+v", order)
	}
}

// TestOrderForgets: of those who were told sold_out, only who asked for less
// than all before is kept.
func TestOrderForgets(t *testing.T) {
	t.Parallel()
	var o order
	for offset, quantity := range []int64{3, 3, 4, 2, 2, 3} {
		o.refuse(sale.Offset(offset+10), quantity)
	}
	o.refuse(9, 2)
	if diff := cmp.Diff([]refusal{{2, 9}}, o.soldOut, cmp.AllowUnexported(refusal{})); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	o.refuse(20, 1)
	o.refuse(21, 1)
	if diff := cmp.Diff([]refusal{{2, 9}, {1, 20}}, o.soldOut, cmp.AllowUnexported(refusal{})); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// TestPausesHolds: a hold counts once, however many pauses move its end; a
// pause of no length moves none.
func TestPausesHolds(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyQueue})
	s.buys(of, 1)
	s.add("", sale.Tick{Committed: 3})
	for _, lasts := range []sale.Time{50, 0, 70} {
		s.after(100).add("ring", sale.Pause{Sale: of})
		s.after(lasts).add("ring", sale.Resume{Sale: of})
	}
	pauses := judged(stepsOf(t, s.records), Query{})[of].Pauses
	var moved []int64
	for _, p := range pauses.Listed {
		moved = append(moved, p.HoldsMoved)
	}
	if diff := cmp.Diff([]int64{1, 0, 1}, moved); diff != "" || pauses.HoldsMoved != 1 || pauses.Total != 120 {
		t.Errorf("%+v", pauses)
	}
}

// TestTimesOfOddClocks: no two clocks are so far apart that it cannot be
// told.
func TestTimesOfOddClocks(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyQueue})
	s.buys(of, 2)
	s.records[2].Time = math.MinInt64
	s.records[3].Time = math.MaxInt64
	click := judged(stepsOf(t, s.records), Query{})[of].Waits.ClickToLog
	if click.Negative != 1 || click.Count != 1 || click.Max != math.MaxInt64-int64(storyBegins)+5 {
		t.Errorf("%+v", click)
	}
}

// TestRemembersTheLive: what is over is forgotten.
func TestRemembersTheLive(t *testing.T) {
	t.Parallel()
	p := newPartition(0, Query{})
	for _, s := range stepsOf(t, eventful(t, "a break")) {
		p.see(audit.Step{Record: &s.record, Decisions: s.decisions}, s.now, s.changed)
		live := 0
		for _, of := range p.sales {
			for state, count := range of.outcomes {
				if state.Live() {
					live += int(count.Requests)
				}
			}
		}
		if len(p.live) != live {
			t.Fatalf("record %d: %d requests are remembered, %d are live", s.record.Offset, len(p.live), live)
		}
	}
}

// TestFillSteps: the steps double as soon as there would be one too many.
func TestFillSteps(t *testing.T) {
	t.Parallel()
	var f fill
	for taken, after := range []sale.Time{0, 120, 121, 239} {
		f.see(1000+after, 1000, Point{Quantity: 9, Taken: int64(taken)})
	}
	if f.step != 1 || len(f.points) != 4 {
		t.Fatalf("steps of %d ms: %+v", f.step, f.points)
	}
	f.see(1240, 1000, Point{Quantity: 9, Taken: 4})
	want := []Point{{0, 9, 0, 0}, {121, 9, 0, 2}, {239, 9, 0, 3}, {240, 9, 0, 4}}
	if diff := cmp.Diff(want, f.points); diff != "" || f.step != 2 {
		t.Errorf("steps of %d ms (-want +got):\n%s", f.step, diff)
	}
}
