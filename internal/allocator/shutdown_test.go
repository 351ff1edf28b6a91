package allocator

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// At shutdown the commit in hand is finished and announced; the group is left
// last. That no goroutine stays is what the bubble checks.
func TestShutdown(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]time.Duration{"idle": 0, "quick": time.Millisecond, "slow": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				p, of := opened(w, 1, 3600)
				w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{slow: slow} } })
				at := w.buy(of, "ann")
				synctest.Wait()
				began := time.Now()
				p.stop()
				if p.err != nil {
					t.Error(p.err)
				}
				if took := time.Since(began); took > slow {
					t.Errorf("it took %s", took)
				}
				if w.state(at) != sale.Held {
					t.Errorf("the commit in hand was not finished: %s", w.state(at))
				}
				if !slices.ContainsFunc(w.feed.of(0), func(m messageHeard) bool { return m.From <= at && at < m.To }) {
					t.Error("the commit in hand was not announced")
				}
				if last := w.journal.lines[len(w.journal.lines)-1]; last != "left the group" {
					t.Errorf("the last thing was: %s", last)
				}
			})
		})
	}
}

// A message that is being published at shutdown is not cut off; a feed that
// hangs holds the end up only briefly, and so does a ledger.
func TestShutdownWithFeed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fate  func(context.Context) error
		heard bool
		took  time.Duration
	}{
		"slow": {func(ctx context.Context) error {
			select {
			case <-time.After(lastWords / 2):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, true, lastWords / 2},
		"hangs": {hangs, false, lastWords},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				p, of := opened(w, 1, 3600)
				pass(time.Second)
				w.feed.fails(c.fate)
				at := w.log.put(0, "ring", sale.Buy{Sale: of, Buyer: "ann", Quantity: 9})
				synctest.Wait()
				began := time.Now()
				p.stop()
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %s, expected %s", took, c.took)
				}
				if heard := slices.ContainsFunc(w.feed.of(0), func(m messageHeard) bool { return m.To == at+1 && m.From == at }); heard != c.heard {
					t.Errorf("announced: %t", heard)
				}
			})
		})
	}
}

// A reader that is slow to end is waited for.
func TestShutdownWithReader(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 3600)
		w.log.set(func(l *fakeLog) { l.readDelay = time.Second })
		w.buy(of, "ann")
		synctest.Wait()
		p.stop()
		lines := w.journal.lines
		if n := len(lines); lines[n-2] != "closed the reader" || lines[n-1] != "left the group" {
			t.Errorf("the last things were: %v", lines[n-2:])
		}
	})
}

func TestShutdownWithLedgerHanging(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 3600)
		w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{hangs: true} } })
		w.buy(of, "ann")
		synctest.Wait()
		began := time.Now()
		p.stop()
		if took := time.Since(began); took > commitTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// A group that cannot be taken part in ends the allocator.
func TestGroupFails(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 3600)
		w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{slow: time.Second} } })
		at := w.buy(of, "ann")
		synctest.Wait()
		failed := errors.New("not allowed in the group")
		p.member.failing <- failed
		<-p.done
		if !errors.Is(p.err, failed) {
			t.Errorf("Run returned %v", p.err)
		}
		if w.state(at) != sale.Held {
			t.Error("the commit in hand was not finished")
		}
	})
}

// A claim dies with its assignment.
func TestLostWhileClaiming(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]claimFate{
		"hanging": {hangs: true},
		"frozen":  {frozen: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.ledger.set(func(l *fakeLedger) { l.onClaim = func(int32) claimFate { l.onClaim = nil; return fate } })
				first, second := w.start(), w.start()
				first.member.assign(0)
				pass(time.Second)
				first.member.lose(0)
				second.member.assign(0)
				pass(time.Minute)
				if n := first.logs.count("owns the partition"); n != 0 {
					t.Errorf("the first owned it %d times after it was lost", n)
				}
				if n := len(w.ledger.claimed()); n > 2 {
					t.Errorf("%d claims", n)
				}
				if second.logs.count("owns the partition") == 0 {
					t.Error("the second does not own it")
				}
				w.checkFold(0)
			})
		})
	}
}

// A partition that is assigned again, while its earlier loop ends, has one loop
// at a time.
func TestAssignedAgain(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(m *member){
		"lost and assigned":     func(m *member) { m.lose(0); m.assign(0) },
		"assigned twice":        func(m *member) { m.assign(0) },
		"assigned three times":  func(m *member) { m.assign(0, 0, 0) },
		"lost again in between": func(m *member) { m.lose(0); m.assign(0); m.lose(0); m.assign(0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				p, of := opened(w, 1, 3600)
				w.ledger.set(func(l *fakeLedger) {
					l.onCommit = func(*Batch) commitFate { l.onCommit = nil; return commitFate{slow: 8 * time.Second} }
				})
				at := w.buy(of, "ann")
				synctest.Wait()
				again(p.member)
				pass(7 * time.Second)
				if n := len(w.ledger.claimed()); n != 1 {
					t.Errorf("%d claims while the earlier loop finished its commit", n)
				}
				pass(2 * time.Second)
				if n := len(w.ledger.claimed()); n != 2 {
					t.Errorf("%d claims after the earlier loop's end", n)
				}
				if !w.begun(at) {
					t.Errorf("the request is %s", w.state(at))
				}
				if epoch, _ := p.metric("anteroom_partition_epoch", 0); epoch != 2 {
					t.Errorf("the metric shows epoch %v", epoch)
				}
				w.checkFold(0)
			})
		})
	}
}

// What a lost partition leaves behind.
func TestLost(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 30)
		w.buy(of, "ann")
		pass(time.Second)
		p.member.lose(0)
		synctest.Wait()
		heard, ticks := len(w.feed.of(0)), len(w.log.ticks(0))
		w.buy(of, "bob")
		pass(time.Minute)
		if n := len(w.feed.of(0)) - heard; n > 0 {
			t.Errorf("%d messages after the partition was lost", n)
		}
		if n := len(w.log.ticks(0)) - ticks; n > 0 {
			t.Errorf("%d ticks after the partition was lost", n)
		}
		for _, name := range []string{"anteroom_partition_epoch", "anteroom_log_clock_skew_seconds"} {
			if value, there := p.metric(name, 0); there {
				t.Errorf("%s still shows %v", name, value)
			}
		}
	})
}
