// Command anteroom sells a scarce thing to a crowd, fairly and provably: a
// virtual waiting room on Kafka.
//
// Each command has a file of its own; this package is the only place that wires
// roles, adapters and settings together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// Exit codes. They are a contract with scripts.
const (
	exitDone   = 0 // done and true
	exitFalse  = 1 // done and found false
	exitMisuse = 2 // wrong use
	exitFailed = 3 // could not do it
)

// errFalse is returned by a command that was done and found something false:
// its output says what.
var errFalse = errors.New("found false")

// errMisuse is wrapped by errors about how a command was called.
var errMisuse = errors.New("wrong use")

type commands struct {
	Demo    demoCommand     `cmd:"" help:"Start everything embedded, send a crowd at a sale over real HTTP, show it live, check what it was told."`
	Dev     devCommand      `cmd:"" help:"Run the whole service on embedded backends, to try with curl or a browser."`
	Migrate migrateCommand  `cmd:"" help:"Create or check the topic and the tables. Safe to repeat."`
	Serve   serveCommand    `cmd:"" help:"Run the service on real backends."`
	Webhook webhookCommands `cmd:"" help:"See and retry webhooks that a shop did not take."`
	Sale    saleCommands    `cmd:"" help:"Run sales, through the service's API."`
	Audit   auditCommands   `cmd:"" help:"Replay the log: compare, explain, report, rebuild."`

	Bench benchCommand `cmd:"" help:"Measure this design and the usual ones under the same load."`

	BenchLoad   benchLoadCommand   `cmd:"" hidden:"" help:"The load generator. Used by bench."`
	BenchRival  benchRivalCommand  `cmd:"" hidden:"" help:"Serve one of the usual designs. Used by bench."`
	Crowd       crowdCommand       `cmd:"" hidden:"" help:"Send a crowd at a sale and print what it was told. Used by demo."`
	Healthcheck healthcheckCommand `cmd:"" hidden:"" help:"Ask an admin listener whether it is ready. Used by containers."`
}

// terminal is where a command reads and writes.
type terminal struct {
	out io.Writer // results
	err io.Writer // progress and complaints

	interactive bool // err is a screen that can be written over
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second ^C ends the program at once
	code := run(ctx, os.Args[1:], terminal{
		out: os.Stdout, err: os.Stderr, interactive: term.IsTerminal(int(os.Stderr.Fd())),
	})
	stop()
	os.Exit(code)
}

// run is the program without its process: it returns the exit code.
func run(ctx context.Context, arguments []string, t terminal) int {
	var parsed commands
	exited := false
	parser, err := kong.New(&parsed,
		kong.Name("anteroom"),
		kong.Description("A virtual waiting room: sells a scarce thing to a crowd, fairly and provably.\n\nExit codes: 0 done and true, 1 done and found false, 2 wrong use, 3 could not do it."),
		kong.Writers(t.out, t.err),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(int) { exited = true }), // after --help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		fmt.Fprintln(t.err, "anteroom:", err)
		return exitFailed
	}
	if len(arguments) == 0 {
		arguments = []string{"--help"}
	}
	chosen, err := parser.Parse(arguments)
	if exited {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(t.err, "anteroom:", err)
		fmt.Fprintln(t.err, "anteroom --help lists the commands, anteroom COMMAND --help their flags.")
		return exitMisuse
	}
	switch err := chosen.Run(); {
	case err == nil:
		return exitDone
	case errors.Is(err, errFalse):
		return exitFalse
	case errors.Is(err, errMisuse):
		fmt.Fprintln(t.err, "anteroom:", err)
		return exitMisuse
	default:
		fmt.Fprintln(t.err, "anteroom:", err)
		return exitFailed
	}
}
