package allocator

import (
	"testing"
	"time"
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
