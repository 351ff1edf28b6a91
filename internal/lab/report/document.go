package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// document is a report in words and tables: what all faces but JSON have in
// common. Text of others in it is legible, and not yet escaped.
type document struct {
	Title    string
	Made     string // when, how long, of which commit
	Command  string
	Machine  []string // two lines
	Servers  table    // their settings
	Warnings []string
	Broken   []string // which arms broke a promise
	Verdict  string   // on the ratios
	Missed   bool     // some ratio's reach
	Ratios   table
	Reading  string // how to read a median and an interval
	Sections []section
}

// section is a scenario.
type section struct {
	ID     string
	Title  string
	About  string
	Broken []string
	Notes  []string
	Tables []table
	Charts []chart
	// Settings are the arms'.
	Settings table
}

// ratioNames are in the order of all faces.
func (r *Report) ratioNames() []string { return slices.Sorted(maps.Keys(r.Ratios)) }

func (r *Report) document() *document {
	made := &document{
		Title: "What anteroom bench found", Made: r.made(), Command: legible(r.Command), Machine: r.Environment.words(),
		Ratios: r.ratioTable(), Reading: r.reading(),
		Servers: table{Title: "Settings of the servers", Head: []column{{"setting", false}, {"value", false}}},
	}
	for _, of := range r.Environment.Settings {
		made.Servers.Rows = append(made.Servers.Rows, []cell{{Text: prose(of.Name)}, {Text: prose(of.Value)}})
	}
	if r.Quick {
		made.Warnings = append(made.Warnings, "a quick run: to see that it works, and not to quote")
	}
	for _, warning := range r.Warnings {
		made.Warnings = append(made.Warnings, prose(warning))
	}
	made.Verdict, made.Missed = r.verdict()
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		made.Sections = append(made.Sections, s.section(i))
		for j := range s.Arms {
			if n := s.Arms[j].roundsBroken(); n > 0 {
				made.Broken = append(made.Broken, fmt.Sprintf("%s, in %s: %d of %s", s.Arms[j].title(), s.title(), n, many(len(s.Arms[j].Rounds), "round")))
			}
		}
	}
	return made
}

func (r *Report) made() string {
	text := fmt.Sprintf("Made %s in %s, %s of each arm", when(r.Started), durationWords(r.Seconds), many(r.Rounds, "round"))
	if r.Commit != "" {
		text += ", commit " + prose(r.Commit)
	}
	return text + "."
}

// verdict counts the ratios that have something to reach.
func (r *Report) verdict() (words string, missed bool) {
	var not []string
	asked := 0
	for _, name := range r.ratioNames() {
		ratio := r.Ratios[name]
		if ratio.Reach == (Reach{}) {
			continue
		}
		asked++
		if reached, _ := ratio.Reached(); !reached {
			not = append(not, prose(name))
		}
	}
	switch {
	case asked == 0:
		return "", false
	case len(not) == 0:
		return fmt.Sprintf("%d of %d reached.", asked, asked), false
	}
	return fmt.Sprintf("%d of %d reached. NOT REACHED: %s.", asked-len(not), asked, strings.Join(not, ", ")), true
}

// reading tells what stands in brackets, by how many rounds there were.
func (r *Report) reading() string {
	var rounds []int
	for i := range r.Scenarios {
		for j := range r.Scenarios[i].Arms {
			rounds = append(rounds, len(r.Scenarios[i].Arms[j].Rounds))
		}
	}
	if len(rounds) == 0 {
		return ""
	}
	least, most := slices.Min(rounds), slices.Max(rounds)
	text := "Figures are medians over rounds; ratios are medians of quotients of rounds that ran side by side. "
	switch {
	case least == 1 && most == 1:
		return text + "There was one round, so low and high are it."
	case least != most:
		text += "Low–high, or what stands in brackets, holds the true median with 95 % where there are six rounds or more, and is the least and the greatest where there are fewer."
	case skipped(most) == 0:
		text += fmt.Sprintf("Low–high, or what stands in brackets, is the least and the greatest of %s, which hold the true median with %s %%.", many(most, "round"), number(100*Coverage(most), "p"))
	default:
		text += fmt.Sprintf("Low–high, or what stands in brackets, leaves out the %d least and the %d greatest of %s, and holds the true median with %s %%.", skipped(most), skipped(most), many(most, "round"), number(100*Coverage(most), "p"))
	}
	return text + " Not surely: the interval lies on both sides of what is to be reached. Counts are the least and the most of all rounds."
}

// words are two lines: the machine and the servers. What is not known is left
// out.
func (e *Environment) words() []string {
	list := func(parts ...string) string {
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
		return strings.Join(parts, ", ")
	}
	named := func(name, value string) string {
		if value == "" {
			return ""
		}
		return name + " " + prose(value)
	}
	counted := func(n int, format string) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(format, n)
	}
	memory, fsync := "", ""
	if e.MemoryBytes > 0 {
		memory = number(float64(e.MemoryBytes)/gibibyte, "GiB") + " GiB"
	}
	if e.FsyncMS > 0 {
		fsync = "fsync in " + number(e.FsyncMS, "ms") + " ms"
	}
	cores := ""
	if e.Cores > 0 {
		cores = many(e.Cores, "core")
	}
	lines := []string{
		list(prose(e.CPU), cores, memory, named("kernel", e.Kernel), named("Go", strings.TrimPrefix(e.Go, "go")), counted(e.GOMAXPROCS, "GOMAXPROCS %d")),
		list(named("Kafka", e.Kafka), named("Java", e.Java), named("Redis", e.Redis), named("Postgres", e.Postgres), fsync),
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

func (s *Scenario) title() string {
	if s.Title == "" {
		return prose(s.Name)
	}
	return prose(s.Title)
}

func (s *Scenario) section(index int) section {
	made := section{
		ID: fmt.Sprintf("scenario-%d", index+1), Title: s.title(), About: prose(s.About), Settings: s.settingsTable(),
		Tables: []table{
			s.figureTable("What became of the requests", counts),
			s.figureTable("Speed", speeds),
			s.figureTable("Latency", latencies),
			s.figureTable("Cost", costs),
			s.processTable("CPU by process, seconds", processCPU, "s"),
			s.processTable("Peak memory by process, MiB", processMemory, "MiB"),
		},
		Charts: s.charts(),
	}
	for i := range s.Arms {
		arm := &s.Arms[i]
		made.Tables = append(made.Tables, arm.refusedTable())
		made.Broken = append(made.Broken, arm.brokenWords()...)
		values := arm.values()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if n := len(values[name]); n < len(arm.Rounds) {
				made.Notes = append(made.Notes, fmt.Sprintf("%s has %s in %d of %d rounds only.", arm.title(), prose(name), n, len(arm.Rounds)))
			}
		}
	}
	made.Tables = slices.DeleteFunc(made.Tables, func(t table) bool { return len(t.Rows) == 0 })
	return made
}

func (a *Arm) roundsBroken() int {
	n := 0
	for _, r := range a.Rounds {
		if len(r.Broken) > 0 {
			n++
		}
	}
	return n
}

func (a *Arm) brokenWords() []string {
	var words []string
	for i, r := range a.Rounds {
		for _, broken := range r.Broken {
			words = append(words, fmt.Sprintf("%s, round %d: %s", a.title(), i+1, prose(broken)))
		}
	}
	return words
}
