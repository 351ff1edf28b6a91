package ingress

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const flightShards = 64

// flights are the clicks of this ingress that are on their way: from before
// the gate is asked until the gate has stored the request, or until it is
// clear that there is none. A click whose record is never acknowledged stays,
// so their number is bounded by what the log takes without acknowledging it,
// and by the requests being served.
//
// They are found by the key that recent has for a buyer in a sale.
type flights struct {
	shards  [flightShards]flightShard
	arrived chan struct{} // closed: what is joined of a flight that is settled
	waiters sync.Pool     // of *waiter
	current atomic.Pointer[alarm]

	overload *overload // hears when one begins and when it is settled
}

type flightShard struct {
	sync.Mutex
	of map[uint64]*flight
}

// flight is one click on its way. The gate's answer and the record's
// acknowledgement are calls of it and not of closures, of which a crowd would
// make many.
type flight struct {
	click                 // the first one's; two buyers may share its key, and have two flights
	next    *flight       // another buyer's with the same key
	news    chan struct{} // of the one who began it: a hint to look at, or the outcome
	began   time.Duration // as overload has it
	ingress *Ingress      // set by the one who begins it

	ctx context.Context //nolint:containedctx // of that one, for Left

	stage   atomic.Int32
	earlier *Hint     // in stageHinted
	asked   time.Time // when the gate was asked; then when the log was, which is the record's time

	// Under the shard's lock, until it is settled.
	settled bool
	joined  chan struct{} // closed once it is settled; nil while nobody has joined
	hint    Hint          // the buyer's request
	refusal error         // set where there is none, or it is not known
}

// The stages of a flight say who has to settle it and see to it that it ends.
const (
	stageAsking int32 = iota // whoever is first: the gate's answer, or the one who began it and leaves
	stageHinted              // the one who began it, who is to look at a hint
	stageTaken               // the one who put it there, or what that one has begun
)

// leave is true for the one who began a flight if it is left to that one.
func (f *flight) leave() bool {
	return f.stage.CompareAndSwap(stageAsking, stageTaken) || f.stage.CompareAndSwap(stageHinted, stageTaken)
}

// tell wakes the one who began the flight.
func (f *flight) tell() {
	select {
	case f.news <- struct{}{}:
	default: // left with an earlier one
	}
}

func newFlights(o *overload) *flights {
	f := &flights{arrived: make(chan struct{}), overload: o}
	close(f.arrived)
	for i := range f.shards {
		f.shards[i].of = make(map[uint64]*flight)
	}
	return f
}

// join gives the buyer's flight, and true to the one who begins it with news:
// that one has to take it through its stages.
func (f *flights) join(k *click, news chan struct{}, now time.Time) (*flight, bool) {
	shard := f.lock(k.key)
	defer shard.Unlock()
	if under := f.board(shard, k.key, k.ask.Buyer); under != nil {
		return under, false
	}
	begun := &flight{click: *k, next: shard.of[k.key], news: news, began: f.overload.begin(now)}
	shard.of[k.key] = begun
	return begun, true
}

// find gives the buyer's flight, joined, or nil.
func (f *flights) find(key uint64, buyer sale.Buyer) *flight {
	shard := f.lock(key)
	defer shard.Unlock()
	return f.board(shard, key, buyer)
}

// has reports whether there may be a flight of the buyer who has the key.
func (f *flights) has(key uint64) bool {
	shard := f.lock(key)
	defer shard.Unlock()
	return shard.of[key] != nil
}

// settle says how the flight has come out, to all who wait for it. What is said
// first stays.
func (f *flights) settle(of *flight, hint Hint, refusal error, now time.Time) {
	shard := f.lock(of.key)
	if of.settled {
		shard.Unlock()
		return
	}
	of.hint, of.refusal, of.settled = hint, refusal, true
	if of.joined != nil {
		close(of.joined)
	}
	shard.Unlock()
	f.overload.settle(of.began, now, tells(refusal))
	of.tell()
}

// tells reports whether an outcome came by the way that all clicks go: one that
// was given up, or that the log or the gate was in trouble for, did not.
func tells(refusal error) bool {
	if refusal == nil {
		return true
	}
	p, ok := errors.AsType[*problem](refusal)
	return ok && p.refusal != unavailable && p.refusal != internalError
}

// end takes a flight out: the next click begins another one.
func (f *flights) end(of *flight) {
	shard := f.lock(of.key)
	defer shard.Unlock()
	first := shard.of[of.key]
	if first == of && of.next == nil {
		delete(shard.of, of.key)
		return
	}
	if first == of {
		shard.of[of.key] = of.next
		return
	}
	for at := first; at != nil; at = at.next {
		if at.next == of {
			at.next = of.next
			return
		}
	}
}

func (f *flights) lock(key uint64) *flightShard {
	shard := &f.shards[key%flightShards]
	shard.Lock()
	return shard
}

// board joins the buyer's flight, if there is one in a shard that is locked.
func (f *flights) board(shard *flightShard, key uint64, buyer sale.Buyer) *flight {
	for under := shard.of[key]; under != nil; under = under.next {
		if under.ask.Buyer != buyer {
			continue
		}
		switch {
		case under.joined != nil:
		case under.settled:
			under.joined = f.arrived
		default:
			under.joined = make(chan struct{})
		}
		return under
	}
	return nil
}

// waiter is what a click waits with.
type waiter struct {
	news  chan struct{} // for the flight that it begins
	since time.Time
	long  <-chan struct{} // closed when it has waited for long
}

// wait gives a waiter whose patience runs from now. It may be given back with
// spare, once nobody can send it news any more.
func (f *flights) wait(now time.Time) *waiter {
	w, ok := f.waiters.Get().(*waiter)
	if !ok {
		w = &waiter{news: make(chan struct{}, 1)}
	}
	w.since, w.long = now, f.long(now)
	return w
}

func (f *flights) spare(w *waiter) { f.waiters.Put(w) }

const (
	// waitsLong is when a click that waits begins to look for its client and gets
	// a timer of its own. Hardly any waits for so long, and to the others neither
	// would be of use.
	waitsLong = time.Second

	// alarmShared is how long clicks share a timer for that: in a crowd one for
	// each would be set only to be stopped.
	alarmShared = 100 * time.Millisecond
)

// alarm is a timer of all clicks that have come since it was set, up to
// alarmShared.
type alarm struct {
	set   time.Time
	rings chan struct{}
}

// long gives what is closed waitsLong from now, or up to alarmShared later.
func (f *flights) long(now time.Time) <-chan struct{} {
	for {
		current := f.current.Load()
		if current != nil && now.Sub(current.set) < alarmShared {
			return current.rings
		}
		next := &alarm{set: now, rings: make(chan struct{})}
		if f.current.CompareAndSwap(current, next) {
			time.AfterFunc(waitsLong+alarmShared, func() { close(next.rings) })
			return next.rings
		}
	}
}

// until waits for something, and gives the answer to a click that waits no more:
// appendWait after it came, or, once it has waited for long, when its client has
// left.
func (w *waiter) until(ctx context.Context, something <-chan struct{}) error {
	select {
	case <-something:
		return nil
	case <-w.long:
	}
	over := time.NewTimer(appendWait - time.Since(w.since))
	defer over.Stop()
	select {
	case <-something:
		return nil
	case <-over.C:
		return cannotTell("the log has not answered in time; ask again for the ticket")
	case <-ctx.Done():
		return cannotTell(clientLeft)
	}
}
