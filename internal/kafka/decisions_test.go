package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/webhook"
)

func decisionsFor(b devstacktest.Backends) Config {
	config := configFor(b)
	config.Topic, config.Group, config.Name = b.Topic+".decisions", b.Topic+".webhooks", "decisions"
	return config
}

// madeDecisions makes both topics and opens that of decisions.
func madeDecisions(t *testing.T, b devstacktest.Backends) *Decisions {
	t.Helper()
	log := migrate(t, configFor(b))
	must(t, MigrateDecisions(bounded(t), decisionsFor(b), log, func(line string) { t.Log(line) }))
	must(t, CheckDecisions(bounded(t), decisionsFor(b), log))
	return openDecisions(t, decisionsFor(b))
}

func openDecisions(t *testing.T, config Config) *Decisions {
	t.Helper()
	decisions, err := OpenDecisions(config)
	must(t, err)
	t.Cleanup(decisions.Close)
	return decisions
}

func readDecisions(t *testing.T, config Config) *DecisionReader {
	t.Helper()
	reader, err := ReadDecisions(bounded(t), config)
	must(t, err)
	t.Cleanup(reader.Close)
	return reader
}

// linesOf makes n lines as a batch has them.
func linesOf(from, n int) []byte {
	var lines bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines, "%s\t{\"cause\":%d}\n", []string{"ring", "lamp", ""}[i%3], from+i)
	}
	return lines.Bytes()
}

// poll reads until there are n records, and checks that each partition's follow
// each other.
func poll(t *testing.T, reader *DecisionReader, n int) (values []string, places []webhook.Place) {
	t.Helper()
	next := make(map[int32]int64)
	for len(values) < n {
		records, err := reader.Poll(bounded(t))
		must(t, err)
		for _, r := range records {
			if due, seen := next[r.Partition]; seen && r.Offset != due {
				t.Fatalf("partition %d: offset %d came where %d was due", r.Partition, r.Offset, due)
			}
			next[r.Partition] = r.Offset + 1
			values, places = append(values, string(r.Value)), append(places, r.Place)
		}
	}
	if len(values) > n {
		t.Fatalf("%d records, expected %d", len(values), n)
	}
	return values, places
}

// What is published is in the topic, in its order, under its keys.
func TestPublish(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		decisions := madeDecisions(t, b)
		reader := readDecisions(t, decisionsFor(b))
		const n, batches = 5000, 4
		for i := range batches {
			must(t, decisions.Publish(bounded(t), 1, linesOf(n*i, n)))
		}
		values, places := poll(t, reader, n*batches)
		for i, value := range values {
			if value != fmt.Sprintf(`{"cause":%d}`, i) || places[i].Partition != 1 || places[i].Offset != int64(i) {
				t.Fatalf("record %d is %s at %+v", i, value, places[i])
			}
		}

		client, err := kgo.NewClient(kgo.SeedBrokers(b.KafkaBrokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			decisionsFor(b).Topic: {1: kgo.NewOffset().At(0)},
		}))
		must(t, err)
		defer client.Close()
		fetches := client.PollRecords(bounded(t), 3)
		must(t, fetches.Err())
		var keys []string
		fetches.EachRecord(func(r *kgo.Record) { keys = append(keys, fmt.Sprintf("%s %t", r.Key, r.Key == nil)) })
		if want := []string{"ring false", "lamp false", " true"}; !slices.Equal(keys, want) {
			t.Errorf("keys %q, want %q", keys, want)
		}
	})
}

