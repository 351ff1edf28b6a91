package allocator

import (
	"context"
	"time"
)

const (
	// A batch of this many records says that there is a crowd.
	crowdedBatch = 100
	// Then commits begin at least this long after each other for each record of
	// the batch, up to the longest, so that each one decides more, and Postgres,
	// Redis and the boards have fewer to deal with. Where records come faster
	// than one in this time, batches grow until the interval is the longest;
	// where they come slower, batches shrink until nothing waits.
	intervalPerRecord = 100 * time.Microsecond
	longestInterval   = 25 * time.Millisecond

	// A read that brought the last of the log with at least this many records is
	// followed by a rest of intervalPerRecord for each of them, up to the longest.
	// Otherwise the broker would be asked several times for what one commit has,
	// and each time costs it about as much as appending does. Since a Reader may
	// read ahead, a record waits for up to two rests.
	crowdedRead = 20
	longestRest = 10 * time.Millisecond
)

// restAfter gives the time for which the log is left alone after a read that
// brought so many records, the last ones.
func restAfter(records int) time.Duration {
	if records < crowdedRead {
		return 0
	}
	return min(time.Duration(records)*intervalPerRecord, longestRest)
}

// rest is false if ctx is done before the time is over.
func rest(ctx context.Context, wait time.Duration) bool {
	if wait == 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pace spreads commits while there is a crowd. A batch that follows a small
// one never waits.
type pace struct {
	crowded bool
	next    time.Time // when a commit may begin, while it is crowded
}

// begun takes note of a commit that begins.
func (p *pace) begun(now time.Time, records int) {
	p.crowded = records >= crowdedBatch
	p.next = now.Add(min(time.Duration(records)*intervalPerRecord, longestInterval))
}

// wait gives the time for which records are still to be gathered.
func (p *pace) wait(now time.Time, records int) time.Duration {
	if !p.crowded || records >= maxBatchRecords {
		return 0
	}
	return max(0, p.next.Sub(now))
}
