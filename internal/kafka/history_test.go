package kafka

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
)

// TestHistoryTellsOfAGap: what comes before an offset without a record comes
// first, and then, however often one asks, that the record is missing. The
// marker that ends a transaction takes an offset and is no record.
func TestHistoryTellsOfAGap(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := madeLog(t, b)
		appendMany(t, log, 1, 3)
		stranger, err := kgo.NewClient(
			kgo.SeedBrokers(b.KafkaBrokers...), kgo.TransactionalID(b.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		must(t, err)
		defer stranger.Close()
		must(t, stranger.BeginTransaction())
		must(t, stranger.ProduceSync(bounded(t), &kgo.Record{Topic: log.config.Topic, Partition: 1, Value: []byte("3")}).FirstErr())
		must(t, stranger.EndTransaction(bounded(t), kgo.TryCommit))
		eventually(t, "the transaction's end", func() bool {
			_, end, err := log.Bounds(bounded(t), 1)
			must(t, err)
			return end == 5
		})
		appendMany(t, log, 1, 2)

		history, err := OpenHistory(bounded(t), configFor(b))
		must(t, err)
		defer history.Close()
		start, end, err := history.Bounds(bounded(t), 1)
		must(t, err)
		if start != 0 || end != 7 || history.Topic() != log.Topic() || history.Partitions() != 3 {
			t.Fatalf("the log has [%d, %d) of %d partitions, topic %v", start, end, history.Partitions(), history.Topic())
		}
		reader, err := history.Open(1, 0)
		must(t, err)
		defer reader.Close()
		var all []event.Entry
		for err == nil {
			var entries []event.Entry
			entries, err = reader.Read(bounded(t))
			all = append(all, entries...)
		}
		if len(all) != 4 || string(all[3].Value) != "3" || !errors.Is(err, audit.ErrMissing) {
			t.Errorf("read %d records, and then %v; want 4 and ErrMissing", len(all), err)
		}
		if _, err := reader.Read(bounded(t)); !errors.Is(err, audit.ErrMissing) {
			t.Errorf("asked again: %v, want ErrMissing", err)
		}
		after, err := history.Open(1, 5)
		must(t, err)
		defer after.Close()
		if entries, err := after.Read(bounded(t)); err != nil || entries[0].Offset != 5 {
			t.Errorf("behind the gap: %v, %v", entries, err)
		}
	})
}
