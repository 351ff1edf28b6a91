package bench

import (
	"context"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/report"
)

// One buyer in so many follows to the outcome, so that outcomes are measured
// and following is not what is.
const followEvery = 50

// curve is latency over offered load.
func curve(of size) scenario {
	return scenario{
		"curve", "latency over offered load",
		"Clicks come at random (Poisson) at a share of what a closed loop reached just before, every one into the log; latency counts from the time at which a click was due. One buyer in 50 follows by long poll.",
		[]arm{{"anteroom", "anteroom, every click in the log", func(ctx context.Context, t *trial) error {
			s, err := t.service(ctx, ServiceConfig{})
			if err != nil {
				return err
			}
			if err := openLine(ctx, s, product); err != nil {
				return err
			}
			g, err := t.generator(ctx)
			if err != nil {
				return err
			}
			phase := clicks{connections: of.crowded, longest: of.loadFor, follow: load.FollowLongPoll}.phase(s.Address())
			phase.FollowEvery = followEvery
			phase.Crowd = "capacity"
			full, err := g.Run(ctx, phase, nil)
			if err != nil {
				return err
			}
			capacity := full.SucceededPerSecond
			t.note("capacity_per_second", capacity)
			for _, share := range of.loads {
				if _, err := drained(ctx, s, product); err != nil {
					return err
				}
				phase.Crowd = fmt.Sprintf("load-%.0f", share*100)
				phase.Arrivals = load.Arrivals{Kind: load.Poisson, Rate: share * capacity, For: of.loadFor}
				seen, err := g.Run(ctx, phase, nil)
				if err != nil {
					return err
				}
				t.curve = append(t.curve, report.CurvePoint{
					Load: share, OfferedPerSecond: float64(seen.Arrivals) / of.loadFor.Seconds(),
					AnsweredPerSecond: seen.AnsweredPerSecond, GoodputPerSecond: seen.SucceededPerSecond,
					ClickP50: seen.AcceptMS.P50, ClickP99: seen.AcceptMS.P99,
					OutcomeP50: seen.OutcomeMS.P50, OutcomeP99: seen.OutcomeMS.P99,
					Shed: float64(seen.Shed) / float64(max(1, seen.Arrivals)),
				})
				t.noteLoad(share, capacity, &seen)
			}
			return nil
		}}},
	}
}

// noteLoad takes down the two points of the curve that something is asked of.
func (t *trial) noteLoad(share, capacity float64, seen *load.Result) {
	switch share {
	case 0.7:
		t.note("click_p50_ms", seen.AnswerMS.P50)
		t.note("click_p99_ms", seen.AnswerMS.P99)
		t.note("outcome_p50_ms", seen.OutcomeMS.P50)
		t.note("outcome_p99_ms", seen.OutcomeMS.P99)
	case 1.2:
		t.note("goodput_at_120_share", seen.SucceededPerSecond/capacity)
	}
	if sum(seen.Errors) > 0 {
		t.broken("%d clicks without an answer at %.0f %% of capacity", sum(seen.Errors), share*100)
	}
}
