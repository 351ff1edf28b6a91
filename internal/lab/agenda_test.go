package lab

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// within fails where work does not end in time.
func within(t *testing.T, limit time.Duration, a *agenda, work func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		work()
	}()
	select {
	case <-ended:
	case <-time.After(limit):
		a.abandon() // wakes whoever was forgotten
		<-ended
		t.Errorf("not done after %v", limit)
	}
}

// TestNobodyLost: whatever shoppers do next, each clicks once as a new one, and
// comes back until it goes away; and no more wait than may.
func TestNobodyLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		buyers := rapid.IntRange(1, 200).Draw(r, "buyers")
		maxWaiting := rapid.IntRange(1, 50).Draw(r, "may wait")
		workers := rapid.IntRange(1, 50).Draw(r, "workers")
		a := newAgenda(buyers, maxWaiting)
		var waiting, most atomic.Int64
		var clicks, ends, early atomic.Int64
		within(t, 20*time.Second, a, func() {
			var running sync.WaitGroup
			for range workers {
				running.Go(func() {
					for s := a.next(); s != nil; s = a.next() {
						now := time.Now()
						if s.clicked.IsZero() {
							s.clicked = now
							clicks.Add(1)
							for n, seen := waiting.Add(1), most.Load(); n > seen && !most.CompareAndSwap(seen, n); {
								seen = most.Load()
							}
						}
						s.due = now.Add(rand.N(200 * time.Microsecond))
						switch choice := rand.N(5); {
						case s.step == pay:
							if clicks.Load() < int64(buyers) {
								early.Add(1)
							}
							ends.Add(1)
							s.step = goAway
						case s.step == click && choice == 0: // click again
						case choice == 1:
							waiting.Add(-1)
							s.step = waitPay
						case choice == 2:
							waiting.Add(-1)
							ends.Add(1)
							s.step = goAway
						default:
							s.step = ask
						}
						a.put(s)
					}
				})
			}
			running.Wait()
		})
		if clicks.Load() != int64(buyers) || ends.Load() != int64(buyers) || early.Load() > 0 {
			r.Errorf("%d clicked and %d came to an end, want %d; %d paid early", clicks.Load(), ends.Load(), buyers, early.Load())
		}
		if most.Load() > int64(maxWaiting) {
			r.Errorf("%d waited at once, want at most %d", most.Load(), maxWaiting)
		}
	})
}

// TestWakeUp: a step that falls due just as the only worker goes to sleep is
// not slept through.
func TestWakeUp(t *testing.T) {
	t.Parallel()
	a := newAgenda(1, 1)
	within(t, 20*time.Second, a, func() {
		for range 5_000 {
			s := a.next()
			if s == nil {
				return // abandoned
			}
			s.step, s.due = ask, time.Now().Add(rand.N(10*time.Microsecond))
			a.put(s)
		}
	})
}

func TestMaxWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAgenda(4, 2)
		first, second := a.next(), a.next()
		third := make(chan *shopper, 1)
		go func() { third <- a.next() }()
		synctest.Wait()
		first.step, first.due = ask, time.Now().Add(time.Hour)
		a.put(first)
		synctest.Wait()
		if len(third) > 0 {
			t.Fatal("a third clicks while two wait")
		}
		second.step = waitPay
		a.put(second)
		if s := <-third; s.number != 2 || s.step != click {
			t.Errorf("next is %+v, want the third to click when the second has a hold", s)
		}
		a.abandon()
		if s := a.next(); s != nil {
			t.Errorf("%+v after the end", s)
		}
	})
}