// A group goes on after what it has stored, whoever of it reads; what was there
// before the group came is not told.
func TestReadDecisions(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		decisions := madeDecisions(t, b)
		config := decisionsFor(b)
		must(t, decisions.Publish(bounded(t), 0, linesOf(0, 3)))

		reader, err := ReadDecisions(bounded(t), config)
		must(t, err)
		must(t, decisions.Publish(bounded(t), 0, linesOf(3, 5)))
		must(t, decisions.Publish(bounded(t), 2, linesOf(100, 1)))
		values, places := poll(t, reader, 6)
		if slices.Contains(values, `{"cause":2}`) || !slices.Contains(values, `{"cause":3}`) {
			t.Errorf("it read %q", values)
		}
		at := slices.IndexFunc(places, func(p webhook.Place) bool { return p.Partition == 0 && p.Offset == 5 })
		must(t, reader.Commit(bounded(t), []webhook.Place{places[at]}))
		reader.Close()

		// Of partition 2 nothing was stored while it had records.
		must(t, decisions.Publish(bounded(t), 2, linesOf(101, 1)))
		config.Name = "second"
		values, _ = poll(t, readDecisions(t, config), 4)
		slices.Sort(values)
		if want := []string{`{"cause":100}`, `{"cause":101}`, `{"cause":6}`, `{"cause":7}`}; !slices.Equal(values, want) {
			t.Errorf("the next one read %q, want %q", values, want)
		}
	})
}

// A topic that is not there, or too small, is refused, and migrate mends it.
func TestCheckDecisions(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		config := decisionsFor(b)
		log := migrate(t, configFor(b))
		if err := CheckDecisions(bounded(t), config, log); !errors.Is(err, ErrNoTopic) {
			t.Errorf("no topic: %v", err)
		}
		quiet := func(string) {}
		must(t, MigrateDecisions(bounded(t), config, log, quiet))
		must(t, CheckDecisions(bounded(t), config, log))

		more := configFor(b)
		more.Partitions = 5
		log = migrate(t, more)
		if err := CheckDecisions(bounded(t), config, log); !errors.Is(err, ErrTooFewPartitions) {
			t.Errorf("too few partitions: %v", err)
		}
		must(t, MigrateDecisions(bounded(t), config, log, quiet))
		must(t, CheckDecisions(bounded(t), config, log))

		client, err := kgo.NewClient(kgo.SeedBrokers(b.KafkaBrokers...))
		must(t, err)
		defer client.Close()
		compact := "compact"
		altered, err := kadm.NewClient(client).AlterTopicConfigs(bounded(t), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &compact}}, config.Topic)
		must(t, err)
		must(t, altered[0].Err)
		eventually(t, "a compacted topic is refused", func() bool {
			return errors.Is(CheckDecisions(bounded(t), config, log), ErrUnfit)
		})
	})
}

// A partition that the topic got later is published to without a restart.
func TestPublishToNewPartition(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		decisions := madeDecisions(t, b)
		must(t, decisions.Publish(bounded(t), 0, linesOf(0, 1)))
		more := configFor(b)
		more.Partitions = 4
		must(t, MigrateDecisions(bounded(t), decisionsFor(b), migrate(t, more), func(string) {}))
		eventually(t, "publishing to partition 3", func() bool {
			return decisions.Publish(bounded(t), 3, linesOf(0, 1)) == nil
		})
	})
}

// While the broker is away a publication ends with its context, and leaves
// nothing behind that would come later, out of order.
func TestPublishDuringOutage(t *testing.T) {
	t.Parallel()
	kafka, err := devstack.StartFakeKafka(devstack.FakeKafkaConfig{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, kafka.Close()) })
	b := devstacktest.Backends{KafkaBrokers: []string{kafka.Address}, Topic: "outage"}
	decisions := madeDecisions(t, b)
	must(t, decisions.Publish(bounded(t), 0, linesOf(0, 2)))
	must(t, kafka.Stop())

	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := decisions.Publish(ctx, 0, linesOf(2, 3)); err == nil {
			t.Error("published to a broker that is away")
		}
		cancel()
	}
	must(t, kafka.Restart(t.Context()))
	eventually(t, "publishing after the outage", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return decisions.Publish(ctx, 0, linesOf(2, 3)) == nil
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Address), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		decisionsFor(b).Topic: {0: kgo.NewOffset().At(0)},
	}))
	must(t, err)
	defer client.Close()
	var all []string
	for len(all) < 5 {
		fetches := client.PollFetches(bounded(t))
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { all = append(all, string(r.Value)) })
	}
	if got := strings.Join(all, " "); got != `{"cause":0} {"cause":1} {"cause":2} {"cause":3} {"cause":4}` {
		t.Errorf("the topic has %s", got)
	}
}
