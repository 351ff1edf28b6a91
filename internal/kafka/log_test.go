package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestAppendFromMany appends from 500 goroutines, to two partitions, and reads
// it all back.
func TestAppendFromMany(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := madeLog(t, b)
		const goroutines, each = 500, 20
		var (
			mu    sync.Mutex
			order [2][]sale.Offset // of done
			at    = make(map[string]sale.Offset)
			all   sync.WaitGroup
		)
		for n := range goroutines {
			all.Go(func() {
				partition := int32(n % 2)
				for i := range each {
					value := fmt.Sprintf("%d/%d", n, i)
					all.Add(1)
					err := log.Append(partition, []byte("product"), []byte(value), func(offset sale.Offset, err error) {
						defer all.Done()
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						defer mu.Unlock()
						order[partition] = append(order[partition], offset)
						at[value] = offset
					})
					if err != nil {
						t.Error(err)
						all.Done()
					}
				}
			})
		}
		all.Wait()

		for partition, offsets := range order {
			for n, offset := range offsets {
				if offset != sale.Offset(n) {
					t.Fatalf("partition %d: acknowledgement %d is of offset %d", partition, n, offset)
				}
			}
			reader := openReader(t, log, int32(partition), 0)
			entries := readTo(t, reader, 0, goroutines*each/2)
			next := make(map[string]int) // per goroutine
			for _, entry := range entries {
				value := string(entry.Value)
				if at[value] != entry.Offset || string(entry.Key) != "product" {
					t.Fatalf("record %d is %q with key %q; %q was acknowledged at %d", entry.Offset, value, entry.Key, value, at[value])
				}
				who, i, _ := strings.Cut(value, "/")
				if i != fmt.Sprint(next[who]) {
					t.Fatalf("goroutine %s: its record %s came where %d was due", who, i, next[who])
				}
				next[who]++
			}
		}
		if waiting := log.waiting.Load(); waiting != 1 {
			t.Errorf("%d records are said to wait", waiting-1)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	log := madeLog(t, b)
	unexpected := func(sale.Offset, error) { t.Error("done was called for a record that was refused") }
	for _, partition := range []int32{-1, 3} {
		if err := log.Append(partition, nil, nil, unexpected); !errors.Is(err, ErrNoPartition) {
			t.Errorf("partition %d of 3: %v", partition, err)
		}
	}
	if err := log.Append(0, nil, make([]byte, MaxRecordBytes+1), unexpected); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large record: %v", err)
	}
	largest := appendOne(t, log, 0, strings.Repeat("x", MaxRecordBytes-len("product")))
	if largest != 0 {
		t.Errorf("the largest record is at offset %d", largest)
	}
	must(t, log.Close(bounded(t)))
	if err := log.Append(0, nil, nil, unexpected); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestAppendShedsByCount holds acknowledgements back, which come one at a time.
func TestAppendShedsByCount(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	config := configFor(b)
	config.MaxWaiting = 10
	config.ShedAge = time.Hour
	migrate(t, config)
	log := openLog(t, config)

	var done sync.WaitGroup
	hold := make(chan struct{})
	accepted := 0
	for accepted <= config.MaxWaiting {
		done.Add(1)
		err := log.Append(0, nil, []byte("x"), func(sale.Offset, error) { <-hold; done.Done() })
		if err != nil {
			done.Done()
			if !errors.Is(err, ingress.ErrOverloaded) {
				t.Fatal(err)
			}
			break
		}
		accepted++
	}
	// An owner's ticks are appended by a Log of their own.
	config.Name = "owner"
	if offset := appendOne(t, openLog(t, config), 1, "tick"); offset != 0 {
		t.Errorf("beside the flood, a tick is at %d", offset)
	}
	if accepted != config.MaxWaiting {
		t.Errorf("%d records were accepted, want %d", accepted, config.MaxWaiting)
	}
	close(hold)
	done.Wait()
	eventually(t, "all is released", func() bool { return log.waiting.Load() == 1 })
	if offset := appendOne(t, log, 0, "again"); offset != sale.Offset(accepted) {
		t.Errorf("the next record is at %d, want %d", offset, accepted)
	}
}

// TestAppendShedsByAge stops the broker for good, which also leaves Close with
// records that it has to give up.
func TestAppendShedsByAge(t *testing.T) {
	t.Parallel()
	kafka := startFake(t)
	config := Config{Brokers: []string{kafka.Address}, Topic: "requests", Partitions: 2, SingleBroker: true, ShedAge: 100 * time.Millisecond}
	migrate(t, config)
	log, err := Open(bounded(t), config)
	must(t, err)
	appendOne(t, log, 0, "before")
	must(t, kafka.Stop())

	var failed atomic.Int64
	accepted := int64(0)
	eventually(t, "a record is refused", func() bool {
		err := log.Append(0, nil, []byte("x"), func(_ sale.Offset, err error) {
			if errors.Is(err, ErrClosed) {
				failed.Add(1)
			}
		})
		if err == nil {
			accepted++
			return false
		}
		if !errors.Is(err, ingress.ErrOverloaded) {
			t.Fatal(err)
		}
		return true
	})
	// The other line has an age of its own.
	if err := log.Append(1, nil, []byte("x"), func(_ sale.Offset, err error) {
		if errors.Is(err, ErrClosed) {
			failed.Add(1)
		}
	}); err != nil {
		t.Errorf("a line in which nothing waits: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := log.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing without a broker: %v", err)
	}
	if failed.Load() != accepted+1 {
		t.Errorf("%d of %d records were given up", failed.Load(), accepted+1)
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	log := &Log{}
	for _, c := range []struct {
		offset int64
		err    error
		want   error
	}{
		{0, nil, nil},
		{-1, nil, ErrOffsetUnknown},
		{-1, kgo.ErrClientClosed, ErrClosed},
		{-1, kerr.UnknownTopicID, ErrRecreated},
		{-1, kerr.MessageTooLarge, kerr.MessageTooLarge},
	} {
		offset, err := log.outcome(&kgo.Record{Offset: c.offset}, c.err)
		if !errors.Is(err, c.want) || (err == nil) != (offset >= 0) {
			t.Errorf("offset %d with %v gives %d, %v, want %v", c.offset, c.err, offset, err, c.want)
		}
	}
}

// TestCloseFlushes closes with records underway.
func TestCloseFlushes(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		config := configFor(b)
		migrate(t, config)
		log, err := Open(bounded(t), config)
		must(t, err)
		var stored, refused atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				for {
					err := log.Append(0, nil, []byte("x"), func(_ sale.Offset, err error) {
						if err != nil {
							t.Error(err)
						}
						stored.Add(1)
					})
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						refused.Add(1)
						return
					}
				}
			})
		}
		eventually(t, "records are stored", func() bool { return stored.Load() > 100 })
		must(t, log.Close(bounded(t)))
		all.Wait()
		after, err := Check(bounded(t), config)
		must(t, err)
		if end := after.Partitions[0].End; end != sale.Offset(stored.Load()) {
			t.Errorf("%d records were acknowledged, the log has %d", stored.Load(), end)
		}
	})
}

