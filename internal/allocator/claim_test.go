package allocator

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A member that the group does not count in raises no epoch, and does not ask
// in a frenzy.
func TestClaimWithoutProof(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.start()
		p.member.proves(notCounted)
		p.member.assign(0)
		pass(10 * time.Second)
		if claims := w.ledger.claimed(); len(claims) != 0 {
			t.Errorf("it claimed: %v", claims)
		}
		before := p.member.proofTimes()
		if len(before) > 15 {
			t.Errorf("%d proofs were asked for in the first 10 s", len(before))
		}
		pass(time.Minute)
		steady := p.member.proofTimes()[len(before):]
		if len(steady) < 25 || len(steady) > 60 {
			t.Errorf("%d proofs were asked for in a minute", len(steady))
		}
		checkJitter(t, steady)

		p.member.proves(nil)
		pass(lastRetry)
		w.checkFold(0)
	})
}

// checkJitter: the waits are spread between half of the longest and the whole.
func checkJitter(t *testing.T, times []time.Time) {
	t.Helper()
	waits := make(map[time.Duration]bool)
	for i := 1; i < len(times); i++ {
		wait := times[i].Sub(times[i-1])
		if wait < lastRetry/2 || wait > lastRetry {
			t.Errorf("a wait of %s", wait)
		}
		waits[wait] = true
	}
	if len(waits) < len(times)/2 {
		t.Errorf("%d different waits of %d", len(waits), len(times))
	}
}

// A ledger that is away, or that hangs, is not asked in a frenzy either.
func TestClaimFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fate   claimFate
		atMost int // claims in two minutes
	}{
		"fails":          {claimFate{failed: errConnection}, 120},
		"hangs":          {claimFate{hangs: true}, 10},
		"unknown result": {claimFate{answer: errConnection}, 120},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				n := 0
				w.ledger.set(func(l *fakeLedger) { l.onClaim = func(int32) claimFate { n++; return c.fate } })
				w.start().member.assign(0)
				pass(2 * time.Minute)
				if n > c.atMost || n < 5 {
					t.Errorf("%d claims in two minutes", n)
				}
				w.ledger.set(func(l *fakeLedger) { l.onClaim = nil })
				pass(claimTimeout + lastRetry)
				w.checkFold(0)
			})
		})
	}
}

// Partitions that stand still are not claimed in step.
func TestStoppedPartitionsAreNotInStep(t *testing.T) {
	t.Parallel()
	inWorld(t, 8, func(t *testing.T, w *world) {
		w.log.set(func(l *fakeLog) { l.topic[0]++ })
		w.start().member.assign(0, 1, 2, 3, 4, 5, 6, 7)
		pass(time.Minute)
		var at []time.Time
		for _, c := range w.ledger.claimed()[8:] {
			at = append(at, c.at)
		}
		if n := len(slices.Compact(at)); n < len(at)/2 {
			t.Errorf("%d claims at %d instants", len(at), n)
		}
	})
}

// A healthy owner that a stale claimer has fenced has its partition back, and
// nothing is lost: the stale one, frozen after its proof, raised the epoch.
func TestFencedByStaleClaimer(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		stale, healthy := w.start(), w.start()
		w.ledger.set(func(l *fakeLedger) {
			l.onClaim = func(int32) claimFate { l.onClaim = nil; return claimFate{answer: errConnection} }
		})
		healthy.member.assign(0)
		of := w.log.put(0, "ring", aSale(3, 3600))
		pass(time.Second)
		w.buy(of, "ann")
		pass(time.Second)

		stale.member.assign(0) // it proves, claims, and is told nothing more
		synctest.Wait()
		stale.member.proves(notCounted)
		at := w.buy(of, "bob") // both see it
		pass(time.Second)
		if !w.begun(at) {
			t.Errorf("the request is %s", w.state(at))
		}
		// From here on the stale one loses whatever the healthy one claims.
		last := w.buy(of, "cid")
		pass(3 * time.Second)
		if !w.begun(last) {
			t.Errorf("the last request is %s", w.state(last))
		}
		if n := len(w.ledger.claimed()); n > 5 {
			t.Errorf("%d claims", n)
		}
		lost, _ := healthy.metric("anteroom_fence_lost_total", 0)
		if lost != 1 {
			t.Errorf("the healthy one was fenced %v times", lost)
		}
		w.checkFold(0)
	})
}

// The waits between claims are short again after a time of service.
func TestRetryIsReset(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 3600)
		p.member.proves(notCounted)
		w.ledger.set(func(l *fakeLedger) {
			l.onCommit = func(*Batch) commitFate { l.onCommit = nil; return commitFate{failed: ErrFenced} }
		})
		w.buy(of, "ann")
		pass(time.Minute)
		p.member.proves(nil)
		pass(time.Minute)
		w.ledger.set(func(l *fakeLedger) {
			l.onCommit = func(*Batch) commitFate { l.onCommit = nil; return commitFate{failed: ErrFenced} }
		})
		at := w.buy(of, "bob")
		pass(firstRetry)
		if w.ledger.next(0) <= at {
			t.Error("a first doubt after a long service took longer than the first wait")
		}
	})
}
