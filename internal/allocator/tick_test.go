package allocator

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// opened starts a process that owns partition 0, with an open sale in it.
func opened(w *world, units, hold int64) (*process, sale.Offset) {
	p := w.start()
	p.member.assign(0)
	of := w.log.put(0, "ring", aSale(units, hold))
	synctest.Wait()
	return p, of
}

func (w *world) buy(of sale.Offset, buyer string) sale.Offset {
	return w.log.put(0, "ring", sale.Buy{Sale: of, Buyer: sale.Buyer(buyer), Quantity: 1})
}

// state gives a request's state in the ledger; queued where it has no row.
func (w *world) state(request sale.Offset) sale.State {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	if r, ok := w.ledger.rows[0].requests[request]; ok {
		return r.State
	}
	return sale.Queued
}

// sale gives a sale as the ledger has it.
func (w *world) sale(of sale.Offset) sale.Sale {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return w.ledger.rows[0].sales[of]
}

// begun reports whether the ledger has a start for the request's hold.
func (w *world) begun(request sale.Offset) bool {
	row := w.ledger.row(0)
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	_, ok := row.snapshot().Starts.Of(row.requests[request].HeldSince)
	return ok
}

// Every hold gets a start, whatever becomes of the tick that is to bring it.
func TestHoldStarts(t *testing.T) {
	t.Parallel()
	once := func(fate appendFate) func(*fakeLog) {
		return func(l *fakeLog) {
			l.onAppend = func(int32, []byte) appendFate { l.onAppend = nil; return fate }
		}
	}
	for name, c := range map[string]struct {
		trouble func(*fakeLog)
		ticks   int           // asked for until the start is there
		within  time.Duration // from the hold
	}{
		"no trouble":                     {func(*fakeLog) {}, 1, 0},
		"refused":                        {once(appendFate{refused: errBroker}), 2, tickInterval},
		"failed":                         {once(appendFate{lost: true, failed: errBroker}), 2, tickInterval},
		"failed late":                    {once(appendFate{lost: true, failed: errBroker, late: time.Minute}), 2, time.Minute + tickInterval},
		"appended, failure told at once": {once(appendFate{failed: errBroker}), 1, 0},
		"appended late":                  {once(appendFate{delay: time.Minute}), 1, time.Minute},
		"acknowledged late":              {once(appendFate{late: time.Minute}), 1, 0},
		"failed three times": {func(l *fakeLog) {
			n := 0
			l.onAppend = func(int32, []byte) appendFate {
				if n++; n <= 3 {
					return appendFate{lost: true, failed: errBroker}
				}
				return appendFate{}
			}
		}, 4, 3 * tickInterval},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				_, of := opened(w, 2, 3600)
				w.log.set(c.trouble)
				at := w.buy(of, "ann")
				pass(c.within)
				if !w.begun(at) {
					t.Errorf("the hold has not begun %s after it was decided", c.within)
				}
				if n := len(w.log.ticks(0)); n != c.ticks {
					t.Errorf("%d ticks were asked for, expected %d", n, c.ticks)
				}
				pass(2 * time.Minute)
				if n := len(w.log.ticks(0)); n > c.ticks {
					t.Errorf("%d ticks more when nothing was unstarted or due", n-c.ticks)
				}
				w.checkFold(0)
			})
		})
	}
}

// A hold whose owner died between its commit and its tick is begun by the next
// owner.
func TestHoldStartsUnderNextOwner(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		first, of := opened(w, 2, 3600)
		w.log.set(func(l *fakeLog) {
			l.onAppend = func(int32, []byte) appendFate { return appendFate{lost: true, late: time.Hour, failed: errBroker} }
		})
		at := w.buy(of, "ann")
		pass(time.Second)
		first.stop()
		if w.state(at) != sale.Held || w.begun(at) {
			t.Fatalf("request %d is %s", at, w.state(at))
		}
		w.log.set(func(l *fakeLog) { l.onAppend = nil })
		pass(time.Minute)

		second := w.start()
		second.member.assign(0)
		synctest.Wait()
		if !w.begun(at) {
			t.Error("the next owner did not begin the hold")
		}
		w.checkFold(0)
		pass(time.Hour) // the first one's client gives up
	})
}

