package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// table is what every face shows as a table.
type table struct {
	Title string
	Head  []column
	Rows  [][]cell
	// detail leaves it out on a terminal.
	detail bool
}

type column struct {
	Text   string
	Number bool // aligned to the right
}

type cell struct {
	Text string
	Tone tone
}

// tone is how a cell is to strike the reader.
type tone string

const (
	plain tone = ""
	good  tone = "good"
	bad   tone = "bad"
)

func numbers(heads ...string) []column {
	columns := make([]column, len(heads))
	for i, head := range heads {
		columns[i] = column{head, true}
	}
	return columns
}

// title names an arm for readers.
func (a *Arm) title() string { return prose(cmp.Or(a.Title, a.Name)) }

// ratioTable lists every ratio, and last what it is.
func (r *Report) ratioTable() table {
	made := table{Head: []column{{"ratio", false}, {"median", true}, {"low–high", true}, {"to reach", true}, {"reached", false}}}
	about := false
	for _, name := range r.ratioNames() {
		about = about || r.Ratios[name].About != ""
	}
	if about {
		made.Head = append(made.Head, column{"what it is", false})
	}
	for _, name := range r.ratioNames() {
		ratio := r.Ratios[name]
		unit := prose(ratio.Unit)
		median := number(ratio.Median, asIs)
		if unit != "" {
			median += " " + unit
		}
		row := []cell{{Text: prose(name)}, {Text: median}, {Text: ranged(ratio.Low, ratio.High, asIs)}, {}, {}}
		if ratio.Reach != (Reach{}) {
			row[3].Text = ratio.Reach.words(unit)
			row[4] = ratio.reachedCell()
		}
		if about {
			row = append(row, cell{Text: prose(ratio.About)})
		}
		made.Rows = append(made.Rows, row)
	}
	return made
}

// asIs shows a number as it is, whatever its unit is called.
const asIs = "as is"

// words gives a Reach with the signs that readers know, and the number as it
// was asked for.
func (r Reach) words(unit string) string {
	sign := map[Comparison]string{AtLeast: "≥ ", AtMost: "≤ "}[r.Comparison]
	text := sign + grouped(r.Than)
	if r.Than != math.Trunc(r.Than) {
		text = sign + strconv.FormatFloat(r.Than, 'f', -1, 64)
	}
	if unit != "" {
		text += " " + unit
	}
	return text
}

func (r *Ratio) reachedCell() cell {
	reached, surely := r.Reached()
	made := cell{"yes", good}
	if !reached {
		made = cell{"NO", bad}
	}
	if !surely {
		made.Text += ", not surely"
	}
	return made
}

// figureTable has a row for each arm and a column for each figure of a place.
func (s *Scenario) figureTable(title string, at place) table {
	made := table{Title: title, Head: []column{{"arm", false}}}
	shown := figuresIn(s.Arms, at)
	if len(shown) == 0 {
		return table{}
	}
	for _, f := range shown {
		made.Head = append(made.Head, column{f.heading(), true})
	}
	for i := range s.Arms {
		row := []cell{{Text: s.Arms[i].title()}}
		for _, f := range shown {
			row = append(row, s.Arms[i].cell(f))
		}
		made.Rows = append(made.Rows, row)
	}
	return made
}

// cell shows a figure. Of a count it shows the least and the most of all
// rounds, since a median would hide the one round that oversold.
func (a *Arm) cell(f figure) cell {
	spread, has := a.Figures[f.name]
	if !has {
		return cell{Text: none}
	}
	if f.place != counts {
		return cell{Text: spread.words(f.unit)}
	}
	values := a.values()[f.name]
	if len(values) == 0 { // a report that was cut down to its medians
		values = []float64{spread.Low, spread.High}
	}
	least, most := slices.Min(values), slices.Max(values)
	shown := cell{Text: ranged(least, most, f.unit)}
	if f.bad && most > 0 {
		shown.Tone = bad
	}
	return shown
}

// processTable has a row for each arm and a column for each process, of
// medians.
func (s *Scenario) processTable(title, suffix, unit string) table {
	made := table{Title: title, Head: []column{{"arm", false}}}
	names := processesOf(s.Arms)
	for _, name := range names {
		made.Head = append(made.Head, column{prose(name), true})
	}
	measured := false
	for i := range s.Arms {
		row := []cell{{Text: s.Arms[i].title()}}
		for _, name := range names {
			text := none
			if spread, has := s.Arms[i].Figures[name+suffix]; has {
				text, measured = number(spread.Median, unit), true
			}
			row = append(row, cell{Text: text})
		}
		made.Rows = append(made.Rows, row)
	}
	if !measured {
		return table{}
	}
	return made
}

// curveTable is one arm's answers to rising load.
func (a *Arm) curveTable() table {
	made := table{
		Title: "As more is offered: " + a.title(),
		Head: numbers("load, %", "offered, 1/s", "answered, 1/s", "goodput, 1/s", "click p50, ms", "click p99, ms",
			"outcome p50, ms", "outcome p99, ms", "shed, %"),
	}
	for _, p := range a.Curve {
		outcome := func(ms float64) cell {
			if p.OutcomeP50 == 0 && p.OutcomeP99 == 0 {
				return cell{Text: none}
			}
			return cell{Text: number(ms, "ms")}
		}
		made.Rows = append(made.Rows, []cell{
			{Text: number(p.Load, "%")}, {Text: number(p.OfferedPerSecond, "1/s")}, {Text: number(p.AnsweredPerSecond, "1/s")},
			{Text: number(p.GoodputPerSecond, "1/s")}, {Text: number(p.ClickP50, "ms")}, {Text: number(p.ClickP99, "ms")},
			outcome(p.OutcomeP50), outcome(p.OutcomeP99), {Text: number(p.Shed, "%")},
		})
	}
	return made
}

// refusedTable is what those heard who were refused as more was offered, and
// how long the generator itself made clicks wait. A report of before has none.
func (a *Arm) refusedTable() table {
	made := table{
		Title: "The refused, and the generator's own wait: " + a.title(),
		Head: numbers("load, %", "connections", "shed, %", "click to refusal p50, ms", "click to refusal p99, ms", "without Retry-After, %",
			"no free connection, %", "wait for one p99, ms", "click to sending p99, ms"),
	}
	of := func(there float64, value float64, unit string) cell {
		if there == 0 {
			return cell{Text: none}
		}
		return cell{Text: number(value, unit)}
	}
	for _, p := range a.Curve {
		if p.Connections == 0 {
			return table{}
		}
		untold := of(p.Shed, p.Untold, "%")
		if p.Untold > 0 {
			untold.Tone = bad
		}
		made.Rows = append(made.Rows, []cell{
			{Text: number(p.Load, "%")}, {Text: grouped(float64(p.Connections))}, {Text: number(p.Shed, "%")},
			of(p.Shed, p.ShedP50, "ms"), of(p.Shed, p.ShedP99, "ms"), untold,
			{Text: number(p.Waited, "%")}, of(p.Waited, p.WaitP99, "ms"), {Text: number(p.SendP99, "ms")},
		})
	}
	return made
}

func (s *Scenario) settingsTable() table {
	made := table{Title: "Settings", Head: []column{{"arm", false}, {"setting", false}, {"value", false}}}
	for i := range s.Arms {
		for _, of := range s.Arms[i].Settings {
			made.Rows = append(made.Rows, []cell{{Text: s.Arms[i].title()}, {Text: prose(of.Name)}, {Text: prose(of.Value)}})
		}
	}
	return made
}
