package kafka

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
)

func TestMigrateMakesTheTopic(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		config := configFor(b)
		made := migrate(t, config)
		if made.ID == (event.TopicID{}) || made.Name != b.Topic {
			t.Errorf("made %q with id %s", made.Name, made.ID)
		}
		if diff := cmp.Diff([]Extent{{}, {}, {}}, made.Partitions); diff != "" {
			t.Errorf("partitions of a new topic: %s", diff)
		}
		client, admin := adminFor(t, b)
		actual, err := actualSettings(bounded(t), client, b.Topic)
		must(t, err)
		for name, want := range config.withDefaults().settings() {
			if got, known := actual[name]; got != *want && (known || b.Kind == devstacktest.KindReal) {
				t.Errorf("%s is %q, want %q", name, got, *want)
			}
		}

		if again := migrate(t, config); !cmp.Equal(made, again) {
			t.Errorf("migrated again: %s", cmp.Diff(made, again))
		}
		config.Partitions = 5
		if more := migrate(t, config); more.ID != made.ID || len(more.Partitions) != 5 {
			t.Errorf("asked for 5 partitions, got %d", len(more.Partitions))
		}
		config.Partitions = 2
		if fewer := migrate(t, config); len(fewer.Partitions) != 5 {
			t.Errorf("asked for 2 of 5 partitions, got %d", len(fewer.Partitions))
		}

		// Retention is the operator's to set.
		hour := "3600000"
		altered, err := admin.AlterTopicConfigs(bounded(t), []kadm.AlterConfig{{Name: "retention.ms", Value: &hour}}, b.Topic)
		must(t, err)
		_, err = altered.On(b.Topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		must(t, err)
		_, err = Check(bounded(t), config)
		must(t, err)
	})
}

func TestMigrateConcurrently(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		config := configFor(b)
		for _, partitions := range []int32{2, 4} { // making, then adding
			config.Partitions = partitions
			ctx := bounded(t)
			var all sync.WaitGroup
			topics := make([]Topic, 4)
			for n := range topics {
				all.Go(func() {
					var err error
					if topics[n], err = Migrate(ctx, config, func(string) {}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			for _, topic := range topics {
				if topic.ID != topics[0].ID || len(topic.Partitions) != int(partitions) {
					t.Errorf("one sees %s with %d partitions, another %s with %d",
						topics[0].ID, len(topics[0].Partitions), topic.ID, len(topic.Partitions))
				}
			}
		}
	})
}

func TestUnfitTopicsAreRefused(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		client, admin := adminFor(t, b)
		ctx := bounded(t)

		_, err := Check(ctx, configFor(b))
		if !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), "anteroom migrate") {
			t.Errorf("a missing topic: %v", err)
		}
		for _, bad := range []struct{ setting, value string }{
			{"message.timestamp.type", "CreateTime"},
			{"cleanup.policy", "compact"},
			{"cleanup.policy", "compact,delete"},
			{"unclean.leader.election.enable", "true"},
			{"max.message.bytes", "1000"},
			{"min.insync.replicas", "2"}, // of one replica
		} {
			if b.Kind == devstacktest.KindEmbedded && bad.setting == "unclean.leader.election.enable" {
				continue // the in-process Kafka does not have it
			}
			config := configFor(b)
			config.Topic = b.Topic + "-" + strings.NewReplacer(".", "-", ",", "-").Replace(bad.setting+"-"+bad.value)
			settings := config.settings()
			settings[bad.setting] = &bad.value
			_, err := admin.CreateTopic(ctx, 1, 1, settings, config.Topic)
			must(t, err)
			eventually(t, "the topic is known", func() bool {
				_, err := describe(ctx, client, config.Topic)
				return err == nil
			})
			for name, look := range map[string]func(context.Context, Config) error{
				"Check": func(ctx context.Context, config Config) error { _, err := Check(ctx, config); return err },
				"Migrate": func(ctx context.Context, config Config) error {
					_, err := Migrate(ctx, config, func(string) {})
					return err
				},
				"Open": func(ctx context.Context, config Config) error { _, err := Open(ctx, config); return err },
			} {
				if err := look(ctx, config); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), bad.setting) {
					t.Errorf("%s of a topic with %s=%s: %v", name, bad.setting, bad.value, err)
				}
			}
		}

		// One replica serves only where that was chosen.
		config := configFor(b)
		migrate(t, config)
		config.SingleBroker = false
		if _, err := Check(ctx, config); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "min.insync.replicas") ||
			!strings.Contains(err.Error(), "single-broker") {
			t.Errorf("one replica without single-broker mode: %v", err)
		}
		config.Topic += "-replicated"
		if _, err := Migrate(ctx, config, func(string) {}); err == nil {
			t.Error("three replicas were made of one broker")
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, config := range []Config{
		{},
		{Brokers: []string{""}},
		{Brokers: []string{"a:1"}, Partitions: -1},
		{Brokers: []string{"a:1"}, ShedAge: -1},
		{Brokers: []string{"a:1"}, MaxWaiting: -1},
	} {
		if config.Validate() == nil {
			t.Errorf("%+v is accepted", config)
		}
	}
	config, err := Config{Brokers: []string{"a:1"}}.complete()
	must(t, err)
	if config.Topic != "anteroom.requests" || config.Partitions != 12 || config.Group != "anteroom-allocators" {
		t.Errorf("defaults are %+v", config)
	}
}

func adminFor(t *testing.T, b devstacktest.Backends) (*kgo.Client, *kadm.Client) {
	t.Helper()
	client, err := newClient(configFor(b).withDefaults())
	must(t, err)
	t.Cleanup(client.Close)
	return client, kadm.NewClient(client)
}
