package fairness

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// withoutActions: the naive report has none; TestActions sees to them.
var withoutActions = cmpopts.IgnoreFields(SaleReport{}, "Actions", "Unlisted")

// small: so few units that the naive report can follow each.
func small(s SaleReport) bool { return max(s.Created.Quantity, s.Settings.Quantity) <= 1000 }

// checkNumbers compares all numbers with those that are computed slowly.
func checkNumbers(t *rapid.T, steps []step) map[sale.Offset]SaleReport {
	sales := judged(steps, Query{})
	for _, id := range slices.Sorted(maps.Keys(sales)) {
		if !small(sales[id]) {
			continue
		}
		if diff := cmp.Diff(naively(steps, id).report(), sales[id], withoutActions); diff != "" {
			t.Fatalf("sale %d (-naive +report):\n%s", id, diff)
		}
	}
	return sales
}

// TestRandomLogs: whatever is in the log, what the core decides has no
// inversion, and every number is the one that its definition gives.
func TestRandomLogs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for id, s := range checkNumbers(t, stepsOf(t, saletest.Log(t))) {
			if s.Order.Inversions != 0 {
				t.Fatalf("sale %d: %+v", id, s.Order)
			}
		}
	})
}

// swap is a grant that a test takes from one who waits and gives to a later
// one.
type swap struct {
	step, index  int // of the decision
	from, to, of sale.Offset
}

// swaps gives all that could be done to steps: the two ask for as much.
func swaps(steps []step) []swap {
	var found []swap
	waiting := map[sale.Offset]sale.Request{}
	for i, s := range steps {
		for j, d := range s.decisions {
			if d.Kind != sale.OfRequest {
				continue
			}
			r := d.Request
			before, waits := waiting[r.Offset]
			if waits && (r.State == sale.Held || r.State == sale.Reserved) {
				for _, offset := range slices.Sorted(maps.Keys(waiting)) {
					later := waiting[offset]
					if offset > r.Offset && later.Sale == r.Sale && later.Quantity == before.Quantity {
						found = append(found, swap{i, j, r.Offset, offset, r.Sale})
					}
				}
			}
			delete(waiting, r.Offset)
			if r.State == sale.Waitlisted || r.State == sale.Queued {
				waiting[r.Offset] = r
			}
		}
	}
	return found
}

// do lets the two change their fates from the grant on.
func (s swap) do(steps []step) {
	for i := s.step; i < len(steps); i++ {
		for j := range steps[i].decisions {
			d := &steps[i].decisions[j]
			if d.Kind != sale.OfRequest || i == s.step && j < s.index {
				continue
			}
			if d.Request.Offset == s.from {
				d.Request.Offset = s.to
			} else if d.Request.Offset == s.to {
				d.Request.Offset = s.from
			}
		}
	}
}

// TestSwappedGrants: a grant that goes to a later one of two who wait is
// found and named, however the log goes on.
func TestSwappedGrants(t *testing.T) {
	t.Parallel()
	swapped := 0
	rapid.Check(t, func(t *rapid.T) {
		steps := stepsOf(t, saletest.Log(t))
		could := swaps(steps)
		if len(could) == 0 {
			return
		}
		s := could[rapid.IntRange(0, len(could)-1).Draw(t, "swap")]
		s.do(steps)
		found := checkNumbers(t, steps)[s.of].Order
		cause := steps[s.step].record.Offset
		i := slices.IndexFunc(found.Listed, func(i Inversion) bool { return i.Cause == cause && i.Index == s.index })
		if i < 0 {
			t.Fatalf("the grant of record %d to %d instead of %d is not found: %+v", cause, s.to, s.from, found)
		}
		if found.Listed[i].Request != s.to || found.Listed[i].Earlier > s.from {
			t.Fatalf("the grant of record %d to %d instead of %d is found as %+v", cause, s.to, s.from, found.Listed[i])
		}
		swapped++
	})
	if !t.Failed() && swapped == 0 {
		t.Error("no log had a grant to swap")
	}
}
