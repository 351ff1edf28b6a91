package sale_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestHoldsHaveTheirTime counts how long every hold has run, at the pace of its
// sale's clock: no hold ends before it has had all of its time, none is
// confirmed after it, and none is left once log time has reached its end.
func TestHoldsHaveTheirTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ran := map[sale.Offset]sale.Time{} // of holds that have begun
		watch(t, func(w *watched) {
			for offset := range ran {
				if w.before[w.rows[offset].Sale].Stage != sale.StagePaused {
					ran[offset] += w.state.Now() - w.was
				}
			}
			for _, d := range w.decisions {
				if d.Kind == sale.OfStart {
					for _, r := range w.rows {
						if _, begun := ran[r.Offset]; r.State == sale.Held && !begun && r.HeldSince < d.Start.Below {
							ran[r.Offset] = 0
						}
					}
				}
				if d.Kind != sale.OfRequest {
					continue
				}
				had, begun := ran[d.Request.Offset]
				was := w.rows[d.Request.Offset]
				lasts := holdFor(w, was)
				if d.Request.State == sale.Expired && (!begun || had < lasts) {
					t.Fatalf("record %d: the hold of request %d ended after %d of %d (begun: %t)", w.record.Offset, was.Offset, had, lasts, begun)
				}
				if d.Request.State == sale.Confirmed && begun && had >= lasts {
					t.Fatalf("record %d: request %d was confirmed after %d of %d", w.record.Offset, was.Offset, had, lasts)
				}
				w.take(d)
				if d.Request.State != sale.Held {
					delete(ran, d.Request.Offset)
				}
			}
			for offset, had := range ran {
				if lasts := holdFor(w, w.rows[offset]); had >= lasts {
					t.Fatalf("record %d: the hold of request %d has had %d of %d", w.record.Offset, offset, had, lasts)
				}
			}
		})
	})
}

func holdFor(w *watched, r sale.Request) sale.Time {
	if r.HoldFor != 0 {
		return r.HoldFor
	}
	return sale.Time(w.sales[r.Sale].HoldSeconds * 1000)
}

// TestPauseIsQuiet: while a sale is paused no hold of it ends, nobody gets a
// unit, a place or a window, and what comes is kept or refused for good reason.
func TestPauseIsQuiet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		watch(t, func(w *watched) {
			for _, d := range w.decisions {
				of := d.Request.Sale
				if d.Kind == sale.OfRequest && w.before[of].Stage == sale.StagePaused && w.sales[of].Stage == sale.StagePaused {
					extended := w.rows[d.Request.Offset].State == sale.Held && d.Request.State == sale.Held
					switch d.Request.State {
					case sale.Held, sale.Reserved, sale.Waitlisted, sale.Expired, sale.SoldOut:
						if !extended {
							t.Fatalf("record %d: request %d became %s in a pause", w.record.Offset, d.Request.Offset, d.Request.State)
						}
					case sale.Queued, sale.Rejected, sale.Released, sale.Confirmed, sale.Returned:
					}
				}
				w.take(d)
			}
		})
	})
}

// TestWindows: checkout windows open only at ticks, in turn, to no more than may
// hold at once, at most one second's worth at a tick, and between any two ticks
// no more than their distance allows and one second's worth.
func TestWindows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type window struct{ at, version int64 }
		opened := map[sale.Offset][]window{}
		watch(t, func(w *watched) {
			now := map[sale.Offset]int64{} // opened by this record
			for _, d := range w.decisions {
				was := w.rows[d.Request.Offset]
				if d.Kind != sale.OfRequest || was.State != sale.Reserved || d.Request.State != sale.Held {
					w.take(d)
					continue
				}
				if _, isTick := w.record.Body.(sale.Tick); !isTick {
					t.Fatalf("record %d opened the window of request %d", w.record.Offset, was.Offset)
				}
				for _, other := range w.in(was.Sale, sale.Reserved) {
					if other.Granted < was.Granted || other.Granted == was.Granted && other.Offset < was.Offset {
						t.Fatalf("record %d opened the window of request %d before that of %d", w.record.Offset, was.Offset, other.Offset)
					}
				}
				w.take(d)
				of := w.sales[was.Sale]
				if active := int64(len(w.in(of.ID, sale.Held))); of.MaxActiveHolds > 0 && active > of.MaxActiveHolds {
					t.Fatalf("record %d: %d of at most %d hold in sale %d", w.record.Offset, active, of.MaxActiveHolds, of.ID)
				}
				now[of.ID]++
				opened[of.ID] = append(opened[of.ID], window{int64(w.state.Now()), of.Version})
				if of.AdmitPerSecond == 0 {
					continue
				}
				if now[of.ID] > of.AdmitPerSecond {
					t.Fatalf("record %d opened %d windows of sale %d, at %d a second", w.record.Offset, now[of.ID], of.ID, of.AdmitPerSecond)
				}
				for i, earlier := range opened[of.ID] {
					count, elapsed := int64(len(opened[of.ID])-i), int64(w.state.Now())-earlier.at
					if earlier.version == of.Version && count*1000 > of.AdmitPerSecond*(1000+elapsed) {
						t.Fatalf("record %d: %d windows of sale %d in %d ms, at %d a second", w.record.Offset, count, of.ID, elapsed, of.AdmitPerSecond)
					}
				}
			}
		})
	})
}

