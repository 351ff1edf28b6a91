package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// chart is a drawing with the table that says the same in numbers. At most one
// of Lines, Panels and Bars is there; none where there is nothing to draw.
type chart struct {
	Title  string
	About  string // how it is to be read
	Legend []key
	Lines  *plot
	Panels []plot // with one upright axis for all
	Bars   []stack
	Table  table
}

// key explains a colour or a line.
type key struct{ Name, Class string }

// plot is lines over two axes.
type plot struct {
	Title      string
	Up, Across axis
	Lines      []line
}

type line struct {
	Name, Class string
	Path, Dots  string
	Area        bool
}

// lineClasses is how many kinds of line the page's style knows.
const lineClasses = 10

func lineClass(i int) string { return "l" + strconv.Itoa(i%lineClasses) }

// charts are those of a scenario that there is something to draw for.
func (s *Scenario) charts() []chart {
	made := []chart{s.latencyChart(), s.timelineChart(), s.cpuChart()}
	for i := range s.Arms {
		if len(s.Arms[i].Curve) > 0 {
			made = append(made, s.Arms[i].loadChart(), s.Arms[i].goodputChart())
		}
	}
	return slices.DeleteFunc(made, func(c chart) bool { return c.Lines == nil && c.Panels == nil && c.Bars == nil && c.Table.Rows == nil })
}

// quantiles are an arm's latencies: at each quantile that all of its rounds
// have, the median over the rounds. So they rise as each round's do.
func (a *Arm) quantiles() []LatencyPoint {
	at := make(map[float64][]float64)
	for _, r := range a.Rounds {
		seen := make(map[float64]bool)
		for _, p := range r.Latency {
			if p.Quantile >= 0 && p.Quantile <= 1 && finite(p.MS) && !seen[p.Quantile] {
				seen[p.Quantile] = true
				at[p.Quantile] = append(at[p.Quantile], p.MS)
			}
		}
	}
	var points []LatencyPoint
	for quantile, values := range at {
		if spread, err := Of(values); err == nil && len(values) == len(a.Rounds) {
			points = append(points, LatencyPoint{quantile, spread.Median})
		}
	}
	slices.SortFunc(points, func(a, b LatencyPoint) int { return cmp.Compare(a.Quantile, b.Quantile) })
	return points
}

func (s *Scenario) latencyChart() chart {
	made := chart{
		Title: "Latency curves, click to answer",
		About: "Milliseconds, on a logarithmic scale, over the share of answers that took no longer; each further nine has the same room. At each share the median over rounds.",
		Table: s.quantileTable(),
	}
	last, low, high := 0.0, math.Inf(1), 0.0
	for i := range s.Arms {
		for _, p := range s.Arms[i].quantiles() {
			if p.Quantile < 1 {
				last = max(last, p.Quantile)
			}
			if p.MS > 0 {
				low, high = min(low, p.MS), max(high, p.MS)
			}
		}
	}
	if high == 0 {
		return chart{}
	}
	drawn := plot{Up: logarithmic("ms", low, high), Across: quantileAxis(last)}
	for i := range s.Arms {
		var points []point
		for _, p := range s.Arms[i].quantiles() {
			points = append(points, point{drawn.Across.at(p.Quantile), drawn.Up.at(p.MS)})
		}
		if len(points) == 0 {
			continue
		}
		curve := line{Name: s.Arms[i].title(), Class: lineClass(i), Path: path(points)}
		if len(points) == 1 {
			curve.Dots = dots(points)
		}
		drawn.Lines = append(drawn.Lines, curve)
		made.Legend = append(made.Legend, key{s.Arms[i].title(), lineClass(i)})
	}
	made.Lines = &drawn
	return made
}

// quantileTable shows the quantiles that people ask for.
func (s *Scenario) quantileTable() table {
	made := table{Title: "Click to answer by quantile, ms", Head: []column{{"arm", false}}, detail: true}
	shown := []float64{0.5, 0.9, 0.99, 0.999, 0.9999, 1}
	for _, q := range shown {
		made.Head = append(made.Head, column{quantileWords(q), true})
	}
	for i := range s.Arms {
		points := s.Arms[i].quantiles()
		if len(points) == 0 {
			continue
		}
		row := []cell{{Text: s.Arms[i].title()}}
		for _, q := range shown {
			row = append(row, cell{Text: boundOf(points, q)})
		}
		made.Rows = append(made.Rows, row)
	}
	return made
}

// boundOf gives the latency at a quantile, or the least one known to bound it.
func boundOf(points []LatencyPoint, quantile float64) string {
	const rounding = 1e-9 // of quantiles that were computed
	at := slices.IndexFunc(points, func(p LatencyPoint) bool { return p.Quantile >= quantile-rounding })
	switch {
	case at < 0:
		return none
	case points[at].Quantile > quantile+rounding:
		return "≤ " + number(points[at].MS, "ms")
	}
	return number(points[at].MS, "ms")
}
