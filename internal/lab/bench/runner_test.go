package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/report"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// fakeStack starts nothing but a generator that never answers, and takes down
// what is started and closed.
type fakeStack struct {
	shop       string // where services are said to listen
	began      []string
	closed     []string
	closing    error // what the Close of a service gives
	generators []*load.Driver
}

func (s *fakeStack) start(what string) (name string) {
	name = fmt.Sprintf("%s %d", what, len(s.began)+1)
	s.began = append(s.began, name)
	return name
}

func (s *fakeStack) Service(context.Context, ServiceConfig) (Service, error) {
	return &fakeService{stack: s, name: s.start("service")}, nil
}

func (s *fakeStack) Rival(context.Context, rival.Config, time.Duration) (Rival, error) {
	return &fakeRival{stack: s, name: s.start("rival")}, nil
}

// Generator is a process that ends with its input, as a generator does.
func (s *fakeStack) Generator(ctx context.Context) (*load.Driver, error) {
	g, err := load.Start(ctx, exec.CommandContext(ctx, "cat"))
	if err == nil {
		s.generators = append(s.generators, g)
	}
	return g, err
}

func (s *fakeStack) Backends() map[string]int             { return map[string]int{} }
func (s *fakeStack) Syncs(context.Context) (int64, error) { return 0, nil }

type fakeService struct {
	Service // what no test calls

	stack *fakeStack
	name  string
}

func (s *fakeService) Address() string           { return s.stack.shop }
func (s *fakeService) Processes() map[string]int { return nil }
func (s *fakeService) Close() error {
	s.stack.closed = append(s.stack.closed, s.name)
	return s.stack.closing
}

func (s *fakeService) Operator() *client.Client {
	c, err := client.New(client.Config{URL: "http://" + s.stack.shop, OperatorToken: "operator"})
	if err != nil {
		panic(err) // the address is a test server's
	}
	return c
}

type fakeRival struct {
	Rival // what no test calls

	stack *fakeStack
	name  string
}

func (r *fakeRival) Settings() []rival.Setting {
	return []rival.Setting{{Name: "started as", Value: r.name}}
}

func (r *fakeRival) Close() error {
	r.stack.closed = append(r.stack.closed, r.name)
	return nil
}

// allClosed checks that everything that was started was closed, once.
func (s *fakeStack) allClosed(t *testing.T) {
	t.Helper()
	began, closed := slices.Sorted(slices.Values(s.began)), slices.Sorted(slices.Values(s.closed))
	if len(began) == 0 || !slices.Equal(began, closed) {
		t.Errorf("started %q, closed %q", s.began, s.closed)
	}
	for _, g := range s.generators {
		if err := syscall.Kill(g.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("generator %d runs still (%v)", g.PID(), err)
		}
	}
}

// taking is an arm that starts one of everything, and then does what the test
// wants.
func taking(name string, then func(context.Context, *trial) error) arm {
	return arm{name, name, func(ctx context.Context, t *trial) error {
		if _, err := t.service(ctx, ServiceConfig{}); err != nil {
			return err
		}
		if _, err := t.rival(ctx, rival.Config{Kind: rival.Naive}, 0); err != nil {
			return err
		}
		if _, err := t.generator(ctx); err != nil {
			return err
		}
		return then(ctx, t)
	}}
}

