package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/snapshot"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

type auditCommands struct {
	Verify   auditVerifyCommand   `cmd:"" help:"Replay the log and compare everything that it decided with the ledger, while the service runs."`
	Explain  auditExplainCommand  `cmd:"" help:"Tell the story of one request: why it got its answer."`
	Export   auditExportCommand   `cmd:"" help:"Write everything that was decided, for other programs."`
	Fairness auditFairnessCommand `cmd:"" help:"Report how fair each sale was: its order, waits, outcomes, pauses."`
	Rebuild  auditRebuildCommand  `cmd:"" help:"Fill an empty ledger from the log: the recovery from losing Postgres."`
	Whatif   auditWhatifCommand   `cmd:"" help:"Replay a sale with other settings, and show both outcomes side by side."`
}

// Help is shown before the commands.
func (*auditCommands) Help() string {
	return "The log is replayed up to its present end, and everything is decided again. Only rebuild writes to anything but files. What comes out goes to standard output, progress to standard error."
}

// auditLog says where the log is that is replayed.
type auditLog struct {
	KafkaBrokers []string `env:"ANTEROOM_KAFKA_BROKERS" placeholder:"HOST:PORT" help:"Kafka's bootstrap brokers."`
	Topic        string   `env:"ANTEROOM_TOPIC" default:"anteroom.requests" help:"The topic that is the log."`
	Snapshots    string   `env:"ANTEROOM_SNAPSHOTS" type:"path" placeholder:"FOLDER" help:"Folder of snapshots, which verify --keep makes. A replay begins with the latest that fits, or else with the log's first record."`
	logSettings
}

// auditPatience bounds what an audit waits for before it reads the first record.
const auditPatience = 30 * time.Second

// open opens the log for reading, up to closeLog.
func (l auditLog) open(ctx context.Context, t terminal) (history *audit.History, closeLog func(), err error) {
	if len(l.KafkaBrokers) == 0 {
		return nil, nil, fmt.Errorf("%w: --kafka-brokers (ANTEROOM_KAFKA_BROKERS) is not set", errMisuse)
	}
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	log, err := kafka.OpenHistory(ctx, kafka.Config{Brokers: l.KafkaBrokers, Topic: l.Topic, Name: "audit", Logger: l.logger(t)})
	if err != nil {
		return nil, nil, fmt.Errorf("opening the log: %w", err)
	}
	progress := newProgressLine(t)
	history = &audit.History{Log: log, Watch: progress.show}
	if l.Snapshots != "" {
		history.Snapshots = snapshot.In(l.Snapshots)
	}
	return history, func() {
		progress.end()
		log.Close()
	}, nil
}

// interrupted says of a command that changes nothing that it was interrupted, in
// place of what that led to.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted; nothing was changed")
	}
	return err
}

// checkProduct refuses a --product that can be none. nil: it was not given.
func checkProduct(name *string) error {
	if name != nil && !sale.ValidProduct(sale.Product(*name)) {
		return fmt.Errorf("%w: --product: %q names none: a product is 1 to 64 of a-z 0-9 . _ -, starting with a letter or digit", errMisuse, *name)
	}
	return nil
}

// parseSale reads the id of a sale.
func parseSale(id string) (partition int32, offset sale.Offset, err error) {
	partition, at, err := ticket.ParsePublicID(id)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: --sale: %q names none: a sale's id is its partition and offset, as 0-1", errMisuse, id)
	}
	return partition, sale.Offset(at), nil
}

// auditMemory is the memory that a replay is to do with, in bytes. What is live
// in it is far less; what is read goes through it fast.
const auditMemory = 320 << 20

// boundMemory has the collector run seldom as long as there is less than that,
// and more often rather than take more, until it is undone. GOMEMLIMIT or GOGC
// in the environment have precedence.
func boundMemory() (undo func()) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return func() {}
	}
	limit, percent := debug.SetMemoryLimit(auditMemory), debug.SetGCPercent(400)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// progressLine shows how far a replay has come: a line that is written over on
// a terminal, one every two seconds elsewhere.
type progressLine struct {
	t           terminal
	began, last time.Time
	shown       bool
	open        bool // the line on the terminal has no end yet
}

const progressInterval = 250 * time.Millisecond // on a terminal

func newProgressLine(t terminal) *progressLine {
	now := time.Now()
	return &progressLine{t: t, began: now, last: now}
}

func (l *progressLine) show(p audit.Progress) {
	now := time.Now()
	interval := plainInterval
	if l.t.interactive {
		interval = progressInterval
	}
	done := p.Done >= p.Total
	if now.Sub(l.last) < interval && (!done || !l.shown) {
		return
	}
	l.last, l.shown = now, true
	rate := float64(p.Done) / now.Sub(l.began).Seconds()
	line := fmt.Sprintf("%d of %d records, %.0f a second", p.Done, p.Total, rate)
	if !done && rate > 0 {
		left := time.Duration(float64(p.Total-p.Done) / rate * float64(time.Second))
		line += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	if !l.t.interactive {
		fmt.Fprintln(l.t.err, line)
		return
	}
	fmt.Fprintf(l.t.err, "\r\x1b[2K%s", line)
	l.open = true
	if done {
		l.end()
	}
}

// end ends the line, so that what is said next has one of its own.
func (l *progressLine) end() {
	if l.open {
		fmt.Fprintln(l.t.err)
		l.open = false
	}
}