func TestRecreatedTopicIsAnotherLog(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := madeLog(t, b)
		idle := openLog(t, configFor(b)) // has appended nothing yet
		appendOne(t, log, 0, "before")
		reader := openReader(t, log, 0, 0)
		readTo(t, reader, 0, 1)

		_, admin := adminFor(t, b)
		_, err := admin.DeleteTopic(bounded(t), b.Topic)
		must(t, err)
		var made Topic
		eventually(t, "the topic is made again", func() bool {
			made, err = Migrate(bounded(t), configFor(b), func(string) {})
			return err == nil && made.ID != log.Topic()
		})
		for _, log := range []*Log{log, idle} {
			// Until the producer has noticed, a record is refused by the broker.
			outcome := make(chan error, 1)
			must(t, log.Append(0, nil, []byte("after"), func(_ sale.Offset, err error) { outcome <- err }))
			select {
			case err := <-outcome:
				if !errors.Is(err, ErrRecreated) {
					t.Errorf("appending to a topic that was made again: %v", err)
				}
			case <-bounded(t).Done():
				t.Fatal("no answer")
			}
			if _, _, err := log.Bounds(bounded(t), 0); !errors.Is(err, ErrRecreated) || !errors.Is(err, allocator.ErrDiscontinuous) {
				t.Errorf("its bounds: %v", err)
			}
			if _, err := log.Entry(bounded(t), 0, 0); !errors.Is(err, ErrRecreated) {
				t.Errorf("its first record: %v", err)
			}
		}
		if _, _, err := reader.Read(bounded(t)); !errors.Is(err, ErrRecreated) {
			t.Errorf("reading on: %v", err)
		}
		// A reader that is opened now finds the new topic under the old name.
		appendOne(t, openLog(t, configFor(b)), 0, "another log")
		if _, _, err := openReader(t, log, 0, 0).Read(bounded(t)); !errors.Is(err, ErrRecreated) {
			t.Errorf("reading anew: %v", err)
		}
		if after, err := Check(bounded(t), configFor(b)); err != nil || after.Partitions[0].End != 1 {
			t.Errorf("the new log has %+v, %v", after.Partitions, err)
		}
	})
}

