package report

import (
	"maps"
	"slices"
	"strings"
)

// Names of figures that the lab knows. A round may have others: the end of a
// name says its unit (_per_second, _ms, _us, _seconds, _share, _bytes, _mb, another
// _per_, and none of these for a count), and that says where and how it is
// shown.
const (
	AnsweredPerSecond = "answered_per_second"
	AcceptedPerSecond = "accepted_per_second"
	GoodputPerSecond  = "goodput_per_second"
	DecidedPerSecond  = "decided_per_second" // outcomes in the ledger
	ToldPerSecond     = "told_per_second"    // outcomes that buyers have heard of
	Seconds           = "seconds"

	ClickP50    = "click_p50_ms"
	ClickP99    = "click_p99_ms"
	ClickMax    = "click_max_ms"
	OutcomeP50  = "outcome_p50_ms"
	OutcomeP99  = "outcome_p99_ms"
	LastOutcome = "last_outcome_ms" // after the last 202

	Answered = "answered"
	Accepted = "accepted"
	Sold     = "sold"
	Oversold = "oversold"
	Unsold   = "unsold"
	Errors   = "errors"

	CPUPerAnswer      = "cpu_us_per_answer"   // of all processes
	GeneratorCPUShare = "generator_cpu_share" // of the CPU that all processes used
)

// Names of figures that [Report.Complete] adds to an arm. Those of one process
// begin with its name: "kafka_cpu_seconds".
const (
	// ServingCPU is CPU time per answer of all processes but the generator.
	ServingCPU = "serving_cpu_us_per_answer"
	// ServingMemory is the sum of the peaks of all processes but the
	// generator. They need not have peaked at once.
	ServingMemory = "serving_peak_rss_bytes"

	processCPU          = "_cpu_seconds"
	processCPUPerAnswer = "_cpu_us_per_answer"
	processMemory       = "_peak_rss_bytes"
)

// place is the table that a figure stands in.
type place int

const (
	speeds place = iota
	latencies
	counts
	costs
)

// figure says how a figure is shown.
type figure struct {
	name  string
	title string
	unit  string
	place place
	// bad is for counts of which each one is one too many.
	bad bool
}

// heading is a figure's title and unit.
func (f figure) heading() string {
	if f.unit == "" {
		return f.title
	}
	return f.title + ", " + f.unit
}

// knownFigures are in the order of the tables' columns.
func knownFigures() []figure {
	return []figure{
		{AnsweredPerSecond, "answered", "1/s", speeds, false},
		{AcceptedPerSecond, "accepted", "1/s", speeds, false},
		{GoodputPerSecond, "goodput", "1/s", speeds, false},
		{DecidedPerSecond, "decided", "1/s", speeds, false},
		{ToldPerSecond, "told", "1/s", speeds, false},
		{Seconds, "time", "s", speeds, false},
		{ClickP50, "click p50", "ms", latencies, false},
		{ClickP99, "click p99", "ms", latencies, false},
		{ClickMax, "click max", "ms", latencies, false},
		{OutcomeP50, "outcome p50", "ms", latencies, false},
		{OutcomeP99, "outcome p99", "ms", latencies, false},
		{LastOutcome, "last outcome", "ms", latencies, false},
		{Sold, "sold", "", counts, false},
		{Oversold, "oversold", "", counts, true},
		{Unsold, "unsold", "", counts, true},
		{Errors, "errors", "", counts, true},
		{Answered, "answered", "", counts, false},
		{Accepted, "accepted", "", counts, false},
		{ServingCPU, "CPU per answer without the generator's", "µs", costs, false},
		{CPUPerAnswer, "CPU per answer", "µs", costs, false},
		{ServingMemory, "peak memory", "MiB", costs, false},
		{GeneratorCPUShare, "generator's share of CPU", "%", costs, false},
	}
}

// figureOf tells how to show a figure by its name's end.
func figureOf(name string) figure {
	for _, end := range []struct {
		suffix, unit string
		place        place
	}{
		{"_us_per_answer", "µs per answer", costs},
		{"_per_second", "1/s", speeds},
		{"_ms", "ms", latencies},
		{"_us", "µs", latencies},
		{"_cpu_seconds", "s of CPU", costs},
		{"_seconds", "s", speeds},
		{"_share", "%", costs},
		{"_rss_bytes", "MiB", costs},
		{"_bytes", "KiB", costs},
		{"_mb", "MB", costs},
	} {
		if title, is := strings.CutSuffix(name, end.suffix); is && title != "" {
			return figure{name: name, title: strings.ReplaceAll(title, "_", " "), unit: end.unit, place: end.place}
		}
	}
	made := figure{name: name, title: strings.ReplaceAll(name, "_", " "), place: counts}
	if strings.Contains(name, "_per_") {
		made.place = speeds // a quotient, of which the median says more than the extremes
	}
	return made
}

// figuresIn gives the figures of some arms that one table shows: the known ones
// first, the rest by name. Those of single processes have a table of their own.
func figuresIn(arms []Arm, at place) []figure {
	have := make(map[string]bool)
	for i := range arms {
		for name := range arms[i].Figures {
			have[name] = true
		}
		for _, of := range arms[i].processNames() {
			for _, suffix := range []string{processCPU, processCPUPerAnswer, processMemory} {
				delete(have, of+suffix)
			}
		}
	}
	var found []figure
	for _, f := range knownFigures() {
		if have[f.name] && f.place == at {
			found = append(found, f)
		}
		delete(have, f.name)
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if f := figureOf(name); f.place == at {
			found = append(found, f)
		}
	}
	return found
}

// processesInOrder is the order in which a request meets them.
func processesInOrder() []string {
	return []string{Ingress, Allocator, Rival, Kafka, Redis, Postgres, Generator}
}

// processNames are those of an arm's rounds, the known ones first.
func (a *Arm) processNames() []string { return processesOf([]Arm{*a}) }

func processesOf(arms []Arm) []string {
	have := make(map[string]bool)
	for i := range arms {
		for _, r := range arms[i].Rounds {
			for _, p := range r.Processes {
				have[p.Name] = true
			}
		}
	}
	var names []string
	for _, name := range processesInOrder() {
		if have[name] {
			names = append(names, name)
		}
		delete(have, name)
	}
	return append(names, slices.Sorted(maps.Keys(have))...)
}
