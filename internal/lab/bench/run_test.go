package bench

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/lab/report"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Config{Stack: &fakeStack{}, Rounds: 1, Only: []string{"reject", "burst/redis_then_db"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for says, spoil := range map[string]func(*Config){
		"nothing to measure on": func(c *Config) { c.Stack = nil },
		"0 rounds":              func(c *Config) { c.Rounds = 0 },
		`"nonsense"`:            func(c *Config) { c.Only = []string{"reject", "nonsense"} },
		`"reject/for_update"`:   func(c *Config) { c.Only = []string{"reject/for_update"} }, // an arm of others
		`""`:                    func(c *Config) { c.Only = []string{""} },
	} {
		bad := good
		spoil(&bad)
		err := bad.Validate()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want it to say %s", err, says)
			continue
		}
		if strings.Contains(says, `"`) && !strings.Contains(err.Error(), strings.Join(Names(), ", ")) {
			t.Errorf("it does not say what there is: %v", err)
		}
	}
}

// TestSelected: whatever is asked for, in whatever order and how often, is
// chosen once and in the order of the whole.
func TestSelected(t *testing.T) {
	t.Parallel()
	full := func(of []scenario) (names []string) {
		for _, s := range of {
			for _, a := range s.arms {
				names = append(names, s.name+"/"+a.name)
			}
		}
		return names
	}
	all := scenarios(quickSize)
	if got := full(selected(all, nil)); !slices.Equal(got, full(all)) {
		t.Errorf("nothing asked for is not everything, but %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		only := rapid.SliceOfN(rapid.SampledFrom(slices.Concat(Names(), full(all), []string{"nonsense", "reject/", "/anteroom"})), 1, 8).Draw(t, "only")
		var want []string
		for _, name := range full(all) {
			of, _, _ := strings.Cut(name, "/")
			if slices.Contains(only, of) || slices.Contains(only, name) {
				want = append(want, name)
			}
		}
		if got := full(selected(all, only)); !slices.Equal(got, want) {
			t.Fatalf("%q chose %q, want %q", only, got, want)
		}
		if got := full(all); !slices.Equal(got, full(scenarios(quickSize))) {
			t.Fatal("choosing changed what there is")
		}
	})
}

// TestScenariosAreNamedOnce: a name means one thing, in both sizes the same.
func TestScenariosAreNamedOnce(t *testing.T) {
	t.Parallel()
	full := scenarios(fullSize)
	for i, s := range scenarios(quickSize) {
		if full[i].name != s.name || len(full[i].arms) != len(s.arms) {
			t.Errorf("%s of the small size is %s of the full one", s.name, full[i].name)
		}
		seen := make(map[string]bool)
		for _, a := range s.arms {
			if seen[a.name] || a.name == "" || a.title == "" || strings.Contains(a.name, "/") {
				t.Errorf("%s has an arm %q (%q), again or without a name", s.name, a.name, a.title)
			}
			seen[a.name] = true
		}
	}
	if names := Names(); len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("a scenario's name is there twice: %q", names)
	}
}

// TestMedianCurve: each figure of each point is the median of its rounds, as
// the report takes medians.
func TestMedianCurve(t *testing.T) {
	t.Parallel()
	if got := medianCurve(nil); got != nil {
		t.Errorf("the median of no curves is %v", got)
	}
	figures := func(p *report.CurvePoint) []*float64 {
		return []*float64{
			&p.OfferedPerSecond, &p.AnsweredPerSecond, &p.GoodputPerSecond, &p.ClickP50, &p.ClickP99, &p.OutcomeP50, &p.OutcomeP99, &p.Shed,
			&p.ShedP50, &p.ShedP99, &p.Untold, &p.Waited, &p.WaitP99, &p.SendP99,
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		loads := rapid.SliceOfN(rapid.Float64Range(0, 2), 1, 4).Draw(t, "loads")
		rounds := make([][]report.CurvePoint, rapid.IntRange(1, 6).Draw(t, "rounds"))
		for r := range rounds {
			for _, load := range loads {
				point := report.CurvePoint{Load: load}
				for _, figure := range figures(&point) {
					*figure = float64(rapid.IntRange(0, 1000).Draw(t, "figure"))
				}
				rounds[r] = append(rounds[r], point)
			}
		}
		first := slices.Clone(rounds[0])
		curve := medianCurve(rounds)
		if !slices.Equal(rounds[0], first) {
			t.Fatal("the first round was written over")
		}
		for i := range curve {
			if curve[i].Load != loads[i] {
				t.Fatalf("point %d is of the load %v, want %v", i, curve[i].Load, loads[i])
			}
			for f, got := range figures(&curve[i]) {
				var values []float64
				for r := range rounds {
					values = append(values, *figures(&rounds[r][i])[f])
				}
				want, err := report.Of(values)
				if err != nil {
					t.Fatal(err)
				}
				if *got != want.Median {
					t.Fatalf("the median of %v is %v, not %v", values, want.Median, *got)
				}
			}
		}
	})
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 50_000: "50,000", 1_000_000: "1,000,000"} {
		if got := count(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1<<40).Draw(t, "n")
		groups := strings.Split(count(n), ",")
		if got := strings.Join(groups, ""); got != strconv.Itoa(n) {
			t.Fatalf("%d is written %q", n, groups)
		}
		for i, group := range groups {
			if len(group) != 3 && (i > 0 || len(group) < 1 || len(group) > 3) {
				t.Fatalf("%d is written %q", n, groups)
			}
		}
	})
}

// TestHeadline: the figure that says most comes first, and what is broken is
// never left out.
func TestHeadline(t *testing.T) {
	t.Parallel()
	round := report.Round{Figures: map[string]float64{"answered_per_second": 5, "decided_per_second": 4}, Broken: []string{"2 units oversold"}}
	if got, want := headline(&round), "decided_per_second 4, 2 units oversold"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := headline(&report.Round{}); got != "no figure" {
		t.Errorf("of nothing the headline is %q", got)
	}
	if got := headline(&report.Round{Broken: []string{"2 units oversold"}}); !strings.Contains(got, "2 units oversold") {
		t.Errorf("without a figure the headline is %q", got)
	}
}
