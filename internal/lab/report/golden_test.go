package report

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden reports anew")

// TestGoldenReports: testdata has what each face shows of a whole report, of
// one with a single short round, and of one with nothing in it.
func TestGoldenReports(t *testing.T) {
	t.Parallel()
	short := &Report{
		Command: "anteroom bench --quick", Started: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Seconds: 4.2, Quick: true, Rounds: 1,
		Scenarios: []Scenario{{Name: "polls", Arms: []Arm{arm("anteroom", "", 30_000, 3, 2, 1, Ingress, Generator)}}},
	}
	if err := short.Complete(); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Report{
		"whole": made(t), "short": short, "empty": {Started: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)},
	} {
		for face, got := range faces(t, r) {
			if name == "whole" && face == "json" {
				continue // long, and held to what is read back from it
			}
			t.Run(name+"."+face, func(t *testing.T) {
				t.Parallel()
				golden := filepath.Join("testdata", name+"."+face)
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
					t.Errorf("report (-%s +got):\n%s", golden, diff)
				}
			})
		}
	}
}
