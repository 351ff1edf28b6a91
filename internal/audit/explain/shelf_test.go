package explain

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestShelfGivesWhatWasFreeFirst shows where units are said to come from: the
// first ones that were free are given first, the last ones are taken off the
// sale.
func TestShelfGivesWhatWasFreeFirst(t *testing.T) {
	t.Parallel()
	h := &shelf{available: 1, wanted: 2}
	h.watch(10, 1)
	h.put(Freed{Offset: 2, How: FreedReleased, Request: 20, Units: 1})
	h.put(Freed{Offset: 3, How: FreedExpired, Request: 30, Units: 2})
	h.put(Freed{Offset: 4, How: FreedReturned, Request: 40, Units: 1})
	h.withdraw(2, LastUnit{Offset: 5})
	got := h.apply(&sale.Decision{Cause: 6, Kind: sale.OfRequest, Request: sale.Request{
		Offset: 50, Quantity: 3, State: sale.Held, Cause: 6, HeldSince: 6,
	}})
	want := []Freed{
		{Offset: 1, Time: 10, How: FreedBefore, Units: 1},
		{Offset: 2, How: FreedReleased, Request: 20, Units: 1},
		{Offset: 3, How: FreedExpired, Request: 30, Units: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" || h.available != 0 || len(h.lots) != 0 {
		t.Errorf("%d left, from (-want +got):\n%s", h.available, diff)
	}
	if h.last == nil || h.last.Offset != 6 || h.last.Request != 50 || h.last.Available != 0 {
		t.Errorf("the last unit went with %+v", h.last)
	}
}
