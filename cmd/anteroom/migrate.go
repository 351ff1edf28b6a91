package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type migrateCommand struct {
	backendSettings
	Partitions int32 `env:"ANTEROOM_PARTITIONS" default:"12" help:"Partitions of a new topic; an existing one gets more if it has fewer."`
	logSettings
}

func (c *migrateCommand) Run(ctx context.Context, t terminal) error {
	if err := c.validate(); err != nil {
		return err
	}
	return migrate(ctx, migration{
		kafka: kafka.Config{
			Brokers: c.KafkaBrokers, Topic: c.Topic, SingleBroker: c.SingleBroker, Partitions: c.Partitions, Logger: c.logger(t),
		},
		decisions: c.DecisionsTopic, postgresURL: c.PostgresURL,
		report: func(done string) { fmt.Fprintln(t.err, done) },
	})
}

// migration says what to migrate.
type migration struct {
	kafka       kafka.Config
	decisions   string // the topic of decisions; empty: none
	postgresURL string
	report      func(done string)
}

// migrate makes the topics, the tables, the partitions' rows, and raises each
// partition's schema to this program's. All of it may be repeated.
func migrate(ctx context.Context, m migration) error {
	topic, err := kafka.Migrate(ctx, m.kafka, m.report)
	if err != nil {
		return fmt.Errorf("migrating the topic: %w", err)
	}
	if m.decisions != "" {
		decisions := m.kafka
		decisions.Topic = m.decisions
		if err := kafka.MigrateDecisions(ctx, decisions, topic, m.report); err != nil {
			return fmt.Errorf("migrating the topic of decisions: %w", err)
		}
	}
	if err := postgres.Migrate(ctx, m.postgresURL, m.report); err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	bounds := make([]postgres.Bounds, len(topic.Partitions))
	for i, p := range topic.Partitions {
		bounds[i] = postgres.Bounds{Partition: int32(i), End: p.End}
	}
	rows, err := postgres.PartitionRows(ctx, m.postgresURL, topic.ID, bounds)
	if err != nil {
		return fmt.Errorf("making the partitions' rows: %w", err)
	}
	return m.raise(ctx, rows)
}

// raise appends a schema record to each partition that the ledger knows at an
// older version. One that is appended twice, because the first is not decided
// yet, changes nothing.
func (m migration) raise(ctx context.Context, rows []postgres.Partition) (err error) {
	value, err := event.Encode(sale.Schema{Version: sale.NewestSchema})
	if err != nil {
		return err
	}
	log, err := kafka.Open(ctx, m.kafka)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close(ctx)) }()
	outcomes := make(chan error, len(rows))
	waiting := 0
	for _, row := range rows {
		if row.Rebuilding {
			m.report(fmt.Sprintf("partition %d waits for being rebuilt from the log, which has records that the ledger has lost", row.Partition))
			continue
		}
		if row.Schema >= sale.NewestSchema {
			continue
		}
		if err := log.Append(row.Partition, nil, value, func(_ sale.Offset, err error) { outcomes <- err }); err != nil {
			return fmt.Errorf("raising partition %d to schema %d: %w", row.Partition, sale.NewestSchema, err)
		}
		waiting++
	}
	for range waiting {
		select {
		case err := <-outcomes:
			if err != nil {
				return fmt.Errorf("raising a partition to schema %d: %w", sale.NewestSchema, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("raising partitions to schema %d: %w", sale.NewestSchema, ctx.Err())
		}
	}
	if waiting > 0 {
		m.report(fmt.Sprintf("raised %d partitions to schema %d", waiting, sale.NewestSchema))
	}
	return nil
}
