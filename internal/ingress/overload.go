package ingress

import (
	"sync/atomic"
	"time"
)

// When a line of clicks stands.
const (
	// overloadFloor is how many clicks may be on their way whatever the line
	// does. So many keep the gate and the log busy; to refuse one of fewer
	// would leave them idle. A fast machine is done with them in a fifteenth of
	// a second, and a slow one in a second.
	overloadFloor = 2048

	// overloadTarget is the wait, from a click's beginning to its outcome, up
	// to which the line is short.
	overloadTarget = 250 * time.Millisecond

	// overloadInterval is how long the line may be longer before it stands: a
	// burst is over by then, or has a second's worth in the log.
	overloadInterval = time.Second

	// overloadLongest is the wait that no new click is let in for, however
	// short the line was a moment ago. It is well below appendWait: whoever is
	// let in is to learn what came of it.
	overloadLongest = time.Second

	// overloadProbe is how often a click is let in all the same. Where those on
	// their way will not be settled, as their partition is without a leader,
	// the probes are what finds out that the others' line is short.
	overloadProbe = 100 * time.Millisecond
)

const (
	// overloadQuick is the wait up to which a click has hardly met a line.
	overloadQuick = 100 * time.Millisecond

	// The rate at which clicks are settled is of so long at least, and of so
	// many: they are settled by the batch, and the first of them need a moment.
	overloadRateTime   = 250 * time.Millisecond
	overloadRateClicks = 64

	// overloadMark is how old a mark may be before it is made anew: to make it
	// at every click would cost more than all the rest.
	overloadMark = 10 * time.Millisecond
)

// overload refuses new clicks while more come than can be taken, so that those
// who are let in hear within a second or so, and the others at once. Without it
// an overload that lasts makes everybody wait, in a line that only grows.
//
// The idea is CoDel's (K. Nichols, V. Jacobson, "Controlled Delay Active Queue
// Management", RFC 8289): a queue that absorbs a burst is good, and one that
// stands is not, and what tells them apart is whether the wait has fallen below
// a target within an interval. How long the queue is says nothing, since nobody
// knows how fast it is worked off. CoDel drops what has waited; a door cannot,
// as the click may be in the log, and so refuses those who come.
//
// The line is short when a click is settled within overloadTarget, or comes
// while at most overloadFloor are on their way. It stands when it has not been
// short for overloadInterval; or when a new click would wait for
// overloadLongest, at the rate at which clicks have been settled since there was
// last hardly a line. That rate is all that the service can do: it had enough to
// do meanwhile.
//
// It needs no lock, no timer and no goroutine. Its times are monotonic, as
// time.Now gives them, and may be a little out of order between goroutines. The
// zero value is not ready: see newOverload.
type overload struct {
	made    time.Time
	begun   atomic.Int64 // clicks that began a flight
	settled atomic.Int64 // of them, those that are settled

	// In nanoseconds since made.
	short  atomic.Int64 // when the line was last short
	quick  atomic.Int64 // when there was last hardly a line
	probed atomic.Int64 // when the last probe was let in

	served  atomic.Int64 // settled, at quick
	refused atomic.Int64 // clicks that were turned away
}

func newOverload(now time.Time) *overload { return &overload{made: now} }

// underWay is how many clicks have begun and are not settled.
func (o *overload) underWay() int64 { return o.begun.Load() - o.settled.Load() }

// stands reports whether a click that is new is to be refused.
func (o *overload) stands(now time.Time) bool {
	at := int64(now.Sub(o.made))
	line := o.underWay()
	if line <= overloadFloor {
		o.mark(at, true)
		return false
	}
	if at-o.short.Load() <= int64(overloadInterval) && !o.long(line, at) {
		return false
	}
	if probed := o.probed.Load(); at-probed >= int64(overloadProbe) && o.probed.CompareAndSwap(probed, at) {
		return false
	}
	o.refused.Add(1)
	return true
}

// long reports whether a click would wait for overloadLongest.
func (o *overload) long(line, at int64) bool {
	lasts, served := at-o.quick.Load(), o.settled.Load()-o.served.Load()
	if lasts < int64(overloadRateTime) || served < overloadRateClicks {
		return false // nothing is known yet, or there is a stall, which may be a short one
	}
	return float64(line)*float64(lasts) > float64(served)*float64(overloadLongest)
}

// begin takes a click that has begun a flight, and gives its time, for settle.
func (o *overload) begin(now time.Time) time.Duration {
	o.begun.Add(1)
	return now.Sub(o.made)
}

// settle takes one that is settled. told is false for one that says nothing of
// the line: it was given up, or refused since the log or the gate is in trouble,
// and that goes fast.
func (o *overload) settle(began time.Duration, now time.Time, told bool) {
	o.settled.Add(1)
	if at := now.Sub(o.made); told && at-began <= overloadTarget {
		o.mark(int64(at), at-began <= overloadQuick)
	}
}

// mark notes that the line is short, or that there is hardly one.
func (o *overload) mark(at int64, quick bool) {
	if at-o.short.Load() >= int64(overloadMark) {
		o.short.Store(at)
	}
	if quick && at-o.quick.Load() >= int64(overloadMark) {
		o.served.Store(o.settled.Load())
		o.quick.Store(at)
	}
}
