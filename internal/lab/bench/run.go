package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/report"
)

// Config says what is measured.
type Config struct {
	Stack  Stack
	Rounds int
	Quick  bool     // small crowds: to try, and not to quote
	Only   []string // names of scenarios, or scenario/arm; none: all
	// Progress is told a line for whatever begins and ends. It may be nil.
	Progress func(line string)
}

// Validate reports the first thing that cannot be.
func (c Config) Validate() error {
	if c.Stack == nil {
		return errors.New("bench: nothing to measure on")
	}
	if c.Rounds < 1 {
		return fmt.Errorf("bench: %d rounds, at least 1", c.Rounds)
	}
	return CheckNames(c.Only)
}

// CheckNames reports the first of Config.Only that names nothing.
func CheckNames(only []string) error {
	for _, name := range only {
		if len(selected(scenarios(quickSize), []string{name})) == 0 {
			return fmt.Errorf("bench: there is no scenario or arm %q; the scenarios are %s", name, strings.Join(Names(), ", "))
		}
	}
	return nil
}

const (
	warmUp      = 1_500_000
	quickWarmUp = 50_000
)

// WarmUp is how many buys the JVM gets before anything is measured.
func WarmUp(quick bool) int {
	if quick {
		return quickWarmUp
	}
	return warmUp
}

// Run measures, and gives scenarios and ratios; the rest of the report is the
// caller's. When ctx ends it gives what it has, and ctx's error.
func Run(ctx context.Context, c Config) (found report.Report, err error) {
	if err := c.Validate(); err != nil {
		return found, err
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	of := fullSize
	if c.Quick {
		of = quickSize
	}
	found.Quick, found.Rounds = c.Quick, c.Rounds
	if c.Quick {
		found.Warnings = append(found.Warnings, "the JVM had "+count(quickWarmUp)+" buys to warm up, and is slow for several times as many")
	}
	buyers := WarmUp(c.Quick)
	c.Progress("warming up: " + count(buyers) + " buys that are not counted")
	if err := c.warm(ctx, buyers); err != nil {
		return found, err
	}
	canned, err := can(ctx, c.Stack)
	if err != nil {
		return found, err
	}
	for _, s := range selected(scenarios(of), c.Only) {
		measured, err := c.scenario(ctx, s, of, canned)
		found.Scenarios = append(found.Scenarios, measured)
		if err != nil {
			return found, errors.Join(fmt.Errorf("scenario %s: %w", s.name, err), found.Complete())
		}
	}
	var missing []string
	if found.Ratios, missing, err = ratios(found.Scenarios); err != nil {
		return found, err
	}
	if len(missing) > 0 {
		found.Warnings = append(found.Warnings, "not measured: "+strings.Join(missing, ", "))
	}
	return found, found.Complete()
}

// selected gives the scenarios and arms with these names.
func selected(all []scenario, only []string) []scenario {
	if len(only) == 0 {
		return all
	}
	var chosen []scenario
	for _, s := range all {
		var arms []arm
		for _, a := range s.arms {
			if slices.Contains(only, s.name) || slices.Contains(only, s.name+"/"+a.name) {
				arms = append(arms, a)
			}
		}
		if len(arms) > 0 {
			s.arms = arms
			chosen = append(chosen, s)
		}
	}
	return chosen
}

// warm has everything do once what it will do, so that the JVM has compiled it.
func (c *Config) warm(ctx context.Context, buyers int) (err error) {
	t := newTrial(c.Stack, size{}, nil)
	defer func() { err = errors.Join(err, t.close()) }()
	buys := clicks{buyers: buyers, connections: fullSize.connections}
	if err := buys.line().run(ctx, t); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return nil
}

// scenario runs all arms of every round, each round beginning with another arm.
// Where one fails it gives the rounds before.
func (c *Config) scenario(ctx context.Context, s scenario, of size, canned *canned) (found report.Scenario, err error) {
	found = report.Scenario{Name: s.name, Title: s.title, About: s.about}
	curves := make([][][]report.CurvePoint, len(s.arms))
	defer func() {
		for n := range found.Arms {
			found.Arms[n].Curve = medianCurve(curves[n])
		}
	}()
	for _, a := range s.arms {
		found.Arms = append(found.Arms, report.Arm{Name: a.name, Title: a.title})
	}
	for round := range c.Rounds {
		for i := range s.arms {
			n := (i + round) % len(s.arms)
			began := time.Now()
			t := newTrial(c.Stack, of, canned)
			err := errors.Join(s.arms[n].run(ctx, t), t.close())
			into := &found.Arms[n]
			if err != nil {
				return found, fmt.Errorf("arm %s, round %d: %w", s.arms[n].name, round+1, err)
			}
			into.Rounds = append(into.Rounds, t.round)
			into.Settings = t.settings
			if len(t.curve) > 0 {
				curves[n] = append(curves[n], t.curve)
			}
			c.Progress(fmt.Sprintf("%s, round %d of %d, %s: %s (%.0f s)", s.name, round+1, c.Rounds, s.arms[n].name, headline(&t.round), time.Since(began).Seconds()))
		}
	}
	return found, nil
}

// headline is the figure that says most of a round, and what is broken, for
// progress.
func headline(r *report.Round) string {
	text := "no figure"
	for _, figure := range []string{
		"told_per_second", "decided_per_second", "decisions_per_second", "answered_per_second", "capacity_per_second", "stream_bytes", "shoppers_per_core",
	} {
		if value, ok := r.Figures[figure]; ok {
			text = fmt.Sprintf("%s %.0f", figure, value)
			break
		}
	}
	return strings.Join(append([]string{text}, r.Broken...), ", ")
}

// medianCurve gives the median of each point over the rounds.
func medianCurve(rounds [][]report.CurvePoint) []report.CurvePoint {
	if len(rounds) == 0 {
		return nil
	}
	curve := slices.Clone(rounds[0])
	for i := range curve {
		for _, of := range []func(*report.CurvePoint) *float64{
			func(p *report.CurvePoint) *float64 { return &p.OfferedPerSecond },
			func(p *report.CurvePoint) *float64 { return &p.AnsweredPerSecond },
			func(p *report.CurvePoint) *float64 { return &p.GoodputPerSecond },
			func(p *report.CurvePoint) *float64 { return &p.ClickP50 },
			func(p *report.CurvePoint) *float64 { return &p.ClickP99 },
			func(p *report.CurvePoint) *float64 { return &p.OutcomeP50 },
			func(p *report.CurvePoint) *float64 { return &p.OutcomeP99 },
			func(p *report.CurvePoint) *float64 { return &p.Shed },
			func(p *report.CurvePoint) *float64 { return &p.ShedP50 },
			func(p *report.CurvePoint) *float64 { return &p.ShedP99 },
			func(p *report.CurvePoint) *float64 { return &p.Untold },
			func(p *report.CurvePoint) *float64 { return &p.Waited },
			func(p *report.CurvePoint) *float64 { return &p.WaitP99 },
			func(p *report.CurvePoint) *float64 { return &p.SendP99 },
		} {
			var values []float64
			for r := range rounds {
				values = append(values, *of(&rounds[r][i]))
			}
			slices.Sort(values)
			n := len(values)
			*of(&curve[i]) = (values[(n-1)/2] + values[n/2]) / 2
		}
	}
	return curve
}
