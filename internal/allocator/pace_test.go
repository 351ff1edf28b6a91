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
	p.begun(start, crowdedBatch)
	for _, c := range []struct {
		after   time.Duration
		records int
		want    time.Duration
	}{
		{0, 1, crowdedInterval},
		{time.Millisecond, 1, crowdedInterval - time.Millisecond},
		{time.Millisecond, maxBatchRecords, 0},
		{crowdedInterval, 1, 0},
		{time.Second, 1, 0},
	} {
		if wait := p.wait(start.Add(c.after), c.records); wait != c.want {
			t.Errorf("%s after a crowded one a batch of %d waits %s, want %s", c.after, c.records, wait, c.want)
		}
	}
}
