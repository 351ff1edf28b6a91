package lab

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantiles(t *testing.T) {
	t.Parallel()
	began := time.Now()
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= max(a, b)/500 })
	for name, c := range map[string]struct {
		took []time.Duration
		want Quantiles
	}{
		"none":          {nil, Quantiles{}},
		"one":           {[]time.Duration{20 * time.Millisecond}, Quantiles{P50: 20, P99: 20, Max: 20}},
		"below a clock": {[]time.Duration{-time.Second}, Quantiles{P50: 0.001, P99: 0.001, Max: 0.001}},
		"for ever":      {[]time.Duration{time.Hour}, Quantiles{P50: 600_000, P99: 600_000, Max: 600_000}},
		"1 to 1000 ms":  {upTo(1000), Quantiles{P50: 500, P99: 990, Max: 1000}},
	} {
		tally := newTally(len(c.took))
		for _, took := range c.took {
			tally.noteAccepted(began, began.Add(took))
			tally.noteOutcome(began, began.Add(2*took))
		}
		total := tally.total(began)
		if diff := cmp.Diff(c.want, total.AcceptMS, near); diff != "" {
			t.Errorf("%s: click to ticket (-want +got):\n%s", name, diff)
		}
		if total.Accepted != len(c.took) {
			t.Errorf("%s: %d accepted, want %d", name, total.Accepted, len(c.took))
		}
	}
}

func upTo(milliseconds int) []time.Duration {
	all := make([]time.Duration, milliseconds)
	for i := range all {
		all[i] = time.Duration(i+1) * time.Millisecond
	}
	return all
}
