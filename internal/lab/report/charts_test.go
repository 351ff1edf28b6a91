package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func texts(marks []mark) []string {
	var all []string
	for _, m := range marks {
		all = append(all, m.Text)
	}
	return all
}

func TestAxes(t *testing.T) {
	t.Parallel()
	plainly := func(v float64) string { return number(v, "") }
	for name, c := range map[string]struct {
		axis  axis
		marks []string
		at    map[float64]float64
	}{
		"linear":        {linear("", 1000, 4, plainly), []string{"0", "500", "1,000"}, map[float64]float64{0: 0, 250: 250, 2000: 1000}},
		"of nothing":    {linear("", math.NaN(), 2, plainly), []string{"0", "0.500", "1"}, map[float64]float64{1: 1000}},
		"two decades":   {logarithmic("", 1.2, 90), []string{"1", "2", "5", "10", "20", "50", "100"}, map[float64]float64{0: 0, 1: 0, 10: 500, 100: 1000}},
		"many decades":  {logarithmic("", 0.01, 1000), []string{"0.01", "0.1", "1", "10", "100", "1,000"}, map[float64]float64{1: 400}},
		"one latency":   {logarithmic("", 5, 5), []string{"5", "10", "20", "50"}, map[float64]float64{5: 0}},
		"quantiles":     {quantileAxis(0.9999), []string{"p50", "p90", "p99", "p99.9", "p99.99", "max"}, map[float64]float64{0: 0, 0.99: 2 / 4.8 * 1000, 1: 1000}},
		"few quantiles": {quantileAxis(0.5), []string{"p50", "p90", "max"}, map[float64]float64{-1: 0, 0.9: 1 / 1.8 * 1000}},
	} {
		if diff := cmp.Diff(c.marks, texts(c.axis.Marks)); diff != "" {
			t.Errorf("%s: marks (-want +got):\n%s", name, diff)
		}
		for v, at := range c.at {
			if got := c.axis.at(v); math.Abs(got-at) > 0.01 {
				t.Errorf("%s: %v is at %v, want %v", name, v, got, at)
			}
		}
	}
}

// TestAxesEnd: whatever the numbers, an axis has few marks, in order and
// inside of the chart.
func TestAxesEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		low, high := rapid.Float64Range(0, math.MaxFloat64).Draw(t, "low"), rapid.Float64Range(0, math.MaxFloat64).Draw(t, "high")
		for _, a := range []axis{
			logarithmic("", low, high), linear("", high, 4, markWords), quantileAxis(rapid.Float64Range(0, 0.9999999999).Draw(t, "quantile")),
		} {
			if len(a.Marks) < 2 || len(a.Marks) > 25 {
				t.Fatalf("%d marks", len(a.Marks))
			}
			if !slices.IsSortedFunc(a.Marks, func(a, b mark) int { return int(math.Copysign(1, a.At-b.At)) }) || a.Marks[0].At < 0 || a.Marks[len(a.Marks)-1].At > 1000 {
				t.Fatalf("marks %v", a.Marks)
			}
		}
	})
}

