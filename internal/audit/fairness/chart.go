package fairness

import (
	"fmt"
	"strconv"
	"strings"
)

// fairBar is a bar of a chart. Width is its length in percent of the chart's
// longest one; every bar begins at 0.
type fairBar struct {
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

func (t *Times) bars() []fairBar {
	longest := int64(0)
	for _, bin := range t.Histogram {
		longest = max(longest, bin.Count)
	}
	bars := make([]fairBar, len(t.Histogram))
	for i, bin := range t.Histogram {
		bars[i] = fairBar{Name: bin.words(), Value: grouped(bin.Count), Width: barWidth(bin.Count, longest)}
	}
	return bars
}

// outcomeBars are long as the share of all requests.
func (s *SaleReport) outcomeBars() []fairBar {
	bars := make([]fairBar, len(s.Outcomes))
	for i, o := range s.Outcomes {
		bars[i] = fairBar{
			Name: outcomeText(o.State), Kind: string(o.State), Width: barWidth(o.Requests, s.Requests),
			Value: fmt.Sprintf("%s (%s), %s", grouped(o.Requests), percent(o.RequestShare), many(o.Units, "unit")),
		}
	}
	return bars
}

// fairBuyerBars is how many bars the requests per buyer have at most, the last
// one for all who made more.
const fairBuyerBars = 8

func (b *Buyers) bars() []fairBar {
	type group struct {
		name   string
		buyers int64
	}
	var groups []group
	for _, of := range b.Distribution {
		if len(groups) < fairBuyerBars {
			groups = append(groups, group{many(of.Requests, "request"), of.Buyers})
			continue
		}
		last := &groups[fairBuyerBars-1]
		last.name = grouped(b.Distribution[fairBuyerBars-1].Requests) + " or more"
		last.buyers += of.Buyers
	}
	longest := int64(0)
	for _, of := range groups {
		longest = max(longest, of.buyers)
	}
	bars := make([]fairBar, len(groups))
	for i, of := range groups {
		bars[i] = fairBar{Name: of.name, Value: many(of.buyers, "buyer"), Width: barWidth(of.buyers, longest)}
	}
	return bars
}

// fairChart is how a sale filled, drawn in a space of 1000 by 1000 whose sides
// the page stretches. Both axes begin at 0.
type fairChart struct {
	Confirmed, Taken, Quantity string // paths: two areas and a line
	Times, Units               []fairMark
	End                        string
}

// fairMark is a mark on an axis: so many parts of a thousand from 0.
type fairMark struct {
	At   int
	Text string
}

// Y is where a mark of the units' axis is in the drawing, which goes down.
func (m fairMark) Y() int { return fairChartSide - m.At }

// Down and Across are in percent of the axis.
func (m fairMark) Down() float64   { return float64(fairChartSide-m.At) / 10 }
func (m fairMark) Across() float64 { return float64(m.At) / 10 }

// Anchor keeps the text of a mark at either end inside the drawing.
func (m fairMark) Anchor() string {
	switch {
	case m.At < fairChartSide/20:
		return "start"
	case m.At > fairChartSide*19/20:
		return "end"
	}
	return "middle"
}

const fairChartSide = 1000

// chart draws the filling, or gives nil where there is nothing to draw.
func (f *Fill) chart() *fairChart {
	if len(f.Points) < 2 {
		return nil
	}
	most, span := int64(1), max(1, f.Points[len(f.Points)-1].After)
	for _, p := range f.Points {
		most = max(most, p.Quantity)
	}
	x := func(after int64) int { return int(float64(after) / float64(span) * fairChartSide) }
	y := func(units int64) int { return fairChartSide - int(float64(units)/float64(most)*fairChartSide) }
	step := func(of func(Point) int64) string {
		var path strings.Builder
		for i, p := range f.Points {
			if i == 0 {
				fmt.Fprintf(&path, "M%d %d", x(p.After), y(of(p)))
				continue
			}
			fmt.Fprintf(&path, "H%dV%d", x(p.After), y(of(p)))
		}
		return path.String()
	}
	area := func(of func(Point) int64) string {
		return step(of) + fmt.Sprintf("V%dH%dZ", fairChartSide, x(f.Points[0].After))
	}
	return &fairChart{
		Confirmed: area(func(p Point) int64 { return p.Confirmed }),
		Taken:     area(func(p Point) int64 { return p.Taken }),
		Quantity:  step(func(p Point) int64 { return p.Quantity }),
		Times:     marks(span, 4, timeSteps, durationText), Units: marks(most, 4, unitSteps, grouped),
		End: durationText(span),
	}
}

// marks gives about so many round marks from 0 to a value.
func marks(to int64, about int, steps func() func() int64, text func(int64) string) []fairMark {
	next := steps()
	step := next()
	for to/step > int64(about) {
		step = next()
	}
	made := []fairMark{{At: 0, Text: "0"}}
	for at := step; at <= to; at += step {
		made = append(made, fairMark{At: int(float64(at) / float64(to) * fairChartSide), Text: text(at)})
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
		if i < len(fairBins) {
			step = fairBins[i]
			i++
			return step
		}
		step *= 2
		return step
	}
}
