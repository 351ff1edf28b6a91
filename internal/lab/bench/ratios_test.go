package bench

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/lab/report"
)

// TestResultsReferToWhatIsThere: a name that is mistyped would be reported as
// not measured, for ever.
func TestResultsReferToWhatIsThere(t *testing.T) {
	t.Parallel()
	all, figures := scenarios(quickSize), notedFigures(t)
	seen := make(map[string]bool)
	for _, n := range results() {
		if seen[n.name] {
			t.Errorf("two results are called %s", n.name)
		}
		seen[n.name] = true
		if _, err := report.ParseReach(n.reach); err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
		if !figures[n.figure] {
			t.Errorf("%s is of the figure %q, which nothing notes", n.name, n.figure)
		}
		for _, arm := range []string{n.arm, n.by} {
			if arm != "" && len(selected(all, []string{n.scenario + "/" + arm})) == 0 {
				t.Errorf("%s is of %s/%s, which is not there", n.name, n.scenario, arm)
			}
		}
		if n.arm == "" || n.by != "" && n.divisor != 0 {
			t.Errorf("%s is neither a figure nor a quotient: %+v", n.name, n)
		}
	}
}

// notedFigures are those that some arm takes down, read from the package's
// source: to run the arms takes minutes and real servers.
func notedFigures(t *testing.T) map[string]bool {
	t.Helper()
	sources, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	figures := map[string]bool{report.Answered: true}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			if method, ok := call.Fun.(*ast.SelectorExpr); !ok || method.Sel.Name != "note" {
				return true
			}
			if name, ok := call.Args[0].(*ast.BasicLit); ok {
				figure, err := strconv.Unquote(name.Value)
				if err != nil {
					t.Fatal(err)
				}
				figures[figure] = true
			}
			return true
		})
	}
	return figures
}

// TestRatiosPairByRound: a quotient is taken within a round, and a round that
// lacks either side is left out.
func TestRatiosPairByRound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quotients := slices.DeleteFunc(results(), func(n named) bool { return n.by == "" })
		n := rapid.SampledFrom(quotients).Draw(t, "result")
		value := rapid.Float64Range(1e-3, 1e6)
		rounds := rapid.IntRange(1, 6).Draw(t, "rounds")
		a, b := make([]report.Round, rounds), make([]report.Round, rounds)
		var above, below []float64
		for i := range rounds {
			a[i].Figures, b[i].Figures = map[string]float64{}, map[string]float64{}
			hasA, hasB := rapid.Bool().Draw(t, "a is there"), rapid.Bool().Draw(t, "b is there")
			if hasA {
				a[i].Figures[n.figure] = value.Draw(t, "a")
			}
			if hasB {
				b[i].Figures[n.figure] = value.Draw(t, "b")
			}
			if hasA && hasB {
				above, below = append(above, a[i].Figures[n.figure]), append(below, b[i].Figures[n.figure])
			}
		}
		found, missing, err := ratios([]report.Scenario{{Name: n.scenario, Arms: []report.Arm{
			{Name: n.by, Rounds: b}, {Name: n.arm, Rounds: a},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		got, there := found[n.name]
		if len(above) == 0 {
			if there || !names(missing, n.name) {
				t.Fatalf("no round has both, but it is %v, and missing are %q", got, missing)
			}
			return
		}
		want, err := report.Paired(above, below)
		if err != nil {
			t.Fatal(err)
		}
		if got.Spread != want.Spread || names(missing, n.name) {
			t.Fatalf("%v, want %v; missing are %q", got.Spread, want.Spread, missing)
		}
	})
}

// names reports whether a result is among the missing, which may say why.
func names(missing []string, result string) bool {
	return slices.ContainsFunc(missing, func(m string) bool { return m == result || strings.HasPrefix(m, result+" (") })
}

// TestRatiosNameWhatIsMissing: every result is there or missing, whichever arms
// were measured.
func TestRatiosNameWhatIsMissing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var measured []report.Scenario
		arms := make(map[string]bool)
		for _, s := range scenarios(quickSize) {
			of := report.Scenario{Name: s.name}
			for _, a := range s.arms {
				if !rapid.Bool().Draw(t, s.name+"/"+a.name) {
					continue
				}
				round := report.Round{Figures: make(map[string]float64)}
				for _, n := range results() {
					round.Figures[n.figure] = 2
				}
				of.Arms = append(of.Arms, report.Arm{Name: a.name, Rounds: []report.Round{round}})
				arms[s.name+"/"+a.name] = true
			}
			measured = append(measured, of)
		}
		found, missing, err := ratios(measured)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range results() {
			want := arms[n.scenario+"/"+n.arm] && (n.by == "" || arms[n.scenario+"/"+n.by])
			if _, there := found[n.name]; there != want || names(missing, n.name) == want {
				t.Fatalf("%s: measured %v, but found %v, and missing are %q", n.name, want, there, missing)
			}
		}
	})
}

// TestRatiosOutliveOneThatCannotBe: a rival that answered nobody costs only the
// ratios that are to it.
func TestRatiosOutliveOneThatCannotBe(t *testing.T) {
	t.Parallel()
	arm := func(name string, decided float64) report.Arm {
		return report.Arm{Name: name, Rounds: []report.Round{{Figures: map[string]float64{"decided_per_second": decided}}}}
	}
	found, missing, err := ratios([]report.Scenario{{Name: "contended", Arms: []report.Arm{
		arm("anteroom", 100), arm("for_update", 0), arm("conditional", 10),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := found["contended_vs_conditional"].Median; got != 10 {
		t.Errorf("the ratio to the other rival is %v, want 10", got)
	}
	if _, there := found["contended_vs_for_update"]; there || !slices.ContainsFunc(missing, func(m string) bool {
		return strings.HasPrefix(m, "contended_vs_for_update (") && strings.Contains(m, "100 to 0")
	}) {
		t.Errorf("a quotient by 0 is not missing with its reason: %q", missing)
	}
}

// TestRatiosOfAPlainFigure: it is divided by what the result says, and carries
// unit and reach.
func TestRatiosOfAPlainFigure(t *testing.T) {
	t.Parallel()
	found, _, err := ratios([]report.Scenario{
		{Name: "winners", Arms: []report.Arm{{Name: "anteroom", Rounds: []report.Round{
			{Figures: map[string]float64{"decided_per_core_second": 2650}},
		}}}},
		{Name: "streams", Arms: []report.Arm{{Name: "anteroom", Rounds: []report.Round{
			{Figures: map[string]float64{"stream_bytes": 9000}}, {Figures: map[string]float64{"stream_bytes": 11000}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := found["winners_per_core_vs_published"]; got.Median != 10 {
		t.Errorf("2650 by 265 is %v", got.Median)
	}
	got := found["stream_bytes"]
	if want := (report.Spread{Median: 10_000, Low: 9000, High: 11_000}); got.Spread != want {
		t.Errorf("stream_bytes is %v, want %v", got.Spread, want)
	}
	if got.Unit != "bytes" || got.Reach.String() != "<= 12288" || !strings.Contains(got.About, "streams") {
		t.Errorf("it does not say what it is: %+v", got)
	}
}
