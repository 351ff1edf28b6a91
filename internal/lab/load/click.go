package load

import (
	"container/heap"
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// clicks is a phase of clicks.
type clicks struct {
	*phaseRun
	arrivals  *arrivals
	followers *followers // nil where nobody has anything to do after the click
}

// phaseRun is what the goroutines of a phase share.
type phaseRun struct {
	phase  Phase
	began  time.Time
	tally  *tally
	memory *memory
	wires  []*wire // those of clicks, if made beforehand; else each is made when it is first needed
}

// elapsed is the time since the phase began.
func (p *phaseRun) elapsed() time.Duration { return time.Since(p.began) }

// connecting is how many connections are made at once.
const connecting = 64

// connect makes all connections. A schedule begins after that, as the browsers
// of a crowd are connected before they press Buy; else its first arrivals, one
// for each connection, would be the latency of connecting. One that cannot be
// made is tried again by its first call, which counts it.
func (p *phaseRun) connect(ctx context.Context) {
	wires := make([]*wire, p.phase.Connections)
	var making errgroup.Group
	making.SetLimit(connecting)
	for n := range wires {
		wires[n] = p.wire(n)
		making.Go(func() error {
			_ = wires[n].open(ctx) // see above
			wires[n].used = time.Now()
			return nil
		})
	}
	_ = making.Wait() // none fails
	p.wires = wires
}

// wire gives a connection for the nth goroutine.
func (p *phaseRun) wire(n int) *wire {
	return &wire{address: p.phase.Addresses[n%len(p.phase.Addresses)], timeout: p.phase.CallTimeout}
}

func (p *phaseRun) requests(w *wire) *requests { return &requests{host: w.address, phase: &p.phase} }

func (p *phaseRun) click(ctx context.Context) {
	c := &clicks{phaseRun: p, arrivals: newArrivals(p.phase.Arrivals, p.phase.Buyers)}
	p.memory.allow(p.phase.Keep)
	if p.phase.Follow != FollowNone || p.phase.Then != ThenNone {
		c.followers = newFollowers(p)
		c.followers.start(ctx)
	}
	var workers sync.WaitGroup
	for n := range p.phase.Connections {
		workers.Go(func() { c.work(ctx, n) })
	}
	workers.Wait()
	if ctx.Err() != nil {
		p.tally.noteUnsent(c.arrivals.overdue(p.elapsed()))
	}
	if c.followers != nil {
		c.followers.wait()
	}
}

// again is a click that was shed, to be made once more.
type again struct {
	number     int
	first, due time.Duration
}

// work clicks over one connection until nobody is left who wants to.
func (c *clicks) work(ctx context.Context, n int) {
	var w *wire
	if c.wires != nil {
		w = c.wires[n]
	} else {
		w = c.wire(n)
	}
	defer w.close()
	out := c.requests(w)
	notes := c.tally.recorder()
	defer notes.flush()
	sleep := newSleeper()
	defer sleep.stop()
	shed := &schedule[again]{due: func(a again) time.Duration { return a.due }}
	for ctx.Err() == nil {
		now := c.elapsed()
		if shed.Len() > 0 && shed.items[0].due <= now {
			a := heap.Pop(shed).(again)
			c.tally.noteCall(callRetry)
			c.press(ctx, w, out, a.number, sample{due: a.first}, notes, shed)
			continue
		}
		number, due, more := c.arrivals.next(now)
		switch {
		case !more && shed.Len() == 0:
			return
		case !more:
			sleep.until(ctx, c.began.Add(shed.items[0].due))
			continue
		case due > now && !sleep.until(ctx, c.began.Add(due)):
			c.unsent(notes, due)
			continue
		case c.arrivals.open() && now-due > c.phase.Patience:
			notes.note(sample{due: due, at: now, failure: ErrorLate})
			continue
		}
		c.press(ctx, w, out, number, sample{due: due, waited: max(now-due, 0)}, notes, shed)
	}
	for _, a := range shed.items {
		c.unsent(notes, a.first)
	}
}

// unsent notes an arrival that the end of the phase came before.
func (c *clicks) unsent(notes *recorder, due time.Duration) {
	notes.note(sample{due: due, at: c.elapsed(), failure: ErrorNotSent})
}

// press makes a click and notes what it brings, unless it is to be tried again.
func (c *clicks) press(
	ctx context.Context, w *wire, out *requests, number int, s sample, notes *recorder, shed *schedule[again],
) {
	s.sent = c.elapsed()
	a, err := w.call(ctx, out.buy(number), 0)
	s.at, s.status = c.elapsed(), a.status
	switch {
	case err != nil:
		s.failure = failureOf(err)
	case a.status == 200 || a.status == 202:
		s.state = stateOf(member(a.body, "state"))
		s.unfollowed = !c.takes(ctx, &a, &s, number)
	default:
		s.refusal, s.told = refusalOf(&a), a.retryAfter > 0
		if s.shed() && c.followers != nil && !c.arrivals.open() && s.at-s.due < c.phase.Patience {
			b := buyer{}
			b.tryAgain(a.retryAfter, s.at)
			heap.Push(shed, again{number: number, first: s.due, due: b.due})
			return
		}
	}
	notes.note(s)
}

// takes keeps the ticket of an answer, and hands its buyer over to the
// followers where there is more to do. It reports whether it did that.
func (c *clicks) takes(ctx context.Context, a *answer, s *sample, number int) bool {
	if s.state == "" {
		s.failure = ErrorMalformed
		return false
	}
	follows := c.followers != nil && (c.phase.FollowEvery == 0 || number%c.phase.FollowEvery == 0)
	if !follows && (c.phase.Keep == 0 || c.memory.full()) {
		return false
	}
	status, _ := a.told()
	if len(status.ticket) == 0 {
		return false // a service without tickets has nothing to follow
	}
	b := &buyer{number: number, clicked: s.due, position: -1}
	b.hears(status, c.tally, s.at)
	b.marks(a.etag)
	switch {
	case follows && !c.followers.done(b):
		c.followers.enter(ctx, b)
		return true
	default:
		c.memory.keep(kept{b.ticket, b.state})
		return false
	}
}

// refusalOf names a refusal.
func refusalOf(a *answer) string {
	if code := a.problem(); len(code) > 0 {
		return string(code)
	}
	return "http_" + strconv.Itoa(a.status)
}

// wins reports whether a unit is set aside for the buyer now.
func (b *buyer) wins() bool { return b.state == sale.Held }
