package bench

import (
	"context"
	"fmt"
	"time"

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
		"Clicks come at random (Poisson) at a share of what a closed loop reached before, every one into the log; latency counts from the time at which a click was due. One buyer in 50 follows by long poll. " +
			"Beyond the capacity, which is taken anew just before that, they come over as many as " + count(of.crowd) + " connections, as each of a crowd has its own: with few of them the line would form in the generator, where no server can see it.",
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
			capacity, err := capacityOf(ctx, s, g, phase)
			if err != nil {
				return err
			}
			t.note("capacity_per_second", capacity)
			for _, share := range of.loads {
				phase := phase
				if share > 1 {
					// A machine's speed changes within a minute, and what is asked of
					// an overload is a share of what the machine could do then.
					if capacity, err = capacityOf(ctx, s, g, phase); err != nil {
						return err
					}
					t.note("capacity_before_overload_per_second", capacity)
					phase.Connections, phase.Arrivals.For = of.crowd, of.overFor
				}
				phase.Arrivals.Kind, phase.Arrivals.Rate = load.Poisson, share*capacity
				seen, err := through(ctx, s, g, phase)
				if err != nil {
					return err
				}
				t.curve = append(t.curve, pointOf(share, &phase, &seen))
				t.noteLoad(share, capacity, &phase, &seen)
			}
			return nil
		}}},
	}
}

// capacityOf is how many tickets a second a closed loop brings.
func capacityOf(ctx context.Context, s Service, g *load.Driver, phase load.Phase) (float64, error) {
	full, err := through(ctx, s, g, phase)
	return full.SucceededPerSecond, err
}

// through runs a phase whose buyers nobody has seen before, until all of them
// are decided.
func through(ctx context.Context, s Service, g *load.Driver, phase load.Phase) (load.Result, error) {
	phase.Crowd = fmt.Sprintf("crowd-%d", time.Now().UnixNano())
	seen, err := g.Run(ctx, phase, nil)
	if err == nil {
		_, err = drained(ctx, s, product)
	}
	return seen, err
}

// pointOf is what one offered load brought.
func pointOf(share float64, phase *load.Phase, seen *load.Result) report.CurvePoint {
	return report.CurvePoint{
		Load: share, OfferedPerSecond: float64(seen.Arrivals) / phase.Arrivals.For.Seconds(), Connections: phase.Connections,
		AnsweredPerSecond: seen.AnsweredPerSecond, GoodputPerSecond: goodput(phase, seen),
		ClickP50: seen.AcceptMS.P50, ClickP99: seen.AcceptMS.P99,
		OutcomeP50: seen.OutcomeMS.P50, OutcomeP99: seen.OutcomeMS.P99,
		Shed:    float64(seen.Shed) / float64(max(1, seen.Arrivals)),
		ShedP50: seen.ShedMS.P50, ShedP99: seen.ShedMS.P99, Untold: float64(seen.Untold) / float64(max(1, seen.Shed)),
		Waited: float64(seen.Waited) / float64(max(1, seen.Arrivals)), WaitP99: seen.WaitMS.P99, SendP99: seen.SendMS.P99,
	}
}

// goodput is how many tickets a second there were while clicks came: those that
// come later tell how long the line was.
func goodput(phase *load.Phase, seen *load.Result) float64 {
	succeeded := 0
	for _, point := range seen.Timeline {
		if time.Duration(point.AtMS)*time.Millisecond < phase.Arrivals.For {
			succeeded += point.Succeeded
		}
	}
	return float64(succeeded) / phase.Arrivals.For.Seconds()
}

// noteLoad takes down the two points of the curve that something is asked of.
func (t *trial) noteLoad(share, capacity float64, phase *load.Phase, seen *load.Result) {
	switch share {
	case 0.7:
		t.note("click_p50_ms", seen.AnswerMS.P50)
		t.note("click_p99_ms", seen.AnswerMS.P99)
		t.note("outcome_p50_ms", seen.OutcomeMS.P50)
		t.note("outcome_p99_ms", seen.OutcomeMS.P99)
	case 1.2:
		t.note("goodput_at_120_share", goodput(phase, seen)/capacity)
		t.note("click_at_120_p99_ms", seen.AcceptMS.P99)
		t.note("refused_at_120_share", float64(seen.Shed)/float64(max(1, seen.Arrivals)))
		t.note("waited_in_generator_at_120_p99_ms", seen.WaitMS.P99)
		if seen.Shed == 0 {
			break // there are no times of nobody
		}
		t.note("refused_at_120_p50_ms", seen.ShedMS.P50)
		t.note("refused_at_120_p99_ms", seen.ShedMS.P99)
		t.note("refused_and_told_at_120_share", 1-float64(seen.Untold)/float64(seen.Shed))
	}
	if sum(seen.Errors) > 0 {
		t.broken("%d clicks without an answer at %.0f %% of capacity", sum(seen.Errors), share*100)
	}
}
