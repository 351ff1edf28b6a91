package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
)

// targetSettings send one crowd at a service that runs already.
type targetSettings struct {
	Target      []string `placeholder:"HOST:PORT" help:"Start nothing and compare nothing: send one crowd at this running service, and print what it was told."`
	IOwnThis    bool     `name:"i-own-this-target" help:"Send load to a --target that is not on this machine: it is mine, and may break."`
	Product     string   `help:"What the crowd at --target buys."`
	Buyers      int      `default:"10000" help:"How many buyers go to --target."`
	Connections int      `default:"256" help:"Their connections."`
	Rate        float64  `help:"Clicks a second at --target, at random (Poisson). 0: each connection clicks as soon as it is answered."`
	Follow      string   `enum:"none,poll,long_poll,websocket" default:"none" help:"How buyers at --target learn their outcome: none, poll, long_poll or websocket."`
}

// check refuses a target elsewhere, unless it is said to be one's own.
func (s *targetSettings) check() error {
	for _, target := range s.Target {
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			return fmt.Errorf("%w: --target %q is not host:port", errMisuse, target)
		}
		if ip := net.ParseIP(host); !s.IOwnThis && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%w: --target %s is not on this machine; load is sent elsewhere only with --i-own-this-target", errMisuse, target)
		}
	}
	return nil
}

// send sends the crowd, from a process of its own.
func (s *targetSettings) send(ctx context.Context, t terminal, asJSON bool) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	phase := load.Phase{
		Do: load.Click, Addresses: s.Target, Connections: s.Connections, Product: s.Product,
		Crowd: "bench" + strconv.FormatInt(time.Now().UnixMilli(), 36), Buyers: s.Buyers, Follow: load.Follow(s.Follow),
	}
	if s.Rate != 0 {
		phase.Arrivals = load.Arrivals{Kind: load.Poisson, Rate: s.Rate}
	}
	if err := phase.Validate(); err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	generator, err := load.Start(ctx, exec.CommandContext(ctx, self, "bench-load"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, generator.Close()) }()
	told, err := generator.Run(ctx, phase, func(p load.Progress) {
		fmt.Fprintf(t.err, "%3.0f s  answered %d  refused %d  errors %d  decided %d\n", p.Seconds, p.Answered, p.Refused, p.Errors, p.Decided)
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(t, told)
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "answered\t%d of %d, %.0f a second\n", told.Answered, told.Arrivals, told.AnsweredPerSecond)
	fmt.Fprintf(table, "accepted\t%d\n", told.Accepted)
	fmt.Fprintf(table, "refused\t%s\n", counts(told.Refused))
	fmt.Fprintf(table, "errors\t%s\n", counts(told.Errors))
	fmt.Fprintf(table, "click to answer\tp50 %.1f ms, p99 %.1f ms, max %.1f ms\n", told.AnswerMS.P50, told.AnswerMS.P99, told.AnswerMS.Max)
	if s.Follow != string(load.FollowNone) {
		fmt.Fprintf(table, "click to outcome\tp50 %.1f ms, p99 %.1f ms, max %.1f ms; %s\n", told.OutcomeMS.P50, told.OutcomeMS.P99, told.OutcomeMS.Max, counts(told.Outcomes))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
