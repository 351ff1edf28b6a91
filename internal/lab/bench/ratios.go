package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/anteroomhq/anteroom/internal/lab/report"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
)

// named is a result that has a name: a figure of an arm, or its quotient by a
// figure of another arm of the same scenario and round.
type named struct {
	name, scenario, arm, figure string
	by                          string // the arm that is the divisor; empty: a plain figure
	divisor                     float64
	unit, reach, about          string
}

// results are what a run is for. What they are to reach is of 2 cores with
// everything on the same machine.
func results() []named {
	all := []named{
		{name: "pipeline_vs_bare_echo", scenario: "million", arm: "anteroom", figure: "accepted_per_second", by: "bare_echo", reach: ">= 0.5"},
		{name: "pipeline_vs_bare_echo_on_our_server", scenario: "million", arm: "anteroom", figure: "accepted_per_second", by: "bare_echo" + asAnteroom},
		{name: "door_vs_bare_echo", scenario: "million", arm: "anteroom_door", figure: "answered_per_second", by: "bare_echo"},
		{name: "burst_vs_redis_then_db", scenario: "burst", arm: "anteroom", figure: "decided_per_second", by: string(rival.RedisThenDB), reach: ">= 1"},
		{name: "burst_vs_redis_then_db_on_our_server", scenario: "burst", arm: "anteroom", figure: "decided_per_second", by: string(rival.RedisThenDB) + asAnteroom},
		{name: "burst_door_vs_redis_then_db", scenario: "burst", arm: "anteroom_door", figure: "decided_per_second", by: string(rival.RedisThenDB)},
		{name: "contended_bare_echo_vs_redis_then_db", scenario: "contended", arm: "bare_echo", figure: "decided_per_second", by: string(rival.RedisThenDB), about: "contended: what answers alone would allow / redis_then_db: no ratio can be higher"},
		{name: "drain_decisions_per_second", scenario: "drain", arm: "losers", figure: "decisions_per_second", unit: "1/s", reach: ">= 700000"},
		{name: "drain_half_winning_decisions_per_second", scenario: "drain", arm: "half_win", figure: "decisions_per_second", unit: "1/s", reach: ">= 250000"},
		{name: "last_outcome_ms", scenario: "million", arm: "anteroom", figure: "last_outcome_ms", unit: "ms", reach: "<= 100"},
		{name: "polls_vs_bare_echo", scenario: "polls", arm: "anteroom", figure: "answered_per_second", by: "bare_echo", reach: ">= 0.85"},
		{name: "poll_backend_calls_per_1000", scenario: "polls", arm: "anteroom", figure: "backend_calls_per_1000", reach: "<= 1"},
		{name: "reject_vs_bare_echo", scenario: "reject", arm: "anteroom", figure: "answered_per_second", by: "bare_echo", reach: ">= 0.85"},
		{name: "decisions_per_fsync", scenario: "million", arm: "anteroom", figure: "decisions_per_fsync", reach: ">= 500"},
		{name: "stream_bytes", scenario: "streams", arm: "anteroom", figure: "stream_bytes", unit: "bytes", reach: "<= 12288"},
		{name: "service_peak_mb", scenario: "million", arm: "anteroom", figure: "service_peak_mb", unit: "MB", reach: "<= 120"},
		{name: "service_peak_mb_many", scenario: "million", arm: "anteroom_many", figure: "service_peak_mb", unit: "MB"},
		{name: "click_p99_ms_at_70", scenario: "curve", arm: "anteroom", figure: "click_p99_ms", unit: "ms", reach: "<= 15"},
		{name: "outcome_p99_ms_at_70", scenario: "curve", arm: "anteroom", figure: "outcome_p99_ms", unit: "ms", reach: "<= 150"},
		{name: "goodput_at_120", scenario: "curve", arm: "anteroom", figure: "goodput_at_120_share", reach: ">= 0.9", about: "tickets per second while clicks come at 120 % of capacity / the capacity, taken just before"},
		{name: "click_p99_ms_at_120", scenario: "curve", arm: "anteroom", figure: "click_at_120_p99_ms", unit: "ms"},
		{name: "refused_share_at_120", scenario: "curve", arm: "anteroom", figure: "refused_at_120_share", about: "clicks that heard 429 or 503 at 120 % of capacity / all"},
		{name: "refused_p99_ms_at_120", scenario: "curve", arm: "anteroom", figure: "refused_at_120_p99_ms", unit: "ms", about: "curve: from when a click was due to its 429 or 503, at 120 % of capacity"},
		{name: "refused_with_retry_after_at_120", scenario: "curve", arm: "anteroom", figure: "refused_and_told_at_120_share", reach: ">= 1", about: "refusals at 120 % of capacity that say when to come again / all"},
		{
			name: "winners_per_core_vs_published", scenario: "winners", arm: "anteroom", figure: "decided_per_core_second", divisor: 265, reach: ">= 20",
			about: "reservations per second and core / the 265 of a ticketing system on Kafka Streams (1,000,000 in 11.8 s on 320 vCPU)",
		},
	}
	for _, by := range []struct {
		name string
		kind rival.Kind
	}{
		{"for_update", rival.ForUpdate},
		{"conditional", rival.Conditional},
		{"redis_then_db", rival.RedisThenDB},
		{"redis_lua_then_db", rival.RedisLuaThenDB},
		{"skip_locked", rival.SkipLocked},
		{"optimistic", rival.Optimistic},
	} {
		all = append(all,
			named{name: "contended_vs_" + by.name, scenario: "contended", arm: "anteroom", figure: "decided_per_second", by: string(by.kind), reach: ">= 12"},
			named{name: "contended_told_vs_" + by.name, scenario: "contended", arm: "anteroom_told", figure: "told_per_second", by: string(by.kind)},
			named{name: "slow_disk_vs_" + by.name, scenario: "slow_disk", arm: "anteroom", figure: "decided_per_second", by: string(by.kind)},
		)
	}
	return all
}

