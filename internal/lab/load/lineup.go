package load

import (
	"context"
	"sync"
	"time"
)

// arrival is one that has come.
type arrival struct {
	number int
	due    time.Duration // since the phase began
	waited time.Duration // from due on, until a connection was free
}

// lineup gives arrivals to goroutines that have a connection each. In a closed
// loop whoever asks has the next. In an open one it hands each out when it is
// due, to the goroutine that became free last, as the pools of proxies and HTTP
// clients do, so that no more connections are used than are needed at once. An
// arrival that finds none free waits for one, and is not overtaken.
type lineup struct {
	*phaseRun
	arrivals *arrivals

	mu    sync.Mutex
	free  []chan arrival // each with room for one
	late  []arrival      // that found none free, in order
	ended bool
}

// start hands out an open loop's arrivals in a goroutine, until there are no
// more or ctx ends. After that the wait of all who are free ends.
func (l *lineup) start(ctx context.Context, among *sync.WaitGroup) {
	if l.arrivals.open() {
		among.Go(func() {
			l.handOut(ctx)
			l.end(ctx)
		})
	}
}

func (l *lineup) handOut(ctx context.Context) {
	sleep := newSleeper()
	defer sleep.stop()
	for {
		number, due, more := l.arrivals.next(0)
		if !more {
			return
		}
		if !sleep.until(ctx, l.began.Add(due)) {
			if due <= l.elapsed() {
				l.tally.noteUnsent(1)
			}
			return
		}
		l.hand(arrival{number: number, due: due})
	}
}

func (l *lineup) hand(a arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.free) - 1
	if last < 0 {
		l.late = append(l.late, a)
		return
	}
	l.free[last] <- a
	l.free = l.free[:last]
}

// end leaves those who are late to the goroutines that become free, unless ctx
// has ended.
func (l *lineup) end(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, place := range l.free {
		close(place)
	}
	if ctx.Err() != nil {
		l.tally.noteUnsent(len(l.late) + l.arrivals.overdue(l.elapsed()))
		l.late = nil
	}
}

// next gives the caller an arrival, for which it waits at a place of its own.
// It is false when there are no more.
func (l *lineup) next(place chan arrival) (arrival, bool) {
	if !l.arrivals.open() {
		number, due, more := l.arrivals.next(l.elapsed())
		return arrival{number: number, due: due}, more
	}
	if a, late, more := l.enter(place); late || !more {
		return a, more
	}
	a, more := <-place
	return a, more
}

// enter takes one who is late, or else enters a place among the free.
func (l *lineup) enter(place chan arrival) (a arrival, late, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.late) > 0 {
		a = l.late[0]
		l.late = l.late[1:]
		a.waited = l.elapsed() - a.due
		return a, true, true
	}
	if l.ended {
		return arrival{}, false, false
	}
	l.free = append(l.free, place)
	return arrival{}, false, true
}

// sample begins the sample of an arrival. It is false, and the sample is whole,
// for one whose buyer has gone, or has no time left.
func (l *lineup) sample(ctx context.Context, a arrival) (s sample, goes bool) {
	s = sample{due: a.due, waited: a.waited}
	switch now := l.elapsed(); {
	case ctx.Err() != nil:
		s.at, s.failure = now, ErrorNotSent
	case l.arrivals.open() && now-a.due > l.phase.Patience:
		s.at, s.failure = now, ErrorLate
	}
	return s, s.failure == ""
}
