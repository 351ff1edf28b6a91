package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// settling bounds how long Migrate waits for all brokers to know what one of
// them has done.
const settling = 30 * time.Second

// Migrate makes the topic, or checks the one that is there and adds the
// partitions that it lacks; partitions are never removed, and settings of a
// topic that is there are never changed. It tells report, a line at a time,
// what it does. It may be repeated, and run by several at once.
func Migrate(ctx context.Context, config Config, report func(line string)) (Topic, error) {
	config, err := config.complete()
	if err != nil {
		return Topic{}, err
	}
	client, err := newClient(config)
	if err != nil {
		return Topic{}, err
	}
	defer client.Close()

	described, err := describe(ctx, client, config.Topic)
	switch {
	case errors.Is(err, ErrNoTopic):
		if err := create(ctx, client, config, report); err != nil {
			return Topic{}, err
		}
	case err != nil:
		return Topic{}, err
	case len(described.Partitions) < int(config.Partitions):
		// Whether it may be used is known before anything is added to it.
		if _, err := check(ctx, client, config); err != nil {
			return Topic{}, err
		}
		if err := addPartitions(ctx, client, config, report); err != nil {
			return Topic{}, err
		}
	default:
		report(fmt.Sprintf("topic %s is there, with %d partitions", config.Topic, len(described.Partitions)))
	}
	return settle(ctx, client, config)
}

// MigrateDecisions makes the topic of decisions, or checks the one that is
// there, as Migrate does the log; it gets as many partitions as the log has,
// since each decision has the number of its log's partition. How long it keeps
// decisions is the broker's default, or what an operator has set.
func MigrateDecisions(ctx context.Context, config Config, log Topic, report func(line string)) error {
	config.Partitions = int32(len(log.Partitions))
	config.decisions = true
	_, err := Migrate(ctx, config, report)
	return err
}

func create(ctx context.Context, client *kgo.Client, config Config, report func(string)) error {
	replication := int16(replicas)
	if config.SingleBroker {
		replication = 1
	}
	settings := config.settings()
	created, err := kadm.NewClient(client).CreateTopic(ctx, config.Partitions, replication, settings, config.Topic)
	if err == nil {
		err = created.Err
	}
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists):
		report(fmt.Sprintf("topic %s was made by another at this moment", config.Topic))
		return nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return fmt.Errorf("making topic %s on %d brokers: %w; add brokers, or choose single-broker mode", config.Topic, replication, err)
	case err != nil:
		return fmt.Errorf("making topic %s: %w (%s)", config.Topic, err, created.ErrMessage)
	}
	report(fmt.Sprintf("made topic %s, with %d partitions on %d brokers each", config.Topic, config.Partitions, replication))
	return nil
}

func addPartitions(ctx context.Context, client *kgo.Client, config Config, report func(string)) error {
	responses, err := kadm.NewClient(client).UpdatePartitions(ctx, int(config.Partitions), config.Topic)
	if err != nil {
		return fmt.Errorf("adding partitions to topic %s: %w", config.Topic, err)
	}
	response, err := responses.On(config.Topic, nil)
	if err == nil {
		err = response.Err
	}
	switch {
	case errors.Is(err, kerr.InvalidPartitions):
		// Another has added as many, or more, in the meantime; settle sees to it.
		return nil
	case err != nil:
		return fmt.Errorf("adding partitions to topic %s: %w (%s)", config.Topic, err, response.ErrMessage)
	}
	report(fmt.Sprintf("topic %s now has %d partitions", config.Topic, config.Partitions))
	return nil
}

// settle checks the topic again and again until every partition is there and
// has a leader that answers.
func settle(ctx context.Context, client *kgo.Client, config Config) (Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	for attempt := 1; ; attempt++ {
		topic, err := check(ctx, client, config)
		if err == nil && len(topic.Partitions) >= int(config.Partitions) {
			return topic, nil
		}
		if errors.Is(err, ErrUnfit) {
			return Topic{}, err
		}
		if err == nil {
			err = fmt.Errorf("it has %d partitions of %d", len(topic.Partitions), config.Partitions)
		}
		select {
		case <-ctx.Done():
			return Topic{}, fmt.Errorf("waiting for topic %s to be ready: %w; last: %w", config.Topic, ctx.Err(), err)
		case <-time.After(retryBackoff(attempt)):
		}
	}
}