// TestTimeIsTheBrokers appends with a producer whose clock is an hour behind.
func TestTimeIsTheBrokers(t *testing.T) {
	t.Parallel()
	b := devstacktest.Real(t)
	log := madeLog(t, b)
	began := time.Now()
	wrong := make(chan error, 1)
	log.client.Produce(t.Context(), &kgo.Record{Topic: b.Topic, Value: []byte("x"), Timestamp: began.Add(-time.Hour)},
		func(_ *kgo.Record, err error) { wrong <- err })
	must(t, <-wrong)
	appendOne(t, log, 0, "y")
	ended := time.Now()
	for _, entry := range readTo(t, openReader(t, log, 0, 0), 0, 2) {
		// The broker runs on this machine; its clock is this one.
		if at := time.UnixMilli(int64(entry.Time)); at.Before(began.Truncate(time.Millisecond)) || at.After(ended) {
			t.Errorf("record %d is of %v, appended between %v and %v", entry.Offset, at, began, ended)
		}
		again, err := log.Entry(bounded(t), 0, entry.Offset)
		must(t, err)
		if again.Digest() != entry.Digest() {
			t.Errorf("record %d differs when it is read alone: %+v, %+v", entry.Offset, entry, again)
		}
	}
}

// TestEmbeddedTimeIsTheProducers: the in-process Kafka does not set times.
func TestEmbeddedTimeIsTheProducers(t *testing.T) {
	t.Parallel()
	log := madeLog(t, devstacktest.Embedded(t))
	began := time.Now().Truncate(time.Millisecond)
	appendOne(t, log, 0, "x")
	entry := readTo(t, openReader(t, log, 0, 0), 0, 1)[0]
	if at := time.UnixMilli(int64(entry.Time)); at.Before(began) || at.After(time.Now()) {
		t.Errorf("the record is of %v", at)
	}
}

func TestPartitionsAddedLater(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := madeLog(t, b)
		appendOne(t, log, 2, "x")
		config := configFor(b)
		config.Partitions = 4
		migrate(t, config)
		// What an owner of the new partition asks first; a driver that has just
		// looked at the topic may not know of it.
		eventually(t, "it has bounds", func() bool {
			_, _, err := log.Bounds(bounded(t), 3)
			return err == nil
		})
		if log.Partitions() != 4 {
			t.Errorf("%d partitions after Bounds, want 4", log.Partitions())
		}
		// The producer learns of it in its own time.
		eventually(t, "a record is appended to the new partition", func() bool {
			outcome := make(chan error, 1)
			must(t, log.Append(3, nil, []byte("x"), func(_ sale.Offset, err error) { outcome <- err }))
			return <-outcome == nil
		})
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	config := configFor(b)
	registry := prometheus.NewRegistry()
	config.Registerer = registry
	migrate(t, config)
	log := openLog(t, config)
	config.Name = "another"
	openLog(t, config) // beside it
	appendOne(t, log, 0, "x")
	for range 2 {
		reader := openReader(t, log, 0, 0)
		readTo(t, reader, 0, 1)
		reader.Close()
	}
	counts := counters(t, registry)
	if counts["anteroom_kafka_produce_records_total"] != 1 || counts["anteroom_kafka_fetch_records_total"] < 2 {
		t.Errorf("counted %v", counts)
	}
}

// counters sums each counter over its labels.
func counters(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	counts := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			counts[family.GetName()] += metric.GetCounter().GetValue()
		}
	}
	return counts
}
