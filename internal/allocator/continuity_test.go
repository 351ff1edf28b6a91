package allocator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// A log that does not continue what the ledger holds: the partition stands
// still and says why, the other goes on, and it goes on once it is mended.
func TestContinuity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks func(w *world)
		mends  func(w *world)
		says   []string
	}{
		"another topic": {
			func(w *world) { w.ledger.rows[0].topic = event.TopicID{9} },
			func(w *world) { w.ledger.rows[0].topic = w.log.topic },
			[]string{"topic id", "restore the topic", "rebuild"},
		},
		"another last record": {
			func(w *world) { w.log.partitions[0].entries[2].Value[9]++ },
			func(w *world) { w.log.partitions[0].entries[2].Value[9]-- },
			[]string{"record 2 is not the one", "restore", "rebuild"},
		},
		"another time of the last record": {
			func(w *world) { w.log.partitions[0].entries[2].Time++ },
			func(w *world) { w.log.partitions[0].entries[2].Time-- },
			[]string{"record 2 is not the one", "restore", "rebuild"},
		},
		"the log ends before": {
			func(w *world) { p := w.log.partitions[0]; p.entries = p.entries[:2] },
			func(w *world) { p := w.log.partitions[0]; p.entries = p.entries[:3] },
			[]string{"ends at offset 2", "up to 3", "restore"},
		},
		"the log starts after": {
			func(w *world) { p := w.log.partitions[0]; p.start, p.entries = 4, p.entries[3:] },
			func(w *world) { p := w.log.partitions[0]; p.start, p.entries = 0, p.entries[:3:3] },
			[]string{"starts at offset 4", "needs 3 next", "restore"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 2, func(t *testing.T, w *world) {
				first, of := opened(w, 1, 3600)
				w.log.put(0, "ring", sale.Buy{Sale: of, Buyer: "ann", Quantity: 5}) // record 2
				pass(time.Second)
				first.stop()
				whole := w.log.partitions[0].entries
				c.breaks(w)

				second := w.start()
				second.member.assign(0, 1)
				pass(time.Minute)
				row := w.ledger.row(0)
				if row.next != 3 {
					t.Errorf("the partition went on to %d", row.next)
				}
				for _, words := range c.says {
					if !strings.Contains(row.stopped, words) {
						t.Errorf("the ledger was told %q, which does not say %q", row.stopped, words)
					}
				}
				if claims := len(w.ledger.claimed()); claims > 16 { // two partitions
					t.Errorf("%d claims in a minute", claims)
				}
				w.log.put(1, "lamp", aSale(1, 30))
				synctest.Wait()
				if w.ledger.next(1) != 2 {
					t.Errorf("the other partition is at %d", w.ledger.next(1))
				}

				w.ledger.set(func(*fakeLedger) {
					w.log.set(func(l *fakeLog) {
						l.partitions[0].entries = whole
						c.mends(w)
					})
				})
				at := w.buy(of, "bob")
				pass(stoppedRetry)
				if w.state(at) != sale.Held || w.ledger.row(0).stopped != "" {
					t.Errorf("mended, and a request is %s; stopped: %q", w.state(at), w.ledger.row(0).stopped)
				}
				w.checkFold(0)
			})
		})
	}
}

// Retention took the last decided record, and nothing that is undecided: the
// topic's id decides alone.
func TestContinuityAfterRetention(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		first, of := opened(w, 1, 3600)
		pass(time.Second)
		first.stop()
		w.log.retain(0, 2)
		at := w.buy(of, "ann")
		w.start().member.assign(0)
		pass(time.Second)
		if w.state(at) != sale.Held || len(w.ledger.stopsSeen()) != 0 {
			t.Errorf("request is %s; %v", w.state(at), w.ledger.stopsSeen())
		}
	})
}

// Retention takes undecided records while the loop reads: it stands still.
func TestRetentionWhileReading(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, of := opened(w, 1, 3600)
		w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{failed: errConnection} } })
		for range 5 {
			w.buy(of, "ann")
		}
		pass(time.Second)
		w.log.retain(0, 4)
		w.ledger.set(func(l *fakeLedger) { l.onCommit = nil })
		pass(time.Minute)
		if row := w.ledger.row(0); row.next != 2 || !strings.Contains(row.stopped, "retention removed undecided records") {
			t.Errorf("at %d, stopped: %q", row.next, row.stopped)
		}
	})
}