// The tick of a batch goes to the end of a backlog. Until it is committed no
// other is appended; holds that were decided meanwhile get theirs then.
func TestTickBehindBacklog(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, of := opened(w, 50, 3600)
		w.log.set(func(l *fakeLog) { l.portion, l.readDelay = 1, 10*time.Millisecond })
		var last sale.Offset
		for i := range 50 {
			last = w.buy(of, string(rune('A'+i)))
		}
		pass(2 * time.Second)
		if !w.begun(last) {
			t.Error("the last hold has not begun")
		}
		if n := len(w.log.ticks(0)); n != 2 {
			t.Errorf("%d ticks for a backlog, expected the first one's and one for all others", n)
		}
		w.checkFold(0)
	})
}

func TestNoTickWithoutNeed(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 30)
		w.log.put(0, "ring", sale.Buy{Sale: of, Buyer: "ann", Quantity: 9}) // refused
		pass(time.Hour)
		if n := len(w.log.ticks(0)); n != 0 {
			t.Errorf("%d ticks while nothing was due or unstarted", n)
		}
		at := w.buy(of, "ann")
		synctest.Wait()
		w.log.put(0, "ring", sale.Confirm{Request: at, PaymentReference: "pay-1"})
		pass(time.Hour)
		if n := len(w.log.ticks(0)); n != 1 {
			t.Errorf("%d ticks, expected the one that began the hold", n)
		}
		p.stop()
		w.checkFold(0)
	})
}

// A hold ends though nothing arrives: ticks go on until log time has passed its
// end, which with a broker's clock that is behind takes a few.
func TestHoldEndsWithoutTraffic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		skew  time.Duration
		ends  time.Duration // after its start, by the owner's clock
		ticks int           // that only let time pass
		alarm bool
	}{
		"clocks agree":         {0, 30 * time.Second, 1, false},
		"broker 800 ms behind": {-800 * time.Millisecond, 30*time.Second + 800*time.Millisecond, 9, false},
		"broker 800 ms ahead":  {800 * time.Millisecond, 30*time.Second + 800*time.Millisecond, 1, false},
		"broker 3 s behind":    {-3 * time.Second, 33 * time.Second, 31, true},
		"broker 3 s ahead":     {3 * time.Second, 33 * time.Second, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.log.set(func(l *fakeLog) { l.skew = c.skew })
				p, of := opened(w, 1, 30)
				at := w.buy(of, "ann")
				pass(c.ends - time.Millisecond)
				if w.state(at) != sale.Held {
					t.Errorf("1 ms before its end it is %s", w.state(at))
				}
				pass(time.Millisecond)
				if w.state(at) != sale.Expired {
					t.Errorf("at its end it is %s", w.state(at))
				}
				pass(time.Minute)
				ticks := w.log.ticks(0)[1:]
				if len(ticks) != c.ticks {
					t.Errorf("%d ticks let time pass, expected %d", len(ticks), c.ticks)
				}
				checkRate(t, ticks)
				skew, _ := p.metric("anteroom_log_clock_skew_seconds", 0)
				if skew != c.skew.Seconds() {
					t.Errorf("the metric shows %v s", skew)
				}
				if alarms := p.logs.count("too far apart"); alarms > 0 != c.alarm || alarms > 2 {
					t.Errorf("%d alarms about the clocks", alarms) // one at the start, one at the end
				}
				w.checkFold(0)
			})
		})
	}
}

