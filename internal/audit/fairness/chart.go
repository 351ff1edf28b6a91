package fairness

import (
	"fmt"
	"strconv"
	"strings"
)

// bar is a bar of a chart. Width is its length in percent of the chart's
// longest one; every bar begins at 0.
type bar struct {
	Name, Value string
	Width       string
	Kind        string // what the style colours it by
}

// barWidth gives a bar's length in percent.
func barWidth(value, longest int64) string {
	if longest == 0 {
		return "0"
	}
	return strconv.FormatFloat(100*float64(value)/float64(longest), 'f', 2, 64)
}

func (t *Times) bars() []bar {
	longest := int64(0)
	for _, bin := range t.Histogram {
		longest = max(longest, bin.Count)
	}
	bars := make([]bar, len(t.Histogram))
	for i, bin := range t.Histogram {
		bars[i] = bar{Name: bin.words(), Value: grouped(bin.Count), Width: barWidth(bin.Count, longest)}
	}
	return bars
}

// outcomeBars are long as the share of all requests.
func (s *SaleReport) outcomeBars() []bar {
	bars := make([]bar, len(s.Outcomes))
	for i, o := range s.Outcomes {
		bars[i] = bar{
			Name: outcomeText(o.State), Kind: string(o.State), Width: barWidth(o.Requests, s.Requests),
			Value: fmt.Sprintf("%s (%s), %s", grouped(o.Requests), percent(o.RequestShare), many(o.Units, "unit")),
		}
	}
	return bars
}

// maxBuyerBars is how many bars the requests per buyer have at most, the last
// one for all who made more.
const maxBuyerBars = 8

func (b *Buyers) bars() []bar {
	type group struct {
		name   string
		buyers int64
	}
	var groups []group
	for _, of := range b.Distribution {
		if len(groups) < maxBuyerBars {
			groups = append(groups, group{many(of.Requests, "request"), of.Buyers})
			continue
		}
		last := &groups[maxBuyerBars-1]
		last.name = grouped(b.Distribution[maxBuyerBars-1].Requests) + " or more"
		last.buyers += of.Buyers
	}
	longest := int64(0)
	for _, of := range groups {
		longest = max(longest, of.buyers)
	}
	bars := make([]bar, len(groups))
	for i, of := range groups {
		bars[i] = bar{Name: of.name, Value: many(of.buyers, "buyer"), Width: barWidth(of.buyers, longest)}
	}
	return bars
}

// chart is how a sale filled, drawn in a space of 1000 by 1000 whose sides
// the page stretches. Both axes begin at 0.
type chart struct {
	Confirmed, Taken, Quantity string // paths: two areas and a line
	Times, Units               []mark
	End                        string
}

// mark is a mark on an axis: so many parts of a thousand from 0.
type mark struct {
	At   int
	Text string
}

// Y is where a mark of the units' axis is in the drawing, which goes down.
func (m mark) Y() int { return chartSide - m.At }

// Down and Across are in percent of the axis.
func (m mark) Down() float64   { return float64(chartSide-m.At) / 10 }
func (m mark) Across() float64 { return float64(m.At) / 10 }

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

const chartSide = 1000

// chart draws the filling, and some time after the last change, so that it shows.
// It is nil where there is nothing to draw.
func (f *Fill) chart() *chart {
	if len(f.Points) < 2 {
		return nil
	}
	last := f.Points[len(f.Points)-1].After
	most, span := int64(1), max(1, last+last/20)
	for _, p := range f.Points {
		most = max(most, p.Quantity)
	}
	x := func(after int64) int { return int(float64(after) / float64(span) * chartSide) }
	y := func(units int64) int { return chartSide - int(float64(units)/float64(most)*chartSide) }
	step := func(of func(Point) int64) string {
		var path strings.Builder
		for i, p := range f.Points {
			if i == 0 {
				fmt.Fprintf(&path, "M%d %d", x(p.After), y(of(p)))
				continue
			}
			fmt.Fprintf(&path, "H%dV%d", x(p.After), y(of(p)))
		}
		fmt.Fprintf(&path, "H%d", chartSide)
		return path.String()
	}
	area := func(of func(Point) int64) string {
		return step(of) + fmt.Sprintf("V%dH%dZ", chartSide, x(f.Points[0].After))
	}
	return &chart{
		Confirmed: area(func(p Point) int64 { return p.Confirmed }),
		Taken:     area(func(p Point) int64 { return p.Taken }),
		Quantity:  step(func(p Point) int64 { return p.Quantity }),
		Times:     marks(span, 4, timeSteps, durationText), Units: marks(most, 4, unitSteps, grouped),
		End: durationText(last),
	}
}

// marks gives about so many round marks from 0 to a value.
func marks(to int64, about int, steps func() func() int64, text func(int64) string) []mark {
	next := steps()
	step := next()
	for to/step > int64(about) {
		step = next()
	}
	made := []mark{{At: 0, Text: "0"}}
	for at := step; at <= to; at += step {
		made = append(made, mark{At: int(float64(at) / float64(to) * chartSide), Text: text(at)})
	}
	return made
}

// unitSteps gives 1, 2, 5, 10, and so on.
func unitSteps() func() int64 {
	power, i := int64(1), 0
	return func() int64 {
		step := power * []int64{1, 2, 5}[i]
		if i++; i == 3 {
			power, i = power*10, 0
		}
		return step
	}
}

// timeSteps gives lengths that clocks have names for, and then doubles days.
func timeSteps() func() int64 {
	i, step := 1, int64(0)
	return func() int64 {
		if i < len(binStarts) {
			step = binStarts[i]
			i++
			return step
		}
		step *= 2
		return step
	}
}
