package kafka

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestMain(m *testing.M) { devstacktest.Main(m) }

const patience = 60 * time.Second

func configFor(b devstacktest.Backends) Config {
	return Config{
		Brokers: b.KafkaBrokers, Topic: b.Topic, Group: b.Topic,
		Partitions: 3, SingleBroker: true,
		ShedAge: patience, // a busy machine is not what most tests are about
	}
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func migrate(t *testing.T, config Config) Topic {
	t.Helper()
	topic, err := Migrate(bounded(t), config, func(line string) { t.Log(line) })
	must(t, err)
	return topic
}

func openLog(t *testing.T, config Config) *Log {
	t.Helper()
	log, err := Open(bounded(t), config)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := log.Close(ctx); err != nil {
			t.Errorf("closing the log: %v", err)
		}
	})
	return log
}

// madeLog makes the topic and opens it.
func madeLog(t *testing.T, b devstacktest.Backends) *Log {
	t.Helper()
	config := configFor(b)
	migrate(t, config)
	return openLog(t, config)
}

func openReader(t *testing.T, log *Log, partition int32, from sale.Offset) allocator.Reader {
	t.Helper()
	reader, err := log.Open(partition, from)
	must(t, err)
	t.Cleanup(reader.Close)
	return reader
}

type acknowledged struct {
	offset sale.Offset
	err    error
}

// appendOne appends a record and waits for its offset.
func appendOne(t *testing.T, log *Log, partition int32, value string) sale.Offset {
	t.Helper()
	outcome := make(chan acknowledged, 1)
	must(t, log.Append(partition, []byte("product"), []byte(value), func(offset sale.Offset, err error) {
		outcome <- acknowledged{offset, err}
	}))
	select {
	case a := <-outcome:
		must(t, a.err)
		return a.offset
	case <-bounded(t).Done():
		t.Fatal("no acknowledgement")
		return 0
	}
}

func appendMany(t *testing.T, log *Log, partition int32, count int) {
	t.Helper()
	var all sync.WaitGroup
	for n := range count {
		all.Add(1)
		must(t, log.Append(partition, []byte("product"), []byte(fmt.Sprint(n)), func(_ sale.Offset, err error) {
			if err != nil {
				t.Error(err)
			}
			all.Done()
		}))
	}
	all.Wait()
}

// readTo reads until the reader has reached end.
func readTo(t *testing.T, reader allocator.Reader, from, end sale.Offset) []event.Entry {
	t.Helper()
	var all []event.Entry
	for from+sale.Offset(len(all)) < end {
		entries, told, err := reader.Read(bounded(t))
		must(t, err)
		for _, entry := range entries {
			if due := from + sale.Offset(len(all)); entry.Offset != due {
				t.Fatalf("offset %d came where %d was due", entry.Offset, due)
			}
			all = append(all, entry)
		}
		if told < from+sale.Offset(len(all)) {
			t.Fatalf("read up to %d, told an end of %d", from+sale.Offset(len(all)), told)
		}
	}
	return all
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		case <-again.C:
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
