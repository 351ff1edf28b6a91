package lab

import (
	"container/heap"
	"sync"
	"time"
)

// agenda says what is to be done next: steps as they fall due, and clicks for
// as long as there are any and not too many shoppers wait. It is safe for many
// goroutines.
type agenda struct {
	buyers     int
	maxWaiting int

	mu        sync.Mutex
	changed   *sync.Cond
	wake      *time.Timer // calls wakeUp when the earliest step falls due
	due       schedule
	clicked   int        // clicks given out
	here      int        // shoppers who have not gone away
	buying    int        // of them, those without an answer to their click
	winners   []*shopper // who pay when everybody has clicked
	abandoned bool
}

func newAgenda(buyers, maxWaiting int) *agenda {
	a := &agenda{buyers: buyers, maxWaiting: maxWaiting}
	a.changed = sync.NewCond(&a.mu)
	a.wake = time.AfterFunc(time.Hour, a.wakeUp)
	return a
}

// wakeUp holds mu, so that it cannot come between a worker's setting of the
// timer and its waiting.
func (a *agenda) wakeUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed.Broadcast()
}

// next waits for a step. It gives nil when nobody is left.
func (a *agenda) next() *shopper {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.abandoned {
		now := time.Now()
		switch {
		case len(a.due) > 0 && !a.due[0].due.After(now):
			return heap.Pop(&a.due).(*shopper)
		case a.clicked < a.buyers && a.here-len(a.winners) < a.maxWaiting:
			s := &shopper{number: a.clicked, position: -1}
			a.clicked++
			a.here++
			a.buying++
			return s
		case a.clicked == a.buyers && a.here == 0:
			a.stop()
			return nil
		}
		if len(a.due) > 0 {
			a.wake.Reset(a.due[0].due.Sub(now))
		}
		a.changed.Wait()
	}
	return nil
}

// put takes a shopper back with the next step.
func (a *agenda) put(s *shopper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.step != click && !s.answered {
		s.answered = true
		a.buying--
	}
	switch s.step {
	case goAway:
		a.here--
	case waitPay:
		a.winners = append(a.winners, s)
	case click, ask, pay, lookAt:
		heap.Push(&a.due, s)
	}
	if a.clicked == a.buyers && a.buying == 0 {
		now := time.Now()
		for _, winner := range a.winners {
			winner.step, winner.due = pay, now
			heap.Push(&a.due, winner)
		}
		a.winners = nil
	}
	a.changed.Signal()
}

// abandon ends all waiting.
func (a *agenda) abandon() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop()
}

func (a *agenda) stop() {
	a.abandoned = true
	a.wake.Stop()
	a.changed.Broadcast()
}

// schedule is a heap of shoppers by the time of their next step.
type schedule []*shopper

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)        { *s = append(*s, x.(*shopper)) }
func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return last
}