// TestRates: a long timeline is drawn with few steps, and no answer is lost.
func TestRates(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		answered := rapid.SliceOfN(rapid.IntRange(0, 1000), 2, 2000).Draw(t, "answered")
		r, sum := Round{}, 0.0
		for i, n := range answered {
			r.Timeline = append(r.Timeline, TimelinePoint{float64(100 * i), float64(n)})
			sum += float64(n)
		}
		drawn := 0.0
		rates := r.rates()
		for _, of := range rates {
			drawn += of.value * (of.to - of.from)
		}
		if len(rates) > maxRates || math.Abs(drawn-sum) > 1e-6*max(1, sum) || rates[len(rates)-1].to != float64(len(answered))/10 {
			t.Fatalf("%d steps to %v s with %v answers of %v", len(rates), rates[len(rates)-1].to, drawn, sum)
		}
	})
	var long Round
	for i := range 5*maxRates + 1 {
		long.Timeline = append(long.Timeline, TimelinePoint{float64(100 * i), 7})
	}
	if rates := long.rates(); len(rates) > maxRates || rates[0].value != 70 || rates[len(rates)-1].value != 70 {
		t.Errorf("%d steps", len(rates))
	}
	for name, timeline := range map[string][]TimelinePoint{"none": nil, "one": {{0, 5}}, "at once": {{0, 5}, {0, 5}}} {
		if got := (&Round{Timeline: timeline}).rates(); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestTypicalRound: what is drawn over time is the round in the middle.
func TestTypicalRound(t *testing.T) {
	t.Parallel()
	var a Arm
	for _, v := range []float64{5, 1, 4, 2, 3} {
		a.Rounds = append(a.Rounds, Round{Figures: map[string]float64{AnsweredPerSecond: v}, Timeline: []TimelinePoint{{0, v}, {100, v}}})
	}
	if _, of := a.typical(); of != 5 {
		t.Errorf("round %d", of)
	}
	a.Rounds[4].Timeline = nil
	if _, of := a.typical(); of != 4 {
		t.Errorf("without it, round %d", of)
	}
}

// TestQuantiles: a curve is the median over rounds, where all have a point.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	a := Arm{Rounds: []Round{
		{Latency: []LatencyPoint{{0.5, 1}, {0.99, 9}, {1, 10}}},
		{Latency: []LatencyPoint{{0.5, 3}, {0.99, 7}, {0.999, 8}, {1, 30}}},
		{Latency: []LatencyPoint{{0.5, 2}, {0.99, 5}, {0.99, 100}, {1, 20}, {2, 1}, {0.3, math.NaN()}}},
	}}
	if diff := cmp.Diff([]LatencyPoint{{0.5, 2}, {0.99, 7}, {1, 20}}, a.quantiles()); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	s := Scenario{Arms: []Arm{a}}
	var row []string
	for _, c := range s.quantileTable().Rows[0][1:] {
		row = append(row, c.Text)
	}
	// Where p90 is not known, p99 bounds it.
	if diff := cmp.Diff([]string{"2.00", "≤ 7.00", "7.00", "≤ 20.0", "≤ 20.0", "20.0"}, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// TestNoGoodputIsDrawn: a service that broke down shows as 0, not as a gap.
func TestNoGoodputIsDrawn(t *testing.T) {
	t.Parallel()
	a := Arm{Curve: []CurvePoint{{Load: 1, OfferedPerSecond: 100, GoodputPerSecond: 100}, {Load: 1.2, OfferedPerSecond: 120}}}
	drawn := a.goodputChart().Lines.Lines[0].Path
	if !strings.HasSuffix(drawn, "L1000.0 1000.0") {
		t.Errorf("goodput is drawn %s", drawn)
	}
	s := Scenario{Arms: []Arm{a}}
	if charts := s.charts(); len(charts) != 2 || len(charts[0].Table.Rows) != 2 || charts[0].Lines != nil {
		t.Errorf("charts %+v, want the numbers even where no latency is to be drawn", charts)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "ms", "0"}, {0.001234, "ms", "0.00123"}, {0.05, "ms", "0.0500"}, {0.4996, "ms", "0.500"}, {0.99951, "ms", "1.00"}, {9.994, "ms", "9.99"},
		{9.996, "ms", "10.0"}, {99.94, "ms", "99.9"}, {99.96, "ms", "100"}, {1234567.4, "1/s", "1,234,567"}, {-1234, "", "-1,234"},
		{12, "", "12"}, {12.5, "", "12.5"}, {0.213, "%", "21.3"}, {3 << 20, "MiB", "3.00"}, {1e-9, "s", "1e-09"}, {math.NaN(), "s", none},
	} {
		if got := number(c.value, c.unit); got != c.want {
			t.Errorf("%v %s is %q, want %q", c.value, c.unit, got, c.want)
		}
	}
	for seconds, want := range map[float64]string{4.2: "4.20 s", 59.96: "60.0 s", 119.7: "2 min 0 s", 1534.2: "25 min 34 s", 7300: "2 h 1 min"} {
		if got := durationWords(seconds); got != want {
			t.Errorf("%v s is %q, want %q", seconds, got, want)
		}
	}
}

// TestOneRoundThatOversold is seen among many: an interval would leave it out.
func TestOneRoundThatOversold(t *testing.T) {
	t.Parallel()
	r := Report{Scenarios: []Scenario{{Arms: []Arm{{Rounds: make([]Round, 20)}}}}}
	rounds := r.Scenarios[0].Arms[0].Rounds
	for i := range rounds {
		rounds[i].Figures = map[string]float64{Oversold: 0}
	}
	rounds[7].Figures[Oversold] = 3
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	if got := r.Scenarios[0].figureTable("", counts).Rows[0][1]; got != (cell{"0–3", bad}) {
		t.Errorf("it is shown as %v", got)
	}
}

// TestFiguresByName: a figure that nobody foresaw is shown by its name's end.
func TestFiguresByName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]figure{
		"polls_per_second":       {"polls_per_second", "polls", "1/s", speeds, false},
		"open_p99_ms":            {"open_p99_ms", "open p99", "ms", latencies, false},
		"stream_bytes":           {"stream_bytes", "stream", "KiB", costs, false},
		"heap_rss_bytes":         {"heap_rss_bytes", "heap", "MiB", costs, false},
		"decisions_per_fsync":    {"decisions_per_fsync", "decisions per fsync", "", speeds, false},
		"service_peak_mb":        {"service_peak_mb", "service peak", "MB", costs, false},
		"shed":                   {"shed", "shed", "", counts, false},
		"_ms":                    {"_ms", " ms", "", counts, false},
		"backend_calls_per_poll": {"backend_calls_per_poll", "backend calls per poll", "", speeds, false},
	} {
		if got := figureOf(name); got != want {
			t.Errorf("%s is shown as %+v, want %+v", name, got, want)
		}
	}
}
