package bench

import (
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
)

// TestGoodputIsOfTheTimeOfArrivals: tickets that come when the clicks are over
// tell how long the line was, not how many were let in while more came.
func TestGoodputIsOfTheTimeOfArrivals(t *testing.T) {
	t.Parallel()
	phase := load.Phase{Arrivals: load.Arrivals{Kind: load.Poisson, Rate: 1, For: 200 * time.Millisecond}}
	seen := load.Result{Timeline: []load.TimelinePoint{
		{AtMS: 0, Answered: 9, Succeeded: 3}, {AtMS: 100, Answered: 7, Succeeded: 7}, {AtMS: 200, Answered: 50, Succeeded: 50},
	}}
	if got := goodput(&phase, &seen); got != 50 {
		t.Errorf("10 tickets in 0.2 s are %v a second, want 50", got)
	}
}