// A sale that closed a month ago retires though nothing arrives, with one tick,
// under an owner that has not seen it close.
func TestSaleRetiresWithoutTraffic(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		first, of := opened(w, 1, 30)
		at := w.buy(of, "ann")
		synctest.Wait()
		w.log.put(0, "ring", sale.Confirm{Request: at, PaymentReference: "pay-1"})
		w.log.put(0, "ring", sale.Close{Sale: of})
		synctest.Wait()
		closed := time.Now()
		first.stop()
		before := len(w.log.ticks(0))
		pass(30*24*time.Hour - time.Minute)

		w.start().member.assign(0)
		pass(time.Minute - time.Millisecond)
		if at := w.sale(of).RetiredAt; at != 0 || len(w.log.ticks(0)) != before {
			t.Errorf("1 ms before the time it has retired at %d, with %d ticks", at, len(w.log.ticks(0))-before)
		}
		pass(time.Millisecond)
		if at := w.sale(of).RetiredAt; at != sale.Time(closed.Add(30*24*time.Hour).UnixMilli()) {
			t.Errorf("it has retired at %d, closed at %d", at, closed.UnixMilli())
		}
		pass(time.Hour)
		if n := len(w.log.ticks(0)) - before; n != 1 {
			t.Errorf("%d ticks, expected one", n)
		}
		w.checkFold(0)
	})
}

// checkRate: at most 10 ticks in any second.
func checkRate(t *testing.T, ticks []tickSeen) {
	t.Helper()
	for i := 10; i < len(ticks); i++ {
		if d := ticks[i].at.Sub(ticks[i-10].at); d < time.Second {
			t.Errorf("11 ticks within %s", d)
			return
		}
	}
}

// The rate of ticks holds whatever becomes of them, and whatever arrives.
func TestTickRate(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]appendFate{
		"refused": {refused: errBroker},
		"failed":  {lost: true, failed: errBroker},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				_, of := opened(w, 3, 30)
				w.log.set(func(l *fakeLog) { l.onAppend = func(int32, []byte) appendFate { return fate } })
				for range 300 {
					w.buy(of, "ann")
					pass(10 * time.Millisecond)
				}
				ticks := w.log.ticks(0)
				checkRate(t, ticks)
				if len(ticks) < 25 {
					t.Errorf("%d ticks in 3 s", len(ticks))
				}
			})
		})
	}
}

// The distance between the clocks is noticed also where acknowledgements come
// after the record has been read; and a slow acknowledgement is no distance.
func TestSkewWithLateAcknowledgement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		skew, delay, late time.Duration
		expected          float64
	}{
		"acknowledged after the read": {skew: 5 * time.Second, late: 20 * time.Millisecond, expected: 4.98},
		"appended slowly":             {delay: 3 * time.Second, expected: 0},
		"acknowledged slowly":         {late: 3 * time.Second, expected: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.log.set(func(l *fakeLog) {
					l.skew = c.skew
					l.onAppend = func(int32, []byte) appendFate { return appendFate{delay: c.delay, late: c.late} }
				})
				p, of := opened(w, 1, 30)
				w.buy(of, "ann")
				pass(10 * time.Second)
				skew, known := p.metric("anteroom_log_clock_skew_seconds", 0)
				if !known || skew != c.expected {
					t.Errorf("the metric shows %v s (%t), expected %v", skew, known, c.expected)
				}
				if alarms := p.logs.count("too far apart"); alarms > 0 != (c.skew > maxSkew) {
					t.Errorf("%d alarms about the clocks", alarms)
				}
			})
		})
	}
}

// What an owner says is committed is so, also while a commit hangs.
func TestTickSaysWhatIsCommitted(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, of := opened(w, 5, 30)
		w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{slow: 3 * time.Second} } })
		at := w.buy(of, "ann")
		pass(time.Second)
		if n := len(w.log.ticks(0)); n != 0 {
			t.Errorf("%d ticks before the hold was committed", n)
		}
		pass(20 * time.Second)
		committed := w.log.ticks(0)
		if !w.begun(at) || !slices.ContainsFunc(committed, func(s tickSeen) bool { return s.committed > at }) {
			t.Errorf("ticks: %v", committed)
		}
	})
}

// A tick that failed says nothing about the clocks.
func TestSkewWithFailedTick(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 30)
		w.buy(of, "ann")
		pass(time.Second)
		w.log.set(func(l *fakeLog) {
			l.onAppend = func(int32, []byte) appendFate { return appendFate{lost: true, failed: errBroker} }
		})
		pass(time.Minute)
		if skew, known := p.metric("anteroom_log_clock_skew_seconds", 0); !known || skew != 0 {
			t.Errorf("the metric shows %v s (%t)", skew, known)
		}
	})
}
