package load

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newLineup(of Arrivals, most int) *lineup {
	p := &phaseRun{phase: Phase{Patience: time.Minute}, tally: newTally(Click), began: time.Now()}
	return &lineup{phaseRun: p, arrivals: newArrivals(of, most)}
}

// TestTheLastFreeGoesFirst: of those who are free the arrival takes the one that
// became free last, however often that is.
func TestTheLastFreeGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := newLineup(Arrivals{Kind: Constant, Rate: 1}, 4)
		var workers sync.WaitGroup
		line.start(t.Context(), &workers)
		var mu sync.Mutex
		var took []int
		work := func(n int, busy time.Duration) {
			for place := make(chan arrival, 1); ; {
				a, more := line.next(place)
				if !more {
					return
				}
				if late := line.elapsed() - a.due; late != 0 || a.waited != 0 {
					t.Errorf("arrival %d came %v late and waited %v", a.number, late, a.waited)
				}
				mu.Lock()
				took = append(took, n)
				mu.Unlock()
				<-time.After(busy)
			}
		}
		// The first comes at once, before the others are there.
		workers.Go(func() { work(0, 1500*time.Millisecond) })
		for n := 1; n < 4; n++ {
			synctest.Wait()
			workers.Go(func() { work(n, 100*time.Millisecond) })
		}
		workers.Wait()
		// At 2 s the first, busy until 1.5 s, is free for the shortest time.
		if want := []int{0, 3, 0, 3}; !slices.Equal(took, want) {
			t.Errorf("arrivals went to %v, want %v", took, want)
		}
	})
}

// TestTheLateAreNotOvertaken: who finds nobody free waits, in order, and the
// time is told.
func TestTheLateAreNotOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := newLineup(Arrivals{Kind: Constant, Rate: 10}, 5) // one each 100 ms
		var workers sync.WaitGroup
		line.start(t.Context(), &workers)
		place := make(chan arrival, 1)
		for n := range 5 {
			a, more := line.next(place)
			due := time.Duration(n) * 100 * time.Millisecond
			if !more || a.number != n || a.due != due || a.waited != time.Duration(n)*150*time.Millisecond {
				t.Errorf("arrival %+v, %v; want number %d, due %v, after a wait of %v", a, more, n, due, time.Duration(n)*150*time.Millisecond)
			}
			<-time.After(250 * time.Millisecond)
		}
		if a, more := line.next(place); more {
			t.Errorf("one too many: %+v", a)
		}
		workers.Wait()
	})
}

// TestALineupIsCutShort: everybody who has come by then is counted once, and
// nobody waits for ever.
func TestALineupIsCutShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := newLineup(Arrivals{Kind: Constant, Rate: 10}, 1000)
		ctx, cancel := context.WithTimeout(t.Context(), 950*time.Millisecond) // ten have come
		defer cancel()
		var workers sync.WaitGroup
		line.start(ctx, &workers)
		sent := 0
		workers.Go(func() {
			notes := line.tally.recorder()
			defer notes.flush()
			for place := make(chan arrival, 1); ctx.Err() == nil; {
				a, more := line.next(place)
				if !more {
					return
				}
				s, goes := line.sample(ctx, a)
				if goes {
					sent++
					<-time.After(300 * time.Millisecond)
					s.at = line.elapsed()
				}
				notes.note(s)
			}
		})
		workers.Wait()
		r := line.tally.total(line.began)
		if r.Arrivals != 10 || r.Answered != sent || r.Errors[ErrorNotSent] != 10-sent || sent != 4 {
			t.Errorf("%d arrivals, %d answered, errors %v; want 10, %d sent", r.Arrivals, r.Answered, r.Errors, sent)
		}
	})
}

func TestTheLateAreGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := newLineup(Arrivals{Kind: Burst}, 1)
		<-time.After(time.Minute + 1)
		if s, goes := line.sample(t.Context(), arrival{}); goes || s.failure != ErrorLate {
			t.Errorf("a buyer who has gone: %+v, %v", s, goes)
		}
	})
}
