package report

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestComplete: what follows from a round's processes is computed with its
// figures, and the generator is no part of what an answer costs.
func TestComplete(t *testing.T) {
	t.Parallel()
	round := func(answered, cpu float64) Round {
		return Round{Figures: map[string]float64{Answered: answered}, Processes: []Process{
			{Ingress, cpu, 100}, {Kafka, 2 * cpu, 50}, {Generator, 4, 7},
		}}
	}
	r := &Report{Scenarios: []Scenario{{Arms: []Arm{{Name: "anteroom", Rounds: []Round{round(1000, 1), round(1000, 3), round(2000, 2)}}}}}}
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	want := map[string]Spread{
		Answered:              {1000, 1000, 2000},
		ServingCPU:            {3000, 3000, 9000},
		ServingMemory:         {150, 150, 150},
		"ingress_cpu_seconds": {2, 1, 3}, "ingress_cpu_us_per_answer": {1000, 1000, 3000}, "ingress_peak_rss_bytes": {100, 100, 100},
		"kafka_cpu_seconds": {4, 2, 6}, "kafka_cpu_us_per_answer": {2000, 2000, 6000}, "kafka_peak_rss_bytes": {50, 50, 50},
		"generator_cpu_seconds": {4, 4, 4}, "generator_cpu_us_per_answer": {4000, 2000, 4000}, "generator_peak_rss_bytes": {7, 7, 7},
	}
	if diff := cmp.Diff(want, r.Scenarios[0].Arms[0].Figures); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	values, err := r.Scenarios[0].Arms[0].Values(ServingCPU)
	if diff := cmp.Diff([]float64{3000, 9000, 3000}, values); err != nil || diff != "" {
		t.Errorf("%v, by round (-want +got):\n%s", err, diff)
	}
	if values, err := r.Scenarios[0].Arms[0].Values(Sold); err == nil {
		t.Errorf("units sold: %v, that no round has", values)
	}
}

// TestAnswersOfTheTimeline stand in for a count that a round does not have.
func TestAnswersOfTheTimeline(t *testing.T) {
	t.Parallel()
	round := Round{Timeline: []TimelinePoint{{0, 30}, {100, 70}}, Processes: []Process{{Rival, 1, 1}}}
	if got := round.all()[ServingCPU]; got != 10_000 {
		t.Errorf("an answer costs %v µs", got)
	}
	round.Timeline = nil
	if got, has := round.all()[ServingCPU]; has {
		t.Errorf("an answer costs %v µs, and there was none", got)
	}
}

// TestWhatARoundSaysStands: a figure in the JSON has one value under one name.
func TestWhatARoundSaysStands(t *testing.T) {
	t.Parallel()
	round := Round{Figures: map[string]float64{Answered: 10, ServingCPU: 5}, Processes: []Process{{Rival, 1, 1}}}
	if got := round.all()[ServingCPU]; got != 5 {
		t.Errorf("an answer costs %v µs", got)
	}
}

// TestCompleteRefuses what is no number, and says where it is.
func TestCompleteRefuses(t *testing.T) {
	t.Parallel()
	r := made(t)
	r.Scenarios[1].Arms[2].Rounds[0].Figures[ClickP99] = math.NaN()
	err := r.Complete()
	if err == nil || !strings.Contains(err.Error(), "scenario contended, arm conditional: click_p99_ms: ") {
		t.Errorf("%v", err)
	}
}
