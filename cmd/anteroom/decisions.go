package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/postgres"
)

// decisionsTopicOf names the topic of decisions that stands beside a log which
// is made for a trial.
func decisionsTopicOf(topic string) string {
	return strings.TrimSuffix(topic, ".requests") + ".decisions"
}

func (s *service) decisionsConfig(name string) kafka.Config {
	config := s.kafkaConfig(name)
	config.Topic = s.config.backends.DecisionsTopic
	config.Group = config.Topic + ".webhooks"
	return config
}

// publishDecisions gives the allocator what it publishes decisions with. They
// are off where no topic is named.
func (s *service) publishDecisions(ctx context.Context, log kafka.Topic, config *allocator.Config) error {
	if s.config.backends.DecisionsTopic == "" {
		return nil
	}
	if err := kafka.CheckDecisions(ctx, s.decisionsConfig(""), log); err != nil {
		return fmt.Errorf("checking the topic of decisions: %w", err)
	}
	decisions, err := kafka.OpenDecisions(s.decisionsConfig("decisions"))
	if err != nil {
		return fmt.Errorf("opening the topic of decisions: %w", err)
	}
	s.closers = append(s.closers, decisions.Close)
	outbox, err := postgres.NewOutbox(ctx, postgres.Config{URL: s.config.backends.PostgresURL, Connections: 4, Logger: s.config.logger})
	if err != nil {
		return fmt.Errorf("preparing the outbox: %w", err)
	}
	s.closers = append(s.closers, outbox.Close)
	config.Decisions, config.Outbox = decisions, outbox
	return nil
}
