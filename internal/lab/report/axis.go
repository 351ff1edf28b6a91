package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Charts are drawn in a space of 1000 by 1000 whose sides the page stretches.
const chartSide = 1000.0

// axis tells where along a chart's side a value is, from 0 to 1000.
type axis struct {
	Title string
	Marks []mark
	at    func(float64) float64
}

// mark is a mark on an axis: so many parts of a thousand from its beginning.
type mark struct {
	At   float64
	Text string
}

// Y is where a mark of an upright axis is in the drawing, which goes down.
func (m mark) Y() string { return coordinate(chartSide - m.At) }

// X is where a mark of a level axis is.
func (m mark) X() string { return coordinate(m.At) }

// Down and Across are in percent of the axis.
func (m mark) Down() string   { return coordinate((chartSide - m.At) / 10) }
func (m mark) Across() string { return coordinate(m.At / 10) }

// Anchor keeps the text of a mark at either end inside the drawing.
func (m mark) Anchor() string {
	switch {
	case m.At < chartSide/20:
		return "start"
	case m.At > chartSide*19/20:
		return "end"
	}
	return "middle"
}

func coordinate(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// linear goes from 0 to a value, with about so many round marks.
func linear(title string, to float64, about int, text func(float64) string) axis {
	if !(to > 0) { // NaN too
		to = 1
	}
	to = drawable(to)
	made := axis{Title: title, at: func(v float64) float64 { return within(v / to * chartSide) }}
	step := roundAbove(to / float64(about))
	for i := 0; float64(i)*step <= to*1.0001; i++ {
		made.Marks = append(made.Marks, mark{made.at(float64(i) * step), text(float64(i) * step)})
	}
	return made
}

// drawable keeps an axis to numbers that can be told apart and counted.
func drawable(v float64) float64 { return min(max(v, 1e-6), 1e15) }

// roundAbove is the least of 1, 2, 5, 10 and so on that is no less.
func roundAbove(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if step*power >= v*0.9999 {
			return step * power
		}
	}
	return 10 * power
}

// roundBelow is the greatest of 1, 2, 5, 10 and so on that is no greater.
func roundBelow(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{10, 5, 2} { // 10, since a logarithm may come out a little low
		if step*power <= v*1.0001 {
			return step * power
		}
	}
	return power
}

// logarithmic goes from a round number at or below low to one at or above
// high. What is less, as 0 is, is put at its beginning.
func logarithmic(title string, low, high float64) axis {
	low, high = roundBelow(drawable(low)), roundAbove(drawable(high))
	if high <= low {
		high = 10 * low
	}
	decades := math.Log10(high / low)
	made := axis{Title: title, at: func(v float64) float64 {
		if v <= low {
			return 0
		}
		return within(math.Log10(v/low) / decades * chartSide)
	}}
	steps := []float64{1, 2, 5}
	if decades > 2.5 {
		steps = steps[:1]
	}
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high*1.0001; power *= 10 {
		for _, step := range steps {
			if v := step * power; v >= low*0.9999 && v <= high*1.0001 {
				made.Marks = append(made.Marks, mark{made.at(v), markWords(v)})
			}
		}
	}
	return made
}

// quantileAxis gives each further nine the same room, since that is where
// latencies differ, and puts the longest of all (quantile 1, which has
// infinitely many nines) at the end.
func quantileAxis(last float64) axis {
	nines := func(q float64) float64 { return -math.Log10(1 - q) }
	const room = 0.8 // for the longest, in nines
	to := max(1, nines(last)) + room
	made := axis{Title: "share of answers that took no longer", at: func(q float64) float64 {
		if q >= 1 {
			return chartSide
		}
		return within(nines(max(q, 0)) / to * chartSide)
	}}
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999} {
		if nines(q) <= to-room+0.0001 {
			made.Marks = append(made.Marks, mark{made.at(q), quantileWords(q)})
		}
	}
	made.Marks = append(made.Marks, mark{chartSide, "max"})
	return made
}

// quantileWords gives a quantile in percent.
func quantileWords(q float64) string {
	if q >= 1 {
		return "max"
	}
	return "p" + strconv.FormatFloat(math.Round(q*1e8)/1e6, 'f', -1, 64)
}

func within(at float64) float64 { return min(max(at, 0), chartSide) }

// point is a place in a chart.
type point struct{ x, y float64 }

// path joins points by lines.
func path(points []point) string {
	var made strings.Builder
	for i, p := range points {
		fmt.Fprintf(&made, "%c%s %s", "ML"[min(i, 1)], coordinate(p.x), coordinate(chartSide-p.y))
	}
	return made.String()
}

// dots marks points. A line of no length with round ends is a dot, however
// the page stretches the chart.
func dots(points []point) string {
	var made strings.Builder
	for _, p := range points {
		fmt.Fprintf(&made, "M%s %sh0", coordinate(p.x), coordinate(chartSide-p.y))
	}
	return made.String()
}

// markWords gives the round number of a mark with the digits that it has.
func markWords(v float64) string {
	if v >= 1 {
		return number(v, "")
	}
	return strconv.FormatFloat(v, 'g', 1, 64)
}