// TestTicksAreOfUse: what is said to be due happens at the first tick at that
// time and not before it, and a partition that is only ticked when something
// is due, or a hold is to begin, comes to rest: everything has ended that was
// not paid for, windows have opened, and nobody waits for what is left.
func TestTicksAreOfUse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		every := 1 + rapid.IntRange(0, 9).Draw(t, "every")
		watch(t, func(w *watched) {
			if int(w.record.Offset)%every == 0 {
				comeToRest(w)
			}
		})
	})
}

func comeToRest(w *watched) {
	p, err := sale.Restore(w.state.Snapshot())
	if err != nil {
		w.t.Fatal(err)
	}
	if p.Schema() == 0 {
		return
	}
	tick := func(p *sale.Partition, at sale.Time, committed sale.Offset) (told int) {
		var changes sale.Changes
		if err := p.Apply(sale.Record{Offset: p.Next(), Time: at, Body: sale.Tick{Committed: committed}}, &changes); err != nil {
			w.t.Fatal(err)
		}
		return len(changes.Decisions) + len(changes.Sales())
	}
	// Each request can end, be served, begin and get its window; each sale can open and close.
	limit := 10 * (len(p.Snapshot().Requests) + len(w.sales) + 1)
	for steps := 0; ; steps++ {
		if steps > limit {
			w.t.Fatalf("record %d: still ticking after %d ticks", w.record.Offset, steps)
		}
		due, isDue := p.Due()
		_, unstarted := p.OldestUnstarted()
		if isDue && due > p.Now() && !unstarted {
			early, err := sale.Restore(p.Snapshot())
			if err != nil {
				w.t.Fatal(err)
			}
			if tick(early, due-1, 0) != 0 {
				w.t.Fatalf("record %d: a tick before %d, when something is due, did something", w.record.Offset, due)
			}
		}
		switch {
		case unstarted:
			if tick(p, p.Now(), p.Next()) == 0 {
				w.t.Fatalf("record %d: a hold does not begin", w.record.Offset)
			}
		case isDue:
			if tick(p, due, 0) == 0 {
				w.t.Fatalf("record %d: a tick at %d, when something is due, did nothing", w.record.Offset, due)
			}
		default:
			checkRest(w, p)
			return
		}
	}
}

func checkRest(w *watched, p *sale.Partition) {
	snapshot := p.Snapshot()
	for _, s := range snapshot.Sales {
		if s.Stage == sale.StageScheduled || s.Stage != sale.StageClosed && s.ClosesAt != 0 {
			w.t.Fatalf("sale %d is %s for ever", s.ID, s.Stage)
		}
		if s.Stage == sale.StagePaused {
			continue // an operator's turn
		}
		if s.Held != 0 || s.Reserved != 0 || s.Parked != 0 || s.Stage == sale.StageClosed && s.Waitlisted != 0 {
			w.t.Fatalf("sale %d, %s, came to rest with %d held, %d reserved, %d parked, %d waiting", s.ID, s.Stage, s.Held, s.Reserved, s.Parked, s.Waitlisted)
		}
		for _, r := range snapshot.Requests {
			if r.Sale == s.ID && r.State == sale.Waitlisted && r.Quantity <= s.Available {
				w.t.Fatalf("sale %d came to rest with %d left and request %d waiting for %d", s.ID, s.Available, r.Offset, r.Quantity)
			}
		}
	}
}

// TestPaceAfterAnAge: however long nobody came and however fast the pace, one
// second's worth of windows opens, and the next ones in their time.
func TestPaceAfterAnAge(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	terms := waiting(5)
	terms.AdmitPerSecond = 2
	l.sale(terms)
	first := l.buy("ann", 1)
	l.tick()
	l.wants(fmt.Sprintf("request %d held", first))
	l.do(sale.Update{Sale: l.current, Version: 1, Change: sale.Change{AdmitPerSecond: new(int64(sale.MaxPerSecond))}})
	l.time = lastSecond // where log time stops, some way before
	second := l.buy("bob", 1)
	l.do(sale.Tick{})
	if got := l.told(); len(got) != 1 || got[0] != fmt.Sprintf("request %d held", second) {
		t.Fatalf("a tick decided %v", got)
	}
	if pace := l.now().Pace; pace.Credit != (sale.MaxPerSecond-1)*1000 || pace.At != l.state.Now() {
		t.Fatalf("the pace is %+v", pace)
	}
}

// TestWindowsAreNotSavedUp: what one second's worth leaves over does not add to
// the next.
func TestWindowsAreNotSavedUp(t *testing.T) {
	t.Parallel()
	l := newLaterLine(t)
	terms := waiting(20)
	terms.AdmitPerSecond = 5
	l.sale(terms)
	buy := func(buyers int) {
		for range buyers {
			l.buy(sale.Buyer(fmt.Sprintf("buyer-%d", l.state.Next())), 1)
		}
	}
	for _, step := range []struct {
		elapsed      sale.Time
		come, opened int
	}{
		{0, 1, 1},   // 4 left over
		{900, 9, 5}, // and 4.5 more, of which 5 fit
		{199, 0, 0}, {1, 0, 1}, {200, 0, 1}, {1000, 9, 5}, {100, 0, 0}, {1_000_000, 0, 5},
	} {
		l.time += step.elapsed
		buy(step.come)
		l.do(sale.Tick{})
		if got := len(l.told()); got != step.opened {
			t.Fatalf("%d ms later, %d windows opened, not %d", step.elapsed, got, step.opened)
		}
	}
}
