package allocator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestPace(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var p pace
	if wait := p.wait(start, 1); wait != 0 {
		t.Errorf("the first batch waits %s", wait)
	}
	p.begun(start, crowdedBatch-1)
	if wait := p.wait(start, 1); wait != 0 {
		t.Errorf("a batch after a small one waits %s", wait)
	}
	for _, c := range []struct {
		before  int // records of the batch before
		after   time.Duration
		records int
		want    time.Duration
	}{
		{crowdedBatch, 0, 1, 10 * time.Millisecond},
		{crowdedBatch, time.Millisecond, 1, 9 * time.Millisecond},
		{2 * crowdedBatch, 0, 1, 20 * time.Millisecond},
		{maxBatchRecords, 0, 1, longestInterval},
		{maxBatchRecords, time.Millisecond, maxBatchRecords, 0},
		{crowdedBatch, 10 * time.Millisecond, 1, 0},
		{maxBatchRecords, time.Second, 1, 0},
	} {
		p.begun(start, c.before)
		if wait := p.wait(start.Add(c.after), c.records); wait != c.want {
			t.Errorf("%s after one of %d a batch of %d waits %s, want %s", c.after, c.before, c.records, wait, c.want)
		}
	}
}

// TestPaceFollowsTheLoad: records that come steadily settle at the longest
// interval, or at none.
func TestPaceFollowsTheLoad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		every time.Duration // one record
		want  time.Duration // between commits
	}{
		{intervalPerRecord / 2, longestInterval},
		{intervalPerRecord - 10*time.Microsecond, longestInterval},
		{intervalPerRecord + 10*time.Microsecond, 0},
		{20 * intervalPerRecord, 0},
	} {
		var p pace
		now, records := time.Now(), crowdedBatch
		var wait time.Duration
		for range 200 {
			p.begun(now, records)
			wait = p.wait(now, 1)
			const commit = time.Millisecond
			records = int(max(wait, commit) / c.every)
			now = now.Add(max(wait, commit))
		}
		if wait != c.want {
			t.Errorf("with a record every %s commits are %s apart, want %s", c.every, wait, c.want)
		}
	}
}

// slowReader gives what it is told to, and notes when it was asked.
type slowReader struct {
	Reader
	reads []readResult
	asked []time.Time
}

type readResult struct {
	records, behind int // behind the end of the log
}

func (r *slowReader) Read(ctx context.Context) ([]event.Entry, sale.Offset, error) {
	r.asked = append(r.asked, time.Now())
	if len(r.reads) == 0 {
		<-ctx.Done()
		return nil, 0, ctx.Err()
	}
	next := r.reads[0]
	r.reads = r.reads[1:]
	entries := make([]event.Entry, next.records)
	for i := range entries {
		entries[i].Offset = sale.Offset(i)
	}
	return entries, sale.Offset(next.records + next.behind), nil
}

// TestReadsRestInACrowd: the log is left alone after a read of many that were the
// last ones, and after no other.
func TestReadsRestInACrowd(t *testing.T) {
	t.Parallel()
	for of, want := range map[readResult]time.Duration{
		{1, 0}:               0,
		{crowdedRead - 1, 0}: 0,
		{crowdedRead, 0}:     crowdedRead * intervalPerRecord,
		{5000, 0}:            longestRest,
		{5000, 1}:            0, // it is behind
		{1, 5000}:            0,
		{2 * crowdedRead, 0}: 2 * crowdedRead * intervalPerRecord,
	} {
		synctest.Test(t, func(t *testing.T) {
			reader := &slowReader{reads: []readResult{of}}
			ctx, stop := context.WithCancel(t.Context())
			portions := make(chan portion, 10)
			time.AfterFunc(time.Second, stop)
			read(ctx, reader, event.NewChain(event.Digest{}), portions)
			if waited := reader.asked[1].Sub(reader.asked[0]); waited != want {
				t.Errorf("%+v: the next read came after %v, want %v", of, waited, want)
			}
		})
	}
}

// TestARestEnds with the partition.
func TestARestEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Millisecond, stop)
		if rest(ctx, time.Hour) || time.Since(began) != time.Millisecond {
			t.Errorf("it ended after %v", time.Since(began))
		}
	})
}
