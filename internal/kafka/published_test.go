package kafka

import (
	"errors"
	"testing"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// What was published last is found, however much came before it, and of each
// partition for itself.
func TestLastDecisions(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		decisions := madeDecisions(t, b)
		published, err := OpenPublished(bounded(t), decisionsFor(b), 3)
		must(t, err)
		defer published.Close()
		last, err := published.Last(bounded(t), 1)
		must(t, err)
		if len(last) != 0 {
			t.Errorf("an empty partition has %d decisions", len(last))
		}
		const n = 3*lastDecisions + 7
		must(t, decisions.Publish(bounded(t), 1, linesOf(0, n)))
		must(t, decisions.Publish(bounded(t), 2, linesOf(0, 5)))
		for partition, want := range map[int32]struct{ from, count int }{0: {0, 0}, 1: {n - lastDecisions, lastDecisions}, 2: {0, 5}} {
			last, err := published.Last(bounded(t), partition)
			must(t, err)
			if len(last) != want.count {
				t.Errorf("partition %d: %d decisions, want %d", partition, len(last), want.count)
			}
			for i, d := range last {
				if d.Cause != sale.Offset(want.from+i) {
					t.Fatalf("partition %d: decision %d is of record %d, want %d", partition, i, d.Cause, want.from+i)
				}
			}
		}

		// Not decisions of ours: nobody knows what was published then.
		must(t, decisions.Publish(bounded(t), 2, []byte("ring\tgarbage\n")))
		if _, err := published.Last(bounded(t), 2); err == nil {
			t.Error("garbage was taken for a decision")
		}
		if _, err := OpenPublished(bounded(t), decisionsFor(b), 4); !errors.Is(err, ErrTooFewPartitions) {
			t.Errorf("a topic of 3 partitions for a log of 4: %v", err)
		}
		missing := decisionsFor(b)
		missing.Topic += ".missing"
		if _, err := OpenPublished(bounded(t), missing, 3); !errors.Is(err, ErrNoTopic) {
			t.Errorf("no topic: %v", err)
		}
	})
}