// What comes before a schema record that is too new is decided, also in the
// same read; then the partition stands still and asks for a newer program.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1, 10} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				p, of := opened(w, 1, 3600)
				w.ledger.set(func(l *fakeLedger) {
					l.onCommit = func(*Batch) commitFate { return commitFate{slow: 100 * time.Millisecond} }
				})
				w.buy(of, "ann") // its commit is in hand
				pass(time.Millisecond)
				w.log.set(func(l *fakeLog) { // the others come in one read
					for i := range before {
						l.mu.Unlock()
						w.buy(of, fmt.Sprint("buyer-", i))
						l.mu.Lock()
					}
				})
				newer := w.log.put(0, "", sale.Schema{Version: sale.NewestSchema + 1})
				w.buy(of, "late")
				pass(time.Second)
				if next := w.ledger.next(0); next != newer {
					t.Errorf("at first decided up to %d, the schema record is %d", next, newer)
				}
				pass(time.Minute)
				row := w.ledger.row(0)
				if row.next != newer {
					t.Errorf("decided up to %d, the schema record is %d", row.next, newer)
				}
				if !strings.Contains(row.stopped, "newer than this program") || !strings.Contains(row.stopped, "upgrade") {
					t.Errorf("stopped: %q", row.stopped)
				}
				last := w.feed.of(0)[len(w.feed.of(0))-1]
				if last.To != newer {
					t.Errorf("the last message says %d", last.To)
				}
				if claims := len(w.ledger.claimed()); claims > 14 {
					t.Errorf("%d claims in a minute", claims)
				}
				p.stop()
			})
		})
	}
}

// A gap in what a reader brings is never skipped.
func TestGap(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 3600)
		p.stop()
		for i := range 5 {
			w.buy(of, fmt.Sprint("buyer-", i))
		}
		w.log.set(func(l *fakeLog) { l.skipping = true })
		second := w.start()
		second.member.assign(0)
		pass(20 * time.Second)
		if w.ledger.next(0) != of+1 {
			t.Errorf("went on to %d over a gap", w.ledger.next(0))
		}
		if second.logs.count("not the partition's next record") == 0 {
			t.Error("nobody said so")
		}
		w.log.set(func(l *fakeLog) { l.skipping = false })
		pass(5 * time.Second)
		w.checkFold(0)
	})
}

// What the ledger says itself is waited out.
func TestRebuilding(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.ledger.rows[0].rebuilding = true
		w.start().member.assign(0)
		pass(time.Minute)
		if claims := w.ledger.claimed(); len(claims) != 0 {
			t.Errorf("claimed while rebuilding: %v", claims)
		}
		w.ledger.set(func(l *fakeLedger) { l.rows[0].rebuilding = false })
		pass(stoppedRetry)
		w.checkFold(0)
		if epochs := w.ledger.claimed(); !slices.ContainsFunc(epochs, func(c claimSeen) bool { return c.epoch == 1 }) {
			t.Errorf("claims: %v", epochs)
		}
	})
}

// Rows that no state can be restored from are an operator's, too.
func TestRowsThatCannotBeRestored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks func(*fakeRow)
		says   string
		not    string
	}{
		"newer schema": {func(r *fakeRow) { r.schema = sale.NewestSchema + 1 }, "upgrade", "broke a rule"},
		"no sale":      {func(r *fakeRow) { clear(r.sales) }, "audit verify", "upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				first, of := opened(w, 1, 3600)
				at := w.buy(of, "ann")
				pass(time.Second)
				first.stop()
				c.breaks(w.ledger.rows[0])
				w.start().member.assign(0)
				pass(time.Minute)
				row := w.ledger.row(0)
				if !strings.Contains(row.stopped, c.says) || strings.Contains(row.stopped, c.not) {
					t.Errorf("stopped: %q", row.stopped)
				}
				if row.next != at+2 { // its tick
					t.Errorf("went on to %d", row.next)
				}
			})
		})
	}
}

// A batch that the ledger refuses, and always will, is an operator's matter:
// it is not sent again and again.
func TestRefusedBatch(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, of := opened(w, 1, 3600)
		w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{failed: ErrRefused} } })
		at := w.buy(of, "ann")
		pass(time.Minute)
		if row := w.ledger.row(0); row.next != at || !strings.Contains(row.stopped, "audit verify") {
			t.Errorf("at %d, stopped: %q", row.next, row.stopped)
		}
		if claims := len(w.ledger.claimed()); claims > 14 {
			t.Errorf("%d claims in a minute", claims)
		}
		w.ledger.set(func(l *fakeLedger) { l.onCommit = nil })
		pass(stoppedRetry)
		w.checkFold(0)
	})
}
