package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func startFake(t *testing.T) *devstack.FakeKafka {
	t.Helper()
	kafka, err := devstack.StartFakeKafka(devstack.FakeKafkaConfig{})
	must(t, err)
	t.Cleanup(func() { must(t, kafka.Close()) })
	return kafka
}

// startReal starts a broker for one test alone, which may take it away.
func startReal(t *testing.T) (*devstack.Kafka, Config) {
	t.Helper()
	kafka, err := devstack.StartKafka(bounded(t), devstack.KafkaConfig{Libs: devstacktest.KafkaLibs(t)})
	must(t, err)
	t.Cleanup(func() { must(t, kafka.Close()) })
	config := Config{Brokers: []string{kafka.Address}, Partitions: 3, SingleBroker: true, Group: "allocators"}
	migrate(t, config)
	return kafka, config
}

// stream appends one record after the other, numbered, while it is accepted.
type stream struct {
	log      *Log
	numbered int
	accepted []int // in order
	done     sync.WaitGroup

	mu      sync.Mutex
	offsets map[int]sale.Offset
	failed  atomic.Int64
}

func (s *stream) append() error {
	number := s.numbered
	s.numbered++
	s.done.Add(1)
	err := s.log.Append(0, []byte("product"), []byte(fmt.Sprint(number)), func(offset sale.Offset, err error) {
		defer s.done.Done()
		if err != nil {
			s.failed.Add(1)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.offsets[number] = offset
	})
	if err != nil {
		s.done.Done()
		return err
	}
	s.accepted = append(s.accepted, number)
	return nil
}

// TestOutages uses one broker of its own for everything that takes it away.
func TestOutages(t *testing.T) {
	t.Parallel()
	kafka, config := startReal(t)
	t.Run("appending", func(t *testing.T) { appendThroughOutages(t, kafka, config) })
	t.Run("membership", func(t *testing.T) { stayMemberThroughOutages(t, kafka, config) })
}

// appendThroughOutages takes the broker away under a stream of records, by
// freezing it and by ending it, and brings it back.
func appendThroughOutages(t *testing.T, kafka *devstack.Kafka, config Config) {
	log := openLog(t, config)
	s := &stream{log: log, offsets: make(map[int]sale.Offset)}
	reader := openReader(t, log, 0, 0)
	read := sale.Offset(0)

	for _, outage := range []struct {
		name       string
		begin, end func() error
	}{
		{"frozen", kafka.Pause, kafka.Continue},
		{"killed", kafka.Kill, func() error { return kafka.Restart(context.Background()) }},
	} {
		for range 100 {
			eventually(t, "a record is accepted", func() bool { return s.append() == nil })
		}
		s.done.Wait()

		must(t, outage.begin())
		began := time.Now()
		eventually(t, "a record is refused", func() bool {
			err := s.append()
			if err != nil && !errors.Is(err, ingress.ErrOverloaded) {
				t.Fatal(err)
			}
			return err != nil
		})
		if took := time.Since(began); took < config.withDefaults().ShedAge || took > 5*time.Second {
			t.Errorf("%s: records were refused after %v", outage.name, took)
		}
		if err := s.append(); !errors.Is(err, ingress.ErrOverloaded) {
			t.Errorf("%s: the next record: %v", outage.name, err)
		}

		must(t, outage.end())
		back := time.Now()
		eventually(t, "records are accepted again", func() bool { return s.append() == nil })
		t.Logf("%s: accepted again %v after the broker answered", outage.name, time.Since(back).Round(time.Millisecond))
		if took := time.Since(back); took > 15*time.Second {
			t.Errorf("%s: records were accepted again after %v", outage.name, took)
		}
		s.done.Wait()
		// The reader was open all the time.
		_, end, err := log.Bounds(bounded(t), 0)
		must(t, err)
		readTo(t, reader, read, end)
		read = end
	}

	if failed := s.failed.Load(); failed > 0 {
		t.Errorf("%d accepted records failed", failed)
	}
	entries := readTo(t, openReader(t, log, 0, 0), 0, read)
	if len(entries) != len(s.accepted) {
		t.Errorf("%d records were accepted, the log has %d", len(s.accepted), len(entries))
	}
	for n, entry := range entries[:min(len(entries), len(s.accepted))] {
		number := s.accepted[n]
		if string(entry.Value) != fmt.Sprint(number) || s.offsets[number] != entry.Offset {
			t.Fatalf("record %d is %s; accepted as number %d was %d, with offset %d", entry.Offset, entry.Value, n, number, s.offsets[number])
		}
	}
}

// stayMemberThroughOutages: of a short absence of the broker members notice
// nothing; of a longer one they are told.
func stayMemberThroughOutages(t *testing.T, kafka *devstack.Kafka, config Config) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	m := join(t, config, "member")
	eventually(t, "it has all", func() bool { return shared(ctx, m) })

	must(t, kafka.Kill())
	if err := m.Prove(ctx); err == nil {
		t.Error("it proves its place to a broker that is gone")
	}
	must(t, kafka.Restart(ctx))
	eventually(t, "it has all again", func() bool { return shared(ctx, m) })

	must(t, kafka.Pause())
	eventually(t, "it knows that it may have lost them", func() bool { return len(m.partitions()) == 0 })
	must(t, kafka.Continue())
	eventually(t, "it has all after a long absence", func() bool { return shared(ctx, m) })

	// Leaving has a limit where nobody answers.
	must(t, kafka.Pause())
	gone, err := NewMembership(config)
	must(t, err)
	short, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	if err := gone.Run(short, m.assigned, m.lost); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("leaving a broker that does not answer: %v", err)
	}
	must(t, kafka.Continue())
}
