package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/lab"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestDemo runs the demo as a person does and reads its summary.
func TestDemo(t *testing.T) {
	t.Parallel()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	demo := exec.CommandContext(t.Context(), path, "demo", "--buyers", "3000", "--units", "2", "--connections", "64", "--json")
	var progress strings.Builder
	demo.Stderr = &progress
	summary, err := demo.Output()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, progress.String())
	}
	var got map[string]any
	if err := json.Unmarshal(summary, &got); err != nil {
		t.Fatalf("%v: %s", err, summary)
	}
	for name, want := range map[string]any{
		"buyers": 3000.0, "units": 2.0, "sold": 2.0, "oversold": 0.0,
		"undecided": 0.0, "multiple_outcomes": 0.0, "position_rises": 0.0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	refused, _ := got["refused"].(map[string]any)["sold_out"].(float64)
	if accepted, _ := got["accepted"].(float64); accepted+refused != 3000 || accepted < 2 {
		t.Errorf("%v accepted and %v sold out at the door, of 3000", accepted, refused)
	}
	for _, name := range []string{"refused", "outcomes", "accept_ms", "outcome_ms", "seconds", "accepted_per_second", "answered_per_second", "backends"} {
		if got[name] == nil {
			t.Errorf("the summary has no %s: %s", name, summary)
		}
	}
	if !strings.Contains(progress.String(), "clicked") {
		t.Errorf("no progress was shown: %s", progress.String())
	}
}

// TestBrokenPromises shows that the demo does not believe itself: each promise
// that does not hold is found.
func TestBrokenPromises(t *testing.T) {
	t.Parallel()
	good := func() (*demoReport, postgres.SaleTally) {
		report := &demoReport{
			Units: 2,
			Result: lab.Result{
				Buyers: 10, Accepted: 10, Sold: 2,
				Outcomes: map[sale.State]int{sale.Confirmed: 2, sale.SoldOut: 8},
			},
		}
		ledger := postgres.SaleTally{
			Sale: sale.Sale{Settings: sale.Settings{Quantity: 2}, Confirmed: 2, Requests: 10, SoldOut: 8},
			Rows: map[sale.State]postgres.Count{sale.Confirmed: {Requests: 2, Units: 2}},
		}
		return report, ledger
	}
	if found := broken(good()); len(found) != 0 {
		t.Fatalf("nothing is broken, but: %q", found)
	}
	for says, spoil := range map[string]func(*demoReport, *postgres.SaleTally){
		"nobody got":       func(r *demoReport, _ *postgres.SaleTally) { r.Accepted = 0 },
		"were refused, of": func(r *demoReport, _ *postgres.SaleTally) { r.Buyers = 11 },
		"refused with":     func(r *demoReport, _ *postgres.SaleTally) { r.Refused = map[string]int{"internal": 1} },
		"went away":        func(r *demoReport, _ *postgres.SaleTally) { r.Outcomes[sale.SoldOut] = 7 },
		"as many requests": func(_ *demoReport, l *postgres.SaleTally) { l.Sale.SoldOut = 9 },
		"oversold":         func(r *demoReport, _ *postgres.SaleTally) { r.Oversold = 1 },
		"without an out":   func(r *demoReport, _ *postgres.SaleTally) { r.Undecided = 1 },
		"contradicted":     func(r *demoReport, _ *postgres.SaleTally) { r.MultipleOutcomes = 1 },
		"moved back":       func(r *demoReport, _ *postgres.SaleTally) { r.PositionRises = 1 },
		"sold units":       func(r *demoReport, _ *postgres.SaleTally) { r.Sold = 3 },
		"do not add up":    func(_ *demoReport, l *postgres.SaleTally) { l.Sale.Available = 1 },
		"requests decided": func(_ *demoReport, l *postgres.SaleTally) { l.Sale.Requests = 9 },
		"stayed unsold":    func(r *demoReport, _ *postgres.SaleTally) { r.Units = 3 },
		"told confirmed":   func(_ *demoReport, l *postgres.SaleTally) { l.Rows = nil },
		"told sold_out":    func(_ *demoReport, l *postgres.SaleTally) { l.Sale.SoldOut = 7 },
	} {
		report, ledger := good()
		spoil(report, &ledger)
		found := strings.Join(broken(report, ledger), "; ")
		if !strings.Contains(found, says) {
			t.Errorf("want %q to be found, found %q", says, found)
		}
	}
}
