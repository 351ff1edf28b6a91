package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/bench"
	"github.com/anteroomhq/anteroom/internal/lab/measure"
	"github.com/anteroomhq/anteroom/internal/lab/report"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
)

// local is what a flag says to have a real backend started here.
const local = "local"

type benchCommand struct {
	Kafka     string `default:"local" help:"Kafka: local, to start a broker, or a broker's host:port."`
	Redis     string `default:"local" help:"Redis: local, to start redis-server, or a URL."`
	Postgres  string `default:"local" help:"Postgres: local, to start a server, or a URL."`
	KafkaLibs string `env:"ANTEROOM_TEST_KAFKA_LIBS" type:"path" default:".services/kafka/libs" help:"Folder with the jars of the broker that is started here; make kafka brings them."`

	Rounds   int      `default:"0" help:"Rounds of every arm. 0: 5, or 1 with --quick."`
	Quick    bool     `help:"Small crowds, in about two minutes: to try, not to quote."`
	Only     []string `placeholder:"NAME" help:"Only these scenarios, or scenario/arm."`
	AnyNoise bool     `help:"Measure although the machine is not quiet. The report says so."`

	JSON     bool   `name:"json" help:"Print the report as one JSON object."`
	HTML     string `type:"path" placeholder:"FILE" help:"Write the report as a page with charts, too."`
	Markdown string `type:"path" placeholder:"FILE" help:"Write the report as Markdown, too."`
	From     string `type:"path" placeholder:"FILE" help:"Measure nothing: make the report again from what --json has printed."`
	targetSettings

	Profile string `type:"path" placeholder:"FOLDER" help:"Leave CPU, heap, mutex and block profiles of every process in this folder. Figures are then a little lower."`
}

// quietFor is how long the machine is watched before anything is measured.
const quietFor = 3 * time.Second

func (c *benchCommand) Run(ctx context.Context, t terminal) error {
	if c.From != "" {
		return c.again(t)
	}
	if len(c.Target) > 0 {
		return c.send(ctx, t, c.JSON)
	}
	if c.Rounds < 0 {
		return fmt.Errorf("%w: --rounds is at least 1", errMisuse)
	}
	if err := bench.CheckNames(c.Only); err != nil {
		return fmt.Errorf("%w: --only: %w", errMisuse, err)
	}
	found, err := c.measure(ctx, t)
	if len(found.Scenarios) == 0 {
		return err
	}
	if err != nil {
		found.Warnings = append(found.Warnings, "the run did not come to its end: "+err.Error())
	}
	if err := errors.Join(err, c.show(t, &found)); err != nil {
		return err
	}
	return kept(&found)
}

// kept is errFalse where anteroom broke a promise. Rivals may: two of them are
// there because they do.
func kept(found *report.Report) error {
	for _, s := range found.Scenarios {
		for _, a := range s.Arms {
			if slices.Contains(rival.Kinds(), rival.Kind(a.Name)) {
				continue
			}
			for _, round := range a.Rounds {
				if len(round.Broken) > 0 {
					return errFalse
				}
			}
		}
	}
	return nil
}

// measure makes the report. What it has is given also where it fails.
func (c *benchCommand) measure(ctx context.Context, t terminal) (found report.Report, err error) {
	progress := func(line string) { fmt.Fprintln(t.err, line) }
	rounds := cmp.Or(c.Rounds, 5)
	if c.Quick {
		rounds = cmp.Or(c.Rounds, 1)
	}
	config := bench.Config{Rounds: rounds, Quick: c.Quick, Only: c.Only, Progress: progress}
	warnings, err := c.lookAround(ctx)
	if err != nil {
		return found, err
	}
	progress("starting backends")
	stack, err := newBenchStack(ctx, c)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, stack.Close()) }()
	config.Stack = stack
	began := time.Now()
	found, err = bench.Run(ctx, config)
	found.Started, found.Seconds = began.UTC(), time.Since(began).Seconds()
	found.Command, found.Commit = "anteroom "+strings.Join(os.Args[1:], " "), revision()
	found.Warnings = append(found.Warnings, warnings...)
	environment, known := stack.describe(context.WithoutCancel(ctx), c.Quick)
	found.Environment = environment
	return found, errors.Join(err, known)
}

// lookAround refuses to measure on a machine that is not quiet.
func (c *benchCommand) lookAround(ctx context.Context) (warnings []string, err error) {
	quiet, err := measure.Quiet(ctx, quietFor)
	if err != nil {
		return nil, fmt.Errorf("looking whether the machine is quiet: %w", err)
	}
	if quiet.OK() {
		return nil, nil
	}
	if !c.AnyNoise {
		return nil, fmt.Errorf("the machine is not quiet, and figures would be worth nothing: %s; --any-noise measures all the same", quiet)
	}
	return []string{"the machine was not quiet: " + quiet.String()}, nil
}

// revision names what this program was built from.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	commit, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + modified
}

// again makes the report from JSON.
func (c *benchCommand) again(t terminal) error {
	file, err := os.Open(c.From)
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	defer file.Close()
	found, err := report.Read(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.From, err)
	}
	return c.show(t, found)
}

// show prints the report, and writes what else is asked for.
func (c *benchCommand) show(t terminal, found *report.Report) error {
	var errs []error
	for _, page := range []struct {
		path  string
		write func(*os.File) error
	}{
		{c.HTML, func(f *os.File) error { return found.WriteHTML(f) }},
		{c.Markdown, func(f *os.File) error { return found.WriteMarkdown(f) }},
	} {
		if page.path != "" {
			errs = append(errs, writeFile(page.path, page.write))
		}
	}
	if c.JSON {
		errs = append(errs, found.WriteJSON(t.out))
	} else {
		errs = append(errs, found.WriteText(t.out))
	}
	return errors.Join(errs...)
}

func writeFile(path string, write func(*os.File) error) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
