package report

import (
	"fmt"
	"math"
)

// series is one line over offered load. Latencies of 0 were not measured; a
// goodput of 0 was, and is the worst of all.
type series struct {
	name     string
	of       func(CurvePoint) float64
	measured bool // where it is 0
}

// drawn is the line of an arm's points that are numbers.
func (s series) drawn(curve []CurvePoint, class string, across, up axis) (line, bool) {
	var points []point
	for _, p := range curve {
		if v := s.of(p); finite(v) && finite(p.Load) && (v > 0 || s.measured) {
			points = append(points, point{across.at(p.Load), up.at(v)})
		}
	}
	return line{Name: s.name, Class: class, Path: path(points), Dots: dots(points)}, len(points) > 0
}

// draw adds the series to a chart.
func (c *chart) draw(all []series, curve []CurvePoint, over plot) {
	for i, s := range all {
		if line, has := s.drawn(curve, lineClass(i), over.Across, over.Up); has {
			over.Lines = append(over.Lines, line)
			c.Legend = append(c.Legend, key{s.name, lineClass(i)})
		}
	}
	c.Lines = &over
}

// loadAxis goes to the most that was offered.
func (a *Arm) loadAxis() axis {
	most := 0.0
	for _, p := range a.Curve {
		most = max(most, p.Load)
	}
	return linear("offered load", most, 6, func(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) })
}

// loadChart shows latencies as more is offered.
func (a *Arm) loadChart() chart {
	made := chart{
		Title: "Latency over offered load: " + a.title(),
		About: "Milliseconds, on a logarithmic scale, over the offered load in percent of the capacity.",
		Table: a.curveTable(),
	}
	all := []series{
		{"click to answer, p50", func(p CurvePoint) float64 { return p.ClickP50 }, false},
		{"click to answer, p99", func(p CurvePoint) float64 { return p.ClickP99 }, false},
		{"click to outcome, p50", func(p CurvePoint) float64 { return p.OutcomeP50 }, false},
		{"click to outcome, p99", func(p CurvePoint) float64 { return p.OutcomeP99 }, false},
		{"click to refusal, p99", func(p CurvePoint) float64 { return p.ShedP99 }, false},
	}
	low, high := math.Inf(1), 0.0
	for _, p := range a.Curve {
		for _, s := range all {
			if v := s.of(p); v > 0 && finite(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high > 0 {
		made.draw(all, a.Curve, plot{Up: logarithmic("ms", low, high), Across: a.loadAxis()})
	}
	return made
}

// goodputChart shows whether an arm still does its work when too much is
// asked of it.
func (a *Arm) goodputChart() chart {
	most := 0.0
	for _, p := range a.Curve {
		most = max(most, p.OfferedPerSecond, p.GoodputPerSecond)
	}
	if most == 0 {
		return chart{}
	}
	made := chart{
		Title: "Goodput over offered load: " + a.title(),
		About: "Requests a second that were offered, and those that were answered by something other than 429 or 503, from 0. The numbers are in the table above.",
	}
	made.draw([]series{
		{"goodput", func(p CurvePoint) float64 { return p.GoodputPerSecond }, true},
		{"offered", func(p CurvePoint) float64 { return p.OfferedPerSecond }, true},
	}, a.Curve, plot{
		Up:     linear("1/s", most*1.05, 5, func(v float64) string { return number(v, "") }),
		Across: a.loadAxis(),
	})
	return made
}
