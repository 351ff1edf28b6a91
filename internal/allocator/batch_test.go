package allocator

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// batches gives what was committed for partition 0 since the test looked last.
func (w *world) batches(since int) []batchSeen {
	row := w.ledger.row(0)
	return row.batches[since:]
}

// What arrives during a commit forms one batch; a lone record is committed at
// once.
func TestBatchBoundaries(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, of := opened(w, 1, 3600)
		w.buy(of, "first")
		pass(time.Minute)
		before := len(w.batches(0))

		lone := time.Now()
		w.buy(of, "second")
		synctest.Wait()
		if b := w.batches(before); len(b) != 1 || !b[0].at.Equal(lone) {
			t.Fatalf("a lone record on an idle partition: %v, appended at %s", b, lone)
		}

		w.ledger.set(func(l *fakeLedger) {
			l.onCommit = func(*Batch) commitFate { return commitFate{slow: 100 * time.Millisecond} }
		})
		before = len(w.batches(0))
		for i := range 100 { // one at once, then one each ms
			w.buy(of, fmt.Sprint("buyer-", i))
			pass(time.Millisecond)
		}
		pass(time.Second)
		b := w.batches(before)
		if len(b) != 2 || b[0].to-b[0].from != 1 || b[1].to-b[1].from != 99 {
			t.Errorf("batches %v, expected one of the first record and one of the others", b)
		}
		w.checkFold(0)
	})
}

// While the ledger hangs, a loop takes in no more than a batch and what one
// read brings, and commits all of it afterwards.
func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, of := opened(w, 1, 3600)
		pass(time.Second)
		const portion = 5000
		w.log.set(func(l *fakeLog) { l.portion = portion })
		var read sale.Offset
		w.log.set(func(l *fakeLog) {
			l.onRead = func(_ int32, next sale.Offset) error { read = max(read, next); return nil }
		})
		w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{hangs: true} } })
		w.buy(of, "ann")
		for i := range 3 * maxBatchRecords { // they leave no rows
			w.buy(of, fmt.Sprint("buyer-", i))
		}
		from := w.ledger.next(0)
		pass(commitTimeout / 2)
		// What is in the commit, what waits for it, what is applied, what is decoded, what is being decoded.
		if taken, bound := read-from, sale.Offset(2*maxBatchRecords+5*portion); taken > bound || taken < maxBatchRecords {
			t.Errorf("%d records were taken in while the ledger hung, expected %d to %d", taken, maxBatchRecords, bound)
		}
		w.ledger.set(func(l *fakeLedger) { l.onCommit = nil })
		pass(time.Minute)
		for _, b := range w.batches(0) {
			if b.to-b.from > maxBatchRecords+portion {
				t.Errorf("batch [%d, %d)", b.from, b.to)
			}
		}
		w.checkFold(0)
	})
}

// A commit of which nothing is known is followed by a claim, which finds what
// became of it.
func TestCommitOfUnknownResult(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]commitFate{
		"failed before":     {failed: errConnection},
		"failed after":      {answer: errConnection},
		"done later":        {failed: errConnection, detached: time.Second},
		"done at once":      {failed: errConnection, detached: time.Nanosecond},
		"hung before":       {hangs: true},
		"hung after":        {silent: true},
		"too slow":          {slow: time.Hour},
		"slow":              {slow: 9 * time.Second},
		"refused as fenced": {failed: ErrFenced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				p, of := opened(w, 2, 3600)
				w.ledger.set(func(l *fakeLedger) {
					l.onCommit = func(*Batch) commitFate { l.onCommit = nil; return fate }
				})
				at := w.buy(of, "ann")
				pass(time.Millisecond)
				later := w.buy(of, "bob")
				pass(15 * time.Second)
				if !w.begun(at) || !w.begun(later) {
					t.Errorf("they are %s and %s", w.state(at), w.state(later))
				}
				if lost, _ := p.metric("anteroom_fence_lost_total", 0); lost > 1 || (name == "refused as fenced") != (lost == 1) {
					t.Errorf("fenced %v times", lost)
				}
				w.checkFold(0)
			})
		})
	}
}

// One partition's ledger that hangs holds up no other.
func TestPartitionsAreIndependent(t *testing.T) {
	t.Parallel()
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.ledger.set(func(l *fakeLedger) {
			l.onCommit = func(b *Batch) commitFate { return commitFate{hangs: b.Partition == 1} }
		})
		w.start().member.assign(0, 1)
		pass(time.Second)
		w.log.put(0, "ring", aSale(1, 30))
		w.log.put(1, "lamp", aSale(1, 30))
		synctest.Wait()
		if w.ledger.next(0) != 2 || w.ledger.next(1) != 0 {
			t.Errorf("decided up to %d and %d", w.ledger.next(0), w.ledger.next(1))
		}
	})
}
