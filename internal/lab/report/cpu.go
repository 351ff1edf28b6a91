package report

import (
	"slices"
)

// stack is a bar of parts, one after the other.
type stack struct {
	Name  string
	Value string
	Parts []part
}

// part begins at From percent of the longest bar and is Width percent long.
type part struct {
	Name, Class, Words string
	From, Width        string
}

// cpuChart shows where the CPU goes: microseconds of each process for one
// answer.
func (s *Scenario) cpuChart() chart {
	names := processesOf(s.Arms)
	longest := 0.0
	for i := range s.Arms {
		sum := 0.0
		for _, name := range names {
			sum += s.Arms[i].Figures[name+processCPUPerAnswer].Median
		}
		longest = max(longest, sum)
	}
	if longest == 0 {
		return chart{}
	}
	made := chart{
		Title: "Where the CPU goes",
		About: "Microseconds of CPU for one answer, by process, from 0; medians over rounds. The number beside a bar leaves out the load generator.",
		Table: s.processTable("CPU for one answer by process, µs", processCPUPerAnswer, "µs"),
	}
	made.Table.detail = true
	for _, name := range names {
		made.Legend = append(made.Legend, key{prose(name), processClass(name)})
	}
	for i := range s.Arms {
		arm := &s.Arms[i]
		bar, from := stack{Name: arm.title(), Value: none}, 0.0
		if spread, has := arm.Figures[ServingCPU]; has {
			bar.Value = number(spread.Median, "µs") + " µs"
		}
		for _, name := range names {
			spread, has := arm.Figures[name+processCPUPerAnswer]
			if !has {
				continue
			}
			width := spread.Median / longest * 100
			bar.Parts = append(bar.Parts, part{
				Name: prose(name), Class: processClass(name), Words: number(spread.Median, "µs") + " µs",
				From: coordinate(from), Width: coordinate(width),
			})
			from += width
		}
		made.Bars = append(made.Bars, bar)
	}
	return made
}

// processClass is what the style colours a process by.
func processClass(name string) string {
	if slices.Contains(processesInOrder(), name) {
		return "p-" + name
	}
	return "p-other"
}
