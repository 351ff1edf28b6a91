package report

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"
)

// made is a report as a run might leave it, completed, out of figures that are
// made up and the same every time.
func made(t testing.TB) *Report {
	t.Helper()
	r := &Report{
		Command: "anteroom bench --json", Started: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Seconds: 1534.2,
		Commit: "0123abc", Rounds: 5,
		Environment: Environment{
			CPU: "Example CPU at 2.5 GHz", Cores: 2, MemoryBytes: 8 << 30, Kernel: "6.1.0", Go: "go1.26.1", GOMAXPROCS: 2,
			Kafka: "4.1.0", Redis: "7.4.1", Postgres: "17.2", Java: "21.0.5", FsyncMS: 0.84,
			Settings: []Setting{{"postgres synchronous_commit", "on"}, {"kafka num.io.threads", "8"}},
		},
		Warnings: []string{"the machine was not quiet: 4 % of the CPU was stolen"},
		Ratios: map[string]Ratio{
			"stream_bytes":    {Spread: Spread{14_310, 14_200, 14_800}, Reach: Reach{AtMost, 12_288}, Unit: "bytes"},
			"last_outcome_ms": {Spread: Spread{96.3, 88.1, 104}, Reach: Reach{AtMost, 100}, Unit: "ms"},
			"sold_of_units":   {Spread: Spread{1, 1, 1}},
		},
		Scenarios: []Scenario{pipeline(), contended(), overLoad()},
	}
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]struct {
		scenario, arm, than int
		figure              string
		reach, about        string
	}{
		"pipeline_vs_bare_echo":    {0, 0, 1, AcceptedPerSecond, ">= 0.50", "accepted a second ÷ answers a second of a bare echo handler"},
		"contended_vs_conditional": {1, 0, 2, AnsweredPerSecond, ">= 12", "answered a second"},
	} {
		arms := r.Scenarios[of.scenario].Arms
		a, err := arms[of.arm].Values(of.figure)
		if err != nil {
			t.Fatal(err)
		}
		b, err := arms[of.than].Values(AnsweredPerSecond)
		if err != nil {
			t.Fatal(err)
		}
		ratio, err := Paired(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if ratio.Reach, err = ParseReach(of.reach); err != nil {
			t.Fatal(err)
		}
		ratio.About = of.about
		r.Ratios[name] = ratio
	}
	return r
}

func pipeline() Scenario {
	return Scenario{
		Name: "pipeline", Title: "1,000,000 buyers, 2 units", About: "Everyone clicks once, 256 connections,\nas fast as they are answered.",
		Arms: []Arm{
			arm("anteroom", "anteroom", 20_400, 12, 2, 5, Ingress, Allocator, Kafka, Redis, Postgres, Generator),
			arm("bare_echo", "bare echo handler", 38_200, 6, 0, 5, Rival, Generator),
		},
	}
}

// contended has as many arms as the lab knows rivals.
func contended() Scenario {
	s := Scenario{Name: "contended", Title: "20,000 buyers, 10,000 units", About: "Every second buyer wins, so rows must be written."}
	s.Arms = append(s.Arms, arm("anteroom", "anteroom", 18_100, 14, 10_000, 5, Ingress, Allocator, Kafka, Redis, Postgres, Generator))
	for i, name := range []string{"for_update", "conditional", "skip_locked", "optimistic", "redis_then_db", "redis_lua_then_db", "cache_check", "naive"} {
		processes := []string{Rival, Postgres, Generator}
		if i > 3 && i < 7 {
			processes = []string{Rival, Redis, Postgres, Generator}
		}
		a := arm(name, "", 700+float64(i%4)*420, 180/float64(i+1), 10_000, 5, processes...)
		a.Settings = []Setting{{"pool", fmt.Sprint(4 * (i + 1))}, {"isolation", "read committed"}}
		if name == "naive" {
			for j := range a.Rounds {
				a.Rounds[j].Figures[Sold] = 10_000 + float64(211*(j+1))
				a.Rounds[j].Figures[Oversold] = float64(211 * (j + 1))
				a.Rounds[j].Broken = []string{fmt.Sprintf("%d units were sold that were not there", 211*(j+1))}
			}
		}
		if name == "skip_locked" {
			delete(a.Rounds[3].Figures, OutcomeP99)
		}
		s.Arms = append(s.Arms, a)
	}
	return s
}

