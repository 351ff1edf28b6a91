package main

import (
	"errors"
	"testing"

	"github.com/anteroomhq/anteroom/internal/lab/report"
)

// TestKept: what anteroom breaks is found false, what a rival breaks is why it
// is there.
func TestKept(t *testing.T) {
	t.Parallel()
	broke := func(arm string) *report.Report {
		return &report.Report{Scenarios: []report.Scenario{{Arms: []report.Arm{
			{Name: "anteroom", Rounds: []report.Round{{}}},
			{Name: arm, Rounds: []report.Round{{}, {Broken: []string{"2 units oversold"}}}},
		}}}}
	}
	for arm, want := range map[string]error{"naive": nil, "optimistic": nil, "anteroom": errFalse, "anteroom_door": errFalse, "half_win": errFalse} {
		if err := kept(broke(arm)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", arm, err, want)
		}
	}
}
