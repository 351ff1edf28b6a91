package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// rate is answers a second from one time to another, in seconds.
type rate struct{ from, to, value float64 }

// maxRates bounds how finely a panel is drawn.
const maxRates = 240

// rates are a round's timeline, with intervals put together until they are no
// more than a panel can show.
func (r *Round) rates() []rate {
	points := slices.Clone(r.Timeline)
	points = slices.DeleteFunc(points, func(p TimelinePoint) bool { return !finite(p.AtMS) || !finite(p.Answered) || p.AtMS < 0 })
	slices.SortStableFunc(points, func(a, b TimelinePoint) int { return cmp.Compare(a.AtMS, b.AtMS) })
	if len(points) < 2 {
		return nil // of one point nobody knows how long it lasts
	}
	last := points[len(points)-1].AtMS
	ends := make([]float64, len(points))
	for i := range points {
		ends[i] = last + last - points[len(points)-2].AtMS
		if i+1 < len(points) {
			ends[i] = points[i+1].AtMS
		}
	}
	together := (len(points) + maxRates - 1) / maxRates
	var made []rate
	for i := 0; i < len(points); i += together {
		end := min(i+together, len(points))
		answered := 0.0
		for _, p := range points[i:end] {
			answered += p.Answered
		}
		if ms := ends[end-1] - points[i].AtMS; ms > 0 {
			made = append(made, rate{points[i].AtMS / 1000, ends[end-1] / 1000, answered / ms * 1000})
		}
	}
	return made
}

// typical is the round whose throughput is the median one (the lower of two),
// so that what is drawn is a round that was, and its number; nil if no round
// has a timeline.
func (a *Arm) typical() (*Round, int) {
	var rounds []int
	for i := range a.Rounds {
		if len(a.Rounds[i].rates()) > 0 {
			rounds = append(rounds, i)
		}
	}
	if len(rounds) == 0 {
		return nil, 0
	}
	slices.SortStableFunc(rounds, func(i, j int) int {
		return cmp.Compare(a.Rounds[i].Figures[AnsweredPerSecond], a.Rounds[j].Figures[AnsweredPerSecond])
	})
	i := rounds[(len(rounds)-1)/2]
	return &a.Rounds[i], i + 1
}

// timelineChart has a panel for each arm, since arms take from a second to a
// minute for the same work. All panels share the upright axis.
func (s *Scenario) timelineChart() chart {
	most := 0.0
	for i := range s.Arms {
		if round, _ := s.Arms[i].typical(); round != nil {
			for _, r := range round.rates() {
				most = max(most, r.value)
			}
		}
	}
	if most == 0 {
		return chart{}
	}
	made := chart{
		Title: "Throughput over time",
		About: "Answers a second, from 0 and on one scale for all arms, over seconds since the first click; each arm has its own length. Drawn is the round of median throughput.",
		Table: s.timelineTable(),
	}
	for i := range s.Arms {
		round, _ := s.Arms[i].typical()
		if round == nil {
			continue
		}
		rates := round.rates()
		span := rates[len(rates)-1].to
		drawn := plot{
			Title:  s.Arms[i].title(),
			Up:     linear("1/s", most*1.05, 4, func(v float64) string { return number(v, "") }),
			Across: linear("", span, 4, func(v float64) string { return strings.TrimSuffix(strconv.FormatFloat(v, 'g', 3, 64), ".0") + " s" }),
		}
		drawn.Lines = []line{{Name: drawn.Title, Class: lineClass(i), Path: area(rates, drawn.Across, drawn.Up), Area: true}}
		made.Panels = append(made.Panels, drawn)
	}
	return made
}

// area is a path of steps that closes on the chart's ground.
func area(rates []rate, across, up axis) string {
	var made strings.Builder
	fmt.Fprintf(&made, "M%s %s", coordinate(across.at(rates[0].from)), coordinate(chartSide))
	for _, r := range rates {
		fmt.Fprintf(&made, "H%sV%s", coordinate(across.at(r.from)), coordinate(chartSide-up.at(r.value)))
	}
	fmt.Fprintf(&made, "H%sV%sZ", coordinate(across.at(rates[len(rates)-1].to)), coordinate(chartSide))
	return made.String()
}

func (s *Scenario) timelineTable() table {
	made := table{
		Title: "Throughput over time, answers a second",
		Head:  append([]column{{"arm", false}}, numbers("round", "length, s", "mean, 1/s", "least, 1/s", "most, 1/s")...), detail: true,
	}
	for i := range s.Arms {
		round, of := s.Arms[i].typical()
		if round == nil {
			continue
		}
		rates := round.rates()
		answered, least, most := 0.0, math.Inf(1), 0.0
		for _, r := range rates {
			answered += r.value * (r.to - r.from)
			least, most = min(least, r.value), max(most, r.value)
		}
		length := rates[len(rates)-1].to - rates[0].from
		made.Rows = append(made.Rows, []cell{
			{Text: s.Arms[i].title()}, {Text: strconv.Itoa(of)}, {Text: number(length, "s")},
			{Text: number(answered/length, "1/s")}, {Text: number(least, "1/s")}, {Text: number(most, "1/s")},
		})
	}
	return made
}