func overLoad() Scenario {
	a := arm("anteroom", "anteroom", 19_000, 9, 2, 1, Ingress, Allocator, Kafka, Redis, Postgres, Generator)
	for _, load := range []float64{0.1, 0.25, 0.5, 0.7, 0.85, 1, 1.2} {
		answered := min(load, 1) * 20_000
		a.Curve = append(a.Curve, CurvePoint{
			Load: load, OfferedPerSecond: load * 20_000, AnsweredPerSecond: load * 20_000, GoodputPerSecond: answered * (1.02 - load/20),
			ClickP50: 2 + 3*load*load, ClickP99: 4 + 20*math.Pow(load, 6), OutcomeP50: 20 + 30*load, OutcomeP99: 50 + 120*math.Pow(load, 4),
			Connections: 2_048, SendP99: 1 + load,
		})
		if p := &a.Curve[len(a.Curve)-1]; load > 1 {
			p.Shed, p.ShedP50, p.ShedP99, p.Untold = (load-1)/load, 4, 30, 0.001
			p.Connections, p.Waited, p.WaitP99 = 16_384, 0.02, 12
		}
	}
	return Scenario{Name: "load", Title: "Over offered load", About: "Poisson arrivals, 10 % to 120 % of capacity.", Arms: []Arm{a}}
}

// arm answers about so many a second, at about so many milliseconds.
func arm(name, title string, perSecond, ms, sold float64, rounds int, processes ...string) Arm {
	const clicks = 20_000
	a := Arm{Name: name, Title: title}
	for i := range rounds {
		wobble := 1 + 0.04*math.Sin(float64(i)*2.1+ms)
		seconds := clicks / (perSecond * wobble)
		round := Round{Figures: map[string]float64{
			AnsweredPerSecond: perSecond * wobble, Answered: clicks, Seconds: seconds,
			ClickP50: latency(0.5, ms/wobble), ClickP99: latency(0.99, ms/wobble), ClickMax: latency(1, ms/wobble), OutcomeP99: 5 * ms,
			Sold: sold, Oversold: 0, Unsold: 0, Errors: 0, GeneratorCPUShare: 0.21 / wobble,
		}}
		if name == "anteroom" {
			round.Figures[AcceptedPerSecond] = perSecond * wobble
			round.Figures["decisions_per_fsync"] = 730 * wobble
		}
		for _, q := range []float64{0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1} {
			round.Latency = append(round.Latency, LatencyPoint{q, latency(q, ms/wobble)})
		}
		const bins = 24
		for j := range bins {
			round.Timeline = append(round.Timeline, TimelinePoint{
				AtMS: float64(j) * seconds * 1000 / bins, Answered: clicks / bins * (1 + 0.3*math.Sin(float64(j)*1.7+float64(i))),
			})
		}
		for j, process := range processes {
			round.Processes = append(round.Processes, Process{process, seconds * (0.9 - 0.12*float64(j)) * wobble, int64(20+31*j) << 20})
		}
		a.Rounds = append(a.Rounds, round)
	}
	return a
}

// latency grows with each further nine.
func latency(quantile, ms float64) float64 {
	nines := 5.0
	if quantile < 1 {
		nines = -math.Log10(1 - quantile)
	}
	return ms * (0.4 + 0.6*nines*nines/3)
}

// faces are all that a report can be seen as.
func faces(t testing.TB, r *Report) map[string]string {
	t.Helper()
	shown := make(map[string]string)
	var out bytes.Buffer
	for name, write := range map[string]func() error{
		"txt":  func() error { return r.WriteText(&out) },
		"json": func() error { return r.WriteJSON(&out) },
		"md":   func() error { return r.WriteMarkdown(&out) },
		"html": func() error { return r.WriteHTML(&out) },
	} {
		out.Reset()
		if err := write(); err != nil {
			t.Fatal(err)
		}
		shown[name] = out.String()
	}
	return shown
}
