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
	line      *lineup
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

// portsAtEase is how many connections one address has ports for without much
// searching, also where as many have just been closed.
const portsAtEase = 4096

// connecting is how many connections are made at once.
const connecting = 64

// connect makes all connections and asks once for the product over each, as the
// browsers of a crowd have shown the page before Buy is pressed. A schedule
// begins after that, else its first arrivals, one for each connection, would be
// the latency of connecting, and of the service's accepting, which goes on when
// the client is connected. One that fails is tried again by its first click,
// which counts it.
func (p *phaseRun) connect(ctx context.Context) {
	wires := make([]*wire, p.phase.Connections)
	var making errgroup.Group
	making.SetLimit(connecting)
	for n := range wires {
		wires[n] = p.wire(n)
		making.Go(func() error {
			_, _ = wires[n].call(ctx, p.requests(wires[n]).page(n), 0) // see above
			return nil
		})
	}
	_ = making.Wait() // none fails
	p.wires = wires
}

// wire gives a connection for the nth goroutine.
func (p *phaseRun) wire(n int) *wire {
	w := &wire{address: p.phase.Addresses[n%len(p.phase.Addresses)], timeout: p.phase.CallTimeout}
	if p.phase.Connections > portsAtEase {
		w.source = sourceFor(w.address, n)
	}
	return w
}

func (p *phaseRun) requests(w *wire) *requests { return &requests{host: w.address, phase: &p.phase} }

func (p *phaseRun) click(ctx context.Context) {
	c := &clicks{phaseRun: p, line: &lineup{phaseRun: p, arrivals: newArrivals(p.phase.Arrivals, p.phase.Buyers)}}
	p.memory.allow(p.phase.Keep)
	if p.phase.Follow != FollowNone || p.phase.Then != ThenNone {
		c.followers = newFollowers(p)
		c.followers.start(ctx)
	}
	var workers sync.WaitGroup
	c.line.start(ctx, &workers)
	for n := range p.phase.Connections {
		workers.Go(func() { c.work(ctx, n) })
	}
	workers.Wait()
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
	place := make(chan arrival, 1)
	shed := &schedule[again]{due: func(a again) time.Duration { return a.due }} // of closed loops only
	for ctx.Err() == nil {
		if shed.Len() > 0 && shed.items[0].due <= c.elapsed() {
			a := heap.Pop(shed).(again)
			c.tally.noteCall(callRetry)
			c.press(ctx, w, out, a.number, sample{due: a.first}, notes, shed)
			continue
		}
		a, more := c.line.next(place)
		switch {
		case !more && shed.Len() == 0:
			return
		case !more:
			newSleeper().until(ctx, c.began.Add(shed.items[0].due))
		default:
			s, goes := c.line.sample(ctx, a)
			if !goes {
				notes.note(s)
				continue
			}
			c.press(ctx, w, out, a.number, s, notes, shed)
		}
	}
	for _, a := range shed.items {
		notes.note(sample{due: a.first, at: c.elapsed(), failure: ErrorNotSent})
	}
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
		if s.shed() && c.followers != nil && !c.line.arrivals.open() && s.at-s.due < c.phase.Patience {
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