// TestArmsTakeTurns: every round begins with another arm, and nothing of an arm
// is left when the next one begins.
func TestArmsTakeTurns(t *testing.T) {
	t.Parallel()
	stack := &fakeStack{}
	var order, lines []string
	s := scenario{name: "turns", title: "Turns", about: "about turns"}
	for _, name := range []string{"a", "b", "c"} {
		s.arms = append(s.arms, taking(name, func(_ context.Context, t *trial) error {
			order = append(order, name)
			if open := len(stack.began) - len(stack.closed); open != 2 { // its own two
				t.broken("%d were running as %s began", open, name)
			}
			t.note("answered_per_second", float64(len(order)))
			return nil
		}))
	}
	c := Config{Stack: stack, Rounds: 4, Progress: func(line string) { lines = append(lines, line) }}
	found, err := c.scenario(t.Context(), s, quickSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(order, ""), "abc"+"bca"+"cab"+"abc"; got != want {
		t.Errorf("the arms ran as %s, want %s", got, want)
	}
	if len(lines) != len(order) || !strings.HasPrefix(lines[3], "turns, round 2 of 4, b: answered_per_second 4") {
		t.Errorf("progress was %q", lines)
	}
	for i, want := range [][]float64{{1, 6, 8, 10}, {2, 4, 9, 11}, {3, 5, 7, 12}} {
		arm := found.Arms[i]
		for r, round := range arm.Rounds {
			if round.Figures["answered_per_second"] != want[r] || len(round.Broken) != 0 {
				t.Errorf("round %d of %s is %v, broken %q, want %v", r+1, arm.Name, round.Figures, round.Broken, want[r])
			}
		}
		if len(arm.Rounds) != len(want) || len(arm.Settings) != 1 {
			t.Errorf("%s has %d rounds and the settings %v", arm.Name, len(arm.Rounds), arm.Settings)
		}
	}
	stack.allClosed(t)
}

// TestAFailingArmEndsTheScenario: what was measured before is there, a curve
// too, and what the arm had started is gone.
func TestAFailingArmEndsTheScenario(t *testing.T) {
	t.Parallel()
	stack := &fakeStack{}
	failure := errors.New("it broke")
	bad := 0
	s := scenario{name: "failing", arms: []arm{
		taking("good", func(_ context.Context, t *trial) error {
			t.note("seconds", 1)
			t.curve = []report.CurvePoint{{Load: 1, ClickP50: 7}}
			return nil
		}),
		taking("bad", func(context.Context, *trial) error {
			if bad++; bad == 2 {
				return failure
			}
			return nil
		}),
	}}
	c := Config{Stack: stack, Rounds: 3, Progress: func(string) {}}
	found, err := c.scenario(t.Context(), s, quickSize, nil)
	if !errors.Is(err, failure) || !strings.Contains(err.Error(), "arm bad, round 2") {
		t.Errorf("the error is %v", err)
	}
	if good, bad := len(found.Arms[0].Rounds), len(found.Arms[1].Rounds); good != 1 || bad != 1 {
		t.Errorf("%d good and %d bad rounds, want those of the first", good, bad)
	}
	if curve := found.Arms[0].Curve; len(curve) != 1 || curve[0].ClickP50 != 7 {
		t.Errorf("the curve is %v", curve)
	}
	stack.allClosed(t)
}

// TestACloseThatFailsFailsTheArm: what may have been left is not passed over,
// and the rest is closed all the same.
func TestACloseThatFailsFailsTheArm(t *testing.T) {
	t.Parallel()
	stack := &fakeStack{closing: errors.New("it stays")}
	s := scenario{name: "left", arms: []arm{taking("a", func(context.Context, *trial) error { return nil })}}
	c := Config{Stack: stack, Rounds: 1, Progress: func(string) {}}
	if found, err := c.scenario(t.Context(), s, quickSize, nil); !errors.Is(err, stack.closing) || len(found.Arms[0].Rounds) != 0 {
		t.Errorf("%v, and %d rounds", err, len(found.Arms[0].Rounds))
	}
	stack.allClosed(t)
}

// TestCloseIsLastFirst: a rival may need what was started before it.
func TestCloseIsLastFirst(t *testing.T) {
	t.Parallel()
	stack := &fakeStack{}
	trial := newTrial(stack, quickSize, nil)
	for range 3 {
		if _, err := trial.service(t.Context(), ServiceConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second has nothing to do
		if err := trial.close(); err != nil {
			t.Fatal(err)
		}
	}
	slices.Reverse(stack.closed)
	if !slices.Equal(stack.closed, stack.began) {
		t.Errorf("started %q, closed in the order %q, backwards", stack.began, stack.closed)
	}
}

// TestRunClosesWhatItStarted: also where a call is refused, or the run is
// interrupted in the middle of one.
func TestRunClosesWhatItStarted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, answer := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"interrupted": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see the caller go
			cancel()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			shop := httptest.NewServer(answer)
			defer shop.Close()
			stack := &fakeStack{shop: shop.Listener.Addr().String()}
			run := t.Context()
			if name == "interrupted" {
				run = ctx
			}
			found, err := Run(run, Config{Stack: stack, Rounds: 1, Quick: true})
			if err == nil || !strings.Contains(err.Error(), "warming up") {
				t.Errorf("the error is %v", err)
			}
			if name == "interrupted" && !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted, the error is %v", err)
			}
			if len(found.Scenarios) != 0 {
				t.Errorf("it found %d scenarios", len(found.Scenarios))
			}
			stack.allClosed(t)
		})
	}
}

// TestAnInterruptedArmIsClosed: the generator in its phase, too.
func TestAnInterruptedArmIsClosed(t *testing.T) {
	t.Parallel()
	stack := &fakeStack{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := scenario{name: "cut", arms: []arm{taking("a", func(ctx context.Context, t *trial) error {
		g, err := t.generator(ctx)
		if err != nil {
			return err
		}
		cancel()
		_, err = g.Run(ctx, load.Phase{Do: load.CloseStreams}, nil)
		return err
	})}}
	c := Config{Stack: stack, Rounds: 1, Progress: func(string) {}}
	// It says that it was interrupted, or that its generator was ended.
	if found, err := c.scenario(ctx, s, quickSize, nil); err == nil || len(found.Arms[0].Rounds) != 0 {
		t.Errorf("%v, and %d rounds", err, len(found.Arms[0].Rounds))
	}
	stack.allClosed(t)
}
