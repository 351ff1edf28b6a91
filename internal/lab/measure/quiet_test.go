package measure

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const stat2cores = `cpu  100 1 50 800 20 2 7 20 0 0
cpu0 50 1 25 400 10 1 4 10 0 0
cpu1 50 0 25 400 10 1 3 10 0 0
intr 12345 0 0
ctxt 99
`

func TestParseMachine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content string
		want    machine
		err     bool
	}{
		"two cores":   {content: stat2cores, want: machine{busy: 160, steal: 20, total: 1000, cores: 2}},
		"nothing":     {content: "", err: true},
		"cut off":     {content: "cpu 1 2 3\ncpu0 1 2 3\n", err: true},
		"not numbers": {content: "cpu a 2 3 4 5 6 7 8\ncpu0\n", err: true},
	} {
		got, err := parseMachine([]byte(c.content))
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(machine{})); diff != "" || (err != nil) != c.err {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestQuietness(t *testing.T) {
	t.Parallel()
	before := machine{busy: 1000, steal: 10, total: 10_000, ours: 700, cores: 2}
	for name, c := range map[string]struct {
		busy, steal, ours int64 // more of them, in 200 ticks
		want              Quietness
		quiet             bool
		words             string
	}{
		"idle":               {0, 0, 0, Quietness{Load: 0.5}, true, "the host takes away 0.0 %"},
		"all of it ours":     {200, 0, 200, Quietness{Load: 0.5}, true, "other processes use 0.0 %"},
		"rounded beyond":     {10, 0, 12, Quietness{Load: 0.5}, true, "other processes use 0.0 %"},
		"foreign":            {60, 0, 20, Quietness{Foreign: 0.2, Load: 0.5}, false, "other processes use 20.0 % of the CPU (at most 5 %)"},
		"steal":              {0, 6, 0, Quietness{Steal: 0.03, Load: 0.5}, false, "the host takes away 3.0 % of the CPU (at most 2 %)"},
		"a little of either": {10, 4, 0, Quietness{Foreign: 0.05, Steal: 0.02, Load: 0.5}, true, "the load of the last minute was 0.5"},
	} {
		after := machine{
			busy: before.busy + c.busy, steal: before.steal + c.steal, total: before.total + 200, ours: before.ours + c.ours,
			cores: 2, load: 1,
		}
		got, err := quietnessBetween(before, after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
		if diff := cmp.Diff(c.want, got, near); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.OK() != c.quiet || !strings.Contains(got.String(), c.words) {
			t.Errorf("%s: quiet %t, %q; want %t, %q", name, got.OK(), got, c.quiet, c.words)
		}
	}
	if _, err := quietnessBetween(before, before); err == nil {
		t.Error("no time at all is measured")
	}
}

func TestQuietLooks(t *testing.T) {
	t.Parallel()
	if err := supported(); err != nil {
		t.Skip(err)
	}
	got, err := Quiet(t.Context(), 50*time.Millisecond)
	if err != nil || got.Steal < 0 || got.Steal > 1 || got.Foreign < 0 || got.Foreign > 1 {
		t.Errorf("%+v, %v", got, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Quiet(ended, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a look that was interrupted gives %v", err)
	}
}