// ratios computes what has a name, and names what was not measured. What cannot
// be computed, as a rival answered nobody, is missing too, and says why.
func ratios(scenarios []report.Scenario) (found map[string]report.Ratio, missing []string, err error) {
	found = make(map[string]report.Ratio)
	for _, n := range results() {
		a := figures(scenarios, n.scenario, n.arm, n.figure)
		if len(a) == 0 || n.by != "" && len(figures(scenarios, n.scenario, n.by, n.figure)) == 0 {
			missing = append(missing, n.name)
			continue
		}
		ratio, err := n.of(scenarios, a)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s (%v)", n.name, err))
			continue
		}
		if ratio.Reach, err = report.ParseReach(n.reach); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", n.name, err)
		}
		ratio.Unit, ratio.About = n.unit, cmp.Or(n.about, ratio.About)
		found[n.name] = ratio
	}
	return found, missing, nil
}

func (n *named) of(scenarios []report.Scenario, a map[int]float64) (report.Ratio, error) {
	if n.by == "" {
		values := slices.Collect(maps.Values(a))
		for i := range values {
			values[i] /= cmp.Or(n.divisor, 1)
		}
		spread, err := report.Of(values)
		return report.Ratio{Spread: spread, About: n.scenario + ": " + n.arm + ", " + n.figure}, err
	}
	b := figures(scenarios, n.scenario, n.by, n.figure)
	var above, below []float64
	for round, value := range a {
		if other, ok := b[round]; ok {
			above, below = append(above, value), append(below, other)
		}
	}
	ratio, err := report.Paired(above, below)
	ratio.About = n.scenario + ": " + n.arm + " / " + n.by + ", " + n.figure
	return ratio, err
}

// figures gives a figure of an arm by round.
func figures(scenarios []report.Scenario, of, arm, figure string) map[int]float64 {
	values := make(map[int]float64)
	for _, s := range scenarios {
		for _, a := range s.Arms {
			if s.Name != of || a.Name != arm {
				continue
			}
			for i, round := range a.Rounds {
				if value, ok := round.Figures[figure]; ok {
					values[i] = value
				}
			}
		}
	}
	return values
}
