package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestReadFromAnyOffset(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := madeLog(t, b)
		const count = 1000
		appendMany(t, log, 1, count)
		for _, from := range []sale.Offset{0, 1, 500, count - 1} {
			entries := readTo(t, openReader(t, log, 1, from), from, count)
			if len(entries) != int(count-from) {
				t.Errorf("from %d: %d records", from, len(entries))
			}
		}

		// At the end it waits for what comes.
		reader := openReader(t, log, 1, count)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if entries, _, err := reader.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing to read: %v, %v", entries, err)
		}
		appendOne(t, log, 1, "next")
		if entries := readTo(t, reader, count, count+1); string(entries[0].Value) != "next" {
			t.Errorf("read %q", entries[0].Value)
		}
		reader.Close()
		if _, _, err := reader.Read(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("reading on after Close: %v", err)
		}
	})
}

func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	log := madeLog(t, devstacktest.Embedded(t))
	const count = 50_000
	appendMany(t, log, 0, count)
	reader := openReader(t, log, 0, 0)
	for next := sale.Offset(0); next < count; {
		entries, _, err := reader.Read(bounded(t))
		must(t, err)
		if len(entries) > maxReadRecords {
			t.Fatalf("a read gave %d records", len(entries))
		}
		if entries[0].Offset != next {
			t.Fatalf("offset %d came where %d was due", entries[0].Offset, next)
		}
		next += sale.Offset(len(entries))
	}
}

// TestIdleReadAddsNoDelay: a record reaches a waiting reader long before the
// broker would answer an idle fetch, on average.
func TestIdleReadAddsNoDelay(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := madeLog(t, b)
		reader := openReader(t, log, 0, 0)
		const rounds = 40
		began := time.Now()
		for n := range sale.Offset(rounds) {
			appendOne(t, log, 0, "x")
			readTo(t, reader, n, n+1)
		}
		if took := time.Since(began); took > rounds*fetchWait/4 {
			t.Errorf("%d records, one by one, took %v", rounds, took)
		}
	})
}

func TestBoundsAndEntry(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := madeLog(t, b)
		bounds := func(partition int32, start, end sale.Offset) {
			t.Helper()
			gotStart, gotEnd, err := log.Bounds(bounded(t), partition)
			must(t, err)
			if gotStart != start || gotEnd != end {
				t.Errorf("partition %d has [%d, %d), want [%d, %d)", partition, gotStart, gotEnd, start, end)
			}
		}
		bounds(0, 0, 0)
		appendMany(t, log, 0, 10)
		bounds(0, 0, 10)
		bounds(1, 0, 0)

		var last event.Entry
		for _, entry := range readTo(t, openReader(t, log, 0, 0), 0, 10) {
			alone, err := log.Entry(bounded(t), 0, entry.Offset)
			must(t, err)
			if alone.Digest() != entry.Digest() {
				t.Errorf("record %d differs when it is read alone", entry.Offset)
			}
			last = alone
		}

		// Retention takes the first records.
		_, admin := adminFor(t, b)
		cut := make(kadm.Offsets)
		cut.AddOffset(b.Topic, 0, 7, -1)
		deleted, err := admin.DeleteRecords(bounded(t), cut)
		must(t, err)
		must(t, deleted.Error())
		bounds(0, 7, 10)
		if again, err := log.Entry(bounded(t), 0, 9); err != nil || again.Digest() != last.Digest() {
			t.Errorf("the last record after the first are gone: %v", err)
		}
		for _, offset := range []sale.Offset{-1, 0, 6, 10, 11} {
			if _, err := log.Entry(bounded(t), 0, offset); !errors.Is(err, ErrOutOfRange) {
				t.Errorf("record %d of [7, 10): %v", offset, err)
			}
		}
		for _, from := range []sale.Offset{-1, 0, 6, 11, 1000} {
			var reader allocator.Reader
			reader, err := log.Open(0, from)
			if err == nil {
				_, _, err = reader.Read(bounded(t))
				reader.Close()
			}
			if !errors.Is(err, ErrOutOfRange) {
				t.Errorf("reading [7, 10) from %d: %v", from, err)
			}
		}
		readTo(t, openReader(t, log, 0, 7), 7, 10)
	})
}

// TestOnlyWhatFollows gives a reader fetches as a broken log would.
func TestOnlyWhatFollows(t *testing.T) {
	t.Parallel()
	ours := event.TopicID{1}
	for _, c := range []struct {
		name    string
		offsets []int64
		topic   event.TopicID
		err     error // of the fetch
		want    error
	}{
		{"what follows", []int64{5, 6, 7}, ours, nil, nil},
		{"nothing", nil, ours, nil, nil},
		{"a later one", []int64{6}, ours, nil, ErrGap},
		{"an earlier one", []int64{4, 5}, ours, nil, ErrGap},
		{"one missing", []int64{5, 7, 8}, ours, nil, ErrGap},
		{"one twice", []int64{5, 5, 6}, ours, nil, ErrGap},
		{"another log", []int64{5}, event.TopicID{2}, nil, ErrRecreated},
		{"no such log", nil, ours, kerr.UnknownTopicID, ErrRecreated},
		{"no such offset", nil, ours, kerr.OffsetOutOfRange, ErrOutOfRange},
		{"another error", []int64{5}, ours, kerr.CorruptMessage, kerr.CorruptMessage},
	} {
		r := &reader{log: &Log{id: ours}, next: 5}
		var records []*kgo.Record
		for _, offset := range c.offsets {
			records = append(records, &kgo.Record{Offset: offset})
		}
		entries, end, err := r.entries(kgo.Fetches{{Topics: []kgo.FetchTopic{{TopicID: c.topic, Partitions: []kgo.FetchPartition{
			{Err: c.err, HighWatermark: 9, Records: records},
		}}}}})
		if errors.Is(c.want, ErrGap) && c.offsets[0] == 5 { // what comes before it comes first
			if err != nil || len(entries) != 1 {
				t.Errorf("%s: %d entries, %v", c.name, len(entries), err)
			}
			_, _, err = r.Read(t.Context())
		}
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && (len(entries) != len(c.offsets) || end != 9) {
			t.Errorf("%s: %d entries up to %d", c.name, len(entries), end)
		}
	}
}
