package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/anteroomhq/anteroom/internal/audit/rebuild"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type auditRebuildCommand struct {
	DecisionsTopic string `env:"ANTEROOM_DECISIONS_TOPIC" default:"anteroom.decisions" help:"The topic on which decisions are published for other systems. Empty: they are not."`
	JSON           bool   `help:"Print JSON, for programs."`
	auditLog
	PostgresURL string `name:"postgres-url" env:"ANTEROOM_POSTGRES_URL" placeholder:"URL" help:"The empty Postgres, as postgres://user:password@host:port/database."`
}

// Help is shown before the flags.
func (*auditRebuildCommand) Help() string {
	return "Everything that the log decides is written to a database that is empty, or whose partitions wait for being rebuilt; one that holds anything else is refused and left as it is. Ingresses and allocators may keep running: they go on by themselves, within seconds, from where the rebuild has come to. If it is interrupted, run it again: what is finished stays, what is not begins anew. Decisions that are not on the topic of decisions yet are published once the allocators go on, perhaps some of them twice. Webhooks that waited for another attempt are lost with the database. Exit code 3: the database is not empty, or it could not be filled."
}

func (c *auditRebuildCommand) Run(ctx context.Context, t terminal) error {
	if c.PostgresURL == "" {
		return fmt.Errorf("%w: --postgres-url (ANTEROOM_POSTGRES_URL) is not set", errMisuse)
	}
	history, closeLog, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer closeLog()
	defer boundMemory()()
	config := rebuild.Config{History: history}
	if c.DecisionsTopic != "" {
		published, err := c.openPublished(ctx, t, history.Log.Partitions())
		if err != nil {
			return err
		}
		defer published.Close()
		config.Published = published
	}
	ledger, err := postgres.NewRebuild(c.PostgresURL, func(line string) { fmt.Fprintln(t.err, "migrated:", line) })
	if err != nil {
		return fmt.Errorf("preparing the ledger: %w", err)
	}
	defer ledger.Close(context.WithoutCancel(ctx))
	config.Ledger = ledger

	began := time.Now()
	done, err := rebuild.Run(ctx, config)
	if err != nil {
		return c.interrupted(done, err)
	}
	return c.print(t, done, time.Since(began))
}

func (c *auditRebuildCommand) openPublished(ctx context.Context, t terminal, partitions int32) (*kafka.Published, error) {
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	published, err := kafka.OpenPublished(ctx, kafka.Config{
		Brokers: c.KafkaBrokers, Topic: c.DecisionsTopic, Name: "audit-decisions", Logger: c.logger(t),
	}, partitions)
	if err != nil {
		return nil, fmt.Errorf("opening the topic of decisions: %w", err)
	}
	return published, nil
}

// interrupted says what can be done about a rebuild that did not come to its end.
func (c *auditRebuildCommand) interrupted(done *rebuild.Result, err error) error {
	if errors.Is(err, rebuild.ErrNotEmpty) || errors.Is(err, rebuild.ErrUnderWay) || done == nil {
		return fmt.Errorf("rebuilding: %w", err)
	}
	return fmt.Errorf("rebuilding stopped with %s finished; run it again for the others: %w", quantity(int64(len(done.Partitions)), "partition"), err)
}

type rebuildAnswer struct {
	Partitions       []rebuiltAnswer  `json:"partitions"`
	Records          int64            `json:"records"`
	Seconds          float64          `json:"seconds"`
	RecordsPerSecond float64          `json:"records_per_second"`
	BoundTwice       []boundTwiceLine `json:"bound_twice,omitempty"`
}

type rebuiltAnswer struct {
	Partition   int32        `json:"partition"`
	From        sale.Offset  `json:"from"`
	To          sale.Offset  `json:"to"`
	Requests    int64        `json:"requests"`
	Results     int64        `json:"results"`
	Sales       int64        `json:"sales"`
	PublishFrom *sale.Offset `json:"publish_from,omitempty"` // the first record whose decisions are to be published
}

type boundTwiceLine struct {
	Product sale.Product `json:"product"`
	Bound   int32        `json:"bound"`
	Other   int32        `json:"other"`
}

func (c *auditRebuildCommand) print(t terminal, done *rebuild.Result, took time.Duration) error {
	for _, twice := range done.BoundTwice {
		fmt.Fprintf(t.err, "product %s has had sales in partitions %d and %d: it stays bound to %d, which had the first\n",
			twice.Product, min(twice.Bound, twice.Other), max(twice.Bound, twice.Other), twice.Bound)
	}
	rate := 0.0
	if took > 0 {
		rate = float64(done.Records) / took.Seconds()
	}
	if c.JSON {
		answer := rebuildAnswer{Partitions: []rebuiltAnswer{}, Records: done.Records, Seconds: took.Seconds(), RecordsPerSecond: rate}
		for _, p := range done.Partitions {
			line := rebuiltAnswer{Partition: p.Partition, From: p.From, To: p.To, Requests: p.Requests, Results: p.Results, Sales: p.Sales}
			if p.Publishes < p.To {
				line.PublishFrom = &p.Publishes
			}
			answer.Partitions = append(answer.Partitions, line)
		}
		for _, twice := range done.BoundTwice {
			answer.BoundTwice = append(answer.BoundTwice, boundTwiceLine(twice))
		}
		return printJSON(t, answer)
	}
	lines := newTable()
	lines.AppendHeader(table.Row{"PARTITION", "RECORDS", "REQUESTS", "RESULTS", "SALES"})
	for _, p := range done.Partitions {
		lines.AppendRow(table.Row{p.Partition, fmt.Sprintf("[%d, %d)", p.From, p.To), p.Requests, p.Results, p.Sales})
	}
	if err := printTable(t.out, lines); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "rebuilt: %s in %s, %.0f records a second\n",
		quantity(done.Records, "record"), quantity(int64(len(done.Partitions)), "partition"), rate)
	return nil
}
