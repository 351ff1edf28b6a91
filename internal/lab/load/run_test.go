package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// What a process of a test is instead of a test.
const roleVariable = "ANTEROOM_LOAD_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "generator":
		if err := Run(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
	case "dies":
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(3)
	case "bare server":
		serveBare()
	default:
		os.Exit(m.Run())
	}
}

// process is this program in another role.
func process(role string) *exec.Cmd {
	command := exec.Command(os.Args[0])
	// With the race detector a process would pause for a second at its end.
	command.Env = append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	return command
}

func TestDriver(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(1), is(sale.SoldOut))})
	d, err := Start(t.Context(), process("generator"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	click := s.crowd(20)
	click.Follow, click.Keep = FollowPoll, 5
	got, err := d.Run(t.Context(), click, nil)
	if err != nil || got.Outcomes[sale.SoldOut] != 20 || got.Kept != 5 {
		t.Errorf("clicks: %+v, %v", got, err)
	}
	if got.CPUSeconds <= 0 || d.PID() == os.Getpid() {
		t.Errorf("the generator used %v s of CPU as process %d", got.CPUSeconds, d.PID())
	}
	if _, err := d.Run(t.Context(), Phase{Do: "nap"}, nil); err == nil {
		t.Error("there is work that is none")
	}
	poll := Phase{Do: Poll, Addresses: click.Addresses, Connections: 2}
	poll.Arrivals = Arrivals{Kind: Constant, Rate: 100, For: 1500 * time.Millisecond}
	var seen []Progress
	got, err = d.Run(t.Context(), poll, func(p Progress) { seen = append(seen, p) })
	if err != nil || got.Answered != 150 {
		t.Errorf("polls, with tickets kept before: %+v, %v", got, err)
	}
	if len(seen) == 0 || seen[0].Do != Poll || seen[0].Answered == 0 || seen[0].Answered > 150 {
		t.Errorf("progress: %+v", seen)
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Errorf("closing, twice: %v", err)
	}
	if _, err := d.Run(t.Context(), click, nil); err == nil {
		t.Error("a generator that has ended runs a phase")
	}
}

func TestDriverOfAProcessThatDies(t *testing.T) {
	t.Parallel()
	d, err := Start(t.Context(), process("dies"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Run(t.Context(), Phase{Do: Forget}, nil); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a generator that dies: %v, want its exit status", err)
	}
}

func TestDriverInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	s := open(t, &shop{script: always(queued(1)), refuse: func(int, int) int { interrupt(); return 0 }})
	d, err := Start(t.Context(), process("generator"))
	if err != nil {
		t.Fatal(err)
	}
	phase := s.crowd(100)
	phase.Follow = FollowPoll // nobody is ever decided
	if _, err := d.Run(ctx, phase, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted phase: %v", err)
	}
	if err := d.command.Process.Signal(os.Kill); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestWhatIsNoPhase(t *testing.T) {
	t.Parallel()
	in := strings.NewReader("nonsense\n\n" + `{"do":"click","buyers":1,"colour":"red"}` + "\n" + `{"do":"click"}` + "\n" + `{"do":"forget"}`)
	var out bytes.Buffer
	if err := Run(t.Context(), in, &out); err != nil {
		t.Fatal(err)
	}
	lines := read(t, &out)
	for i, want := range []string{"not a phase", "colour", "no address", ""} {
		if i >= len(lines) || !strings.Contains(lines[i].Error, want) || (lines[i].Error == "") != (want == "") {
			t.Fatalf("lines %+v: number %d, want %q", lines, i, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	in, input := io.Pipe()
	defer input.Close()
	ended := make(chan error)
	go func() { ended <- Run(ctx, in, io.Discard) }()
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestRunEndsWhenNobodyReads(t *testing.T) {
	t.Parallel()
	out, output := io.Pipe()
	_ = out.Close()
	if err := Run(t.Context(), strings.NewReader(`{"do":"forget"}`), output); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	fine := func() Phase {
		return Phase{Do: Click, Addresses: []string{"127.0.0.1:80"}, Connections: 1, Product: "p", Crowd: "c", Buyers: 1}
	}
	if err := fine().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Phase){
		"no such work":              func(p *Phase) { p.Do = "nap" },
		"no address":                func(p *Phase) { p.Addresses = nil },
		"not host:port":             func(p *Phase) { p.Addresses = []string{"localhost"} },
		"0 connections":             func(p *Phase) { p.Connections = 0 },
		"a call's timeout":          func(p *Phase) { p.CallTimeout = -1 },
		"no product":                func(p *Phase) { p.Product = "" },
		"both a product":            func(p *Phase) { p.Products = []string{"q"} },
		"no name":                   func(p *Phase) { p.Crowd = "" },
		"visible ASCII":             func(p *Phase) { p.Crowd = "a b" },
		"below 0":                   func(p *Phase) { p.Keep = -1 },
		"no way to follow":          func(p *Phase) { p.Follow = "guess" },
		"winners cannot":            func(p *Phase) { p.Then = "sing" },
		"merchant token":            func(p *Phase) { p.Then = ThenConfirm },
		"without an end":            func(p *Phase) { p.Buyers = 0 },
		"no arrivals named":         func(p *Phase) { p.Arrivals.Kind = "some" },
		"without a rate":            func(p *Phase) { p.Arrivals.Kind = Constant },
		"needs rates":               func(p *Phase) { p.Arrivals = Arrivals{Kind: Ramp, Rate: 1} },
		"a burst without":           func(p *Phase) { p.Buyers = 0; p.Arrivals = Arrivals{Kind: Burst, For: time.Second} },
		"poisson arrivals":          func(p *Phase) { p.Arrivals = Arrivals{Kind: Poisson, Rate: 1}; p.Buyers = 1 << 30 },
		"a number below 0":          func(p *Phase) { p.Arrivals.Rate = -1 },
		"0 streams":                 func(p *Phase) { p.Do = Stream },
		"-1 requests":               func(p *Phase) { p.Do = Poll; p.Requests = -1 },
		"number of requests":        func(p *Phase) { p.Do = Poll },
		"no merchant token to conf": func(p *Phase) { p.Do = Confirm },
	} {
		p := fine()
		spoil(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
