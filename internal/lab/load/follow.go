package load

import (
	"cmp"
	"container/heap"
	"context"
	"sync"
	"time"
)

// longPollWait is what a long poll asks for.
const longPollWait = 20 * time.Second

// overflowPollers is how many poll for those who would wait otherwise, and find
// no place.
const overflowPollers = 256

// followers look after the buyers who have a ticket, until each has an outcome
// and has done what winners do, or has lost patience.
type followers struct {
	*phaseRun
	pollers []*poller
	places  chan struct{} // one for each connection of a long poll or a WebSocket
	inside  sync.WaitGroup
	over    chan struct{} // closed when nobody is inside and nobody will enter
	running sync.WaitGroup

	mu    sync.Mutex
	spare []*wire // of long polls
}

// poller polls for its share of the buyers, over one connection.
type poller struct {
	mu    sync.Mutex
	inbox []*buyer
	wake  chan struct{}
}

func newFollowers(p *phaseRun) *followers {
	pollers, places := p.phase.Connections, 0
	switch p.phase.Follow {
	case FollowNone: // they call for those alone who have something to do
	case FollowPoll:
		pollers = cmp.Or(p.phase.Followers, pollers)
	case FollowLongPoll, FollowWebSocket:
		pollers, places = min(pollers, overflowPollers), cmp.Or(p.phase.Followers, DefaultFollowers)
	}
	f := &followers{phaseRun: p, places: make(chan struct{}, places), over: make(chan struct{})}
	for range pollers {
		f.pollers = append(f.pollers, &poller{wake: make(chan struct{}, 1)})
	}
	return f
}

func (f *followers) start(ctx context.Context) {
	for n, p := range f.pollers {
		f.running.Go(func() { f.poll(ctx, n, p) })
	}
}

// wait waits until everybody has left. Nobody may enter any more.
func (f *followers) wait() {
	f.inside.Wait()
	close(f.over)
	f.running.Wait()
	for _, w := range f.spare {
		w.close()
	}
}

// done reports whether there is nothing left to do for a buyer.
func (f *followers) done(b *buyer) bool {
	switch {
	case f.phase.Then != ThenNone && b.wins() && !b.acted:
		return false
	case f.phase.Follow == FollowNone:
		return true
	}
	return b.decided
}

// enter takes a buyer for whom there is something to do.
func (f *followers) enter(ctx context.Context, b *buyer) {
	f.inside.Add(1)
	f.tally.enter()
	if f.phase.Follow == FollowLongPoll || f.phase.Follow == FollowWebSocket {
		select {
		case f.places <- struct{}{}:
			f.running.Go(func() { f.attend(ctx, b) })
			return
		default: // no place: it polls
		}
	}
	f.hand(b)
}

// leave ends what is done for a buyer.
func (f *followers) leave(b *buyer) {
	f.tally.noteEnd(b.state, b.decided)
	f.memory.keep(kept{b.ticket, b.state})
	f.tally.leave()
	f.inside.Done()
}

// hand gives a buyer to the pollers.
func (f *followers) hand(b *buyer) {
	if b.decided {
		b.due = f.elapsed()
	} else {
		b.pollDue(f.elapsed())
	}
	p := f.pollers[b.number%len(f.pollers)]
	p.mu.Lock()
	p.inbox = append(p.inbox, b)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (p *poller) take() []*buyer {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.inbox
	p.inbox = nil
	return taken
}

func (f *followers) poll(ctx context.Context, n int, p *poller) {
	w := f.wire(n)
	defer w.close()
	out := f.requests(w)
	sleep := newSleeper()
	defer sleep.stop()
	waiting := &schedule[*buyer]{due: func(b *buyer) time.Duration { return b.due }}
	for {
		for _, b := range p.take() {
			heap.Push(waiting, b)
		}
		interrupted := ctx.Done()
		if ctx.Err() != nil {
			for waiting.Len() > 0 {
				f.leave(heap.Pop(waiting).(*buyer))
			}
			interrupted = nil // others may still enter
		}
		if waiting.Len() > 0 {
			if b := waiting.items[0]; b.due <= f.elapsed() {
				if f.step(ctx, w, out, b); f.finished(b) {
					heap.Pop(waiting)
					f.leave(b)
				} else {
					heap.Fix(waiting, 0)
				}
				continue
			}
			sleep.timer.Reset(time.Until(f.began.Add(waiting.items[0].due)))
		}
		select {
		case <-p.wake:
		case <-sleep.timer.C:
		case <-interrupted:
		case <-f.over:
			return
		}
	}
}

// finished reports whether a buyer leaves: there is nothing more to do, or its
// patience has ended.
func (f *followers) finished(b *buyer) bool {
	return f.done(b) || f.elapsed()-b.clicked > f.phase.Patience
}

// step makes a buyer's next call, and sets when the one after it is due.
func (f *followers) step(ctx context.Context, w *wire, out *requests, b *buyer) {
	if f.phase.Then != ThenNone && b.wins() {
		f.act(ctx, w, out, b)
		return
	}
	f.ask(ctx, w, out, b, 0)
}

// ask asks how a request stands; with wait, when there is something new.
func (f *followers) ask(ctx context.Context, w *wire, out *requests, b *buyer, wait time.Duration) {
	kind, asked := callPoll, f.elapsed()
	if wait > 0 {
		kind = callLongPoll
	}
	f.tally.noteCall(kind)
	a, err := w.call(ctx, out.ask(b.ticket, b.etag, wait), wait)
	now := f.elapsed()
	switch status, readable := a.told(); {
	case err == nil && a.status == 200 && readable:
		b.hears(status, f.tally, now)
		b.marks(a.etag)
		b.pollDue(now)
	case err == nil && a.status == 304:
		b.pollDue(now)
	default:
		f.failed(ctx)
		b.tryAgain(a.retryAfter, now)
		return
	}
	// A long poll that was answered for no reason does not come back at once.
	if b.decided || wait > 0 && (a.status == 200 || now-asked > wait/2) {
		b.due = now
	}
}

// act confirms a hold, or gives it back. What cannot be is not tried again.
func (f *followers) act(ctx context.Context, w *wire, out *requests, b *buyer) {
	var request []byte
	if f.phase.Then == ThenConfirm {
		f.tally.noteCall(callConfirm)
		request = out.confirm(b.ticket, out.reference(b.number))
	} else {
		f.tally.noteCall(callAbandon)
		request = out.abandon(b.ticket)
	}
	a, err := w.call(ctx, request, 0)
	now := f.elapsed()
	switch {
	case err == nil && (a.status == 200 || a.status == 202):
		b.acted = true
		if status, readable := a.told(); readable {
			b.hears(status, f.tally, now)
		}
	case err == nil && a.status != 429 && a.status < 500:
		b.acted = true
		f.failed(ctx)
	default:
		f.failed(ctx)
		b.tryAgain(a.retryAfter, now)
	}
}

// failed counts a call that did not do what it should, unless it was we who
// broke it off.
func (f *followers) failed(ctx context.Context) {
	if ctx.Err() == nil {
		f.tally.failedCalls.Add(1)
	}
}

// attend follows one buyer over a connection of its own until there is an
// outcome. What is left to do after it, or after the stream broke, is the
// pollers'.
func (f *followers) attend(ctx context.Context, b *buyer) {
	defer func() { <-f.places }()
	if f.phase.Follow == FollowWebSocket {
		f.watch(ctx, b)
	} else {
		f.longPoll(ctx, b)
	}
	if f.finished(b) || ctx.Err() != nil {
		f.leave(b)
		return
	}
	f.hand(b)
}

func (f *followers) longPoll(ctx context.Context, b *buyer) {
	w := f.borrow(b.number)
	defer f.giveBack(w)
	out := f.requests(w)
	sleep := newSleeper()
	defer sleep.stop()
	for b.due = f.elapsed(); !b.decided && !f.finished(b) && sleep.until(ctx, f.began.Add(b.due)); {
		left := b.clicked + f.phase.Patience - f.elapsed()
		f.ask(ctx, w, out, b, max(min(longPollWait, left), time.Millisecond).Truncate(time.Millisecond))
	}
}

func (f *followers) borrow(n int) *wire {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.spare) - 1; last >= 0 {
		w := f.spare[last]
		f.spare = f.spare[:last]
		return w
	}
	return f.wire(n)
}

func (f *followers) giveBack(w *wire) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spare = append(f.spare, w)
}

// watch follows a buyer by WebSocket.
func (f *followers) watch(ctx context.Context, b *buyer) {
	f.tally.noteCall(callWebSocket)
	w := f.wire(b.number)
	w.source = sourceFor(w.address, b.number)
	s := socket{wire: w}
	defer s.close()
	if _, err := s.open(ctx, f.requests(w), b.ticket, b.etag); err != nil {
		f.failed(ctx)
		return
	}
	ends := f.began.Add(b.clicked + f.phase.Patience)
	for !b.decided {
		message, err := s.next(ends)
		status, readable := readStatus(message)
		switch {
		case err != nil && time.Now().After(ends):
			return // it has lost patience
		case err != nil || !readable:
			f.failed(ctx)
			return
		}
		b.hears(status, f.tally, f.elapsed())
		b.marks(append(append([]byte(`W/"`), status.after...), '"'))
	}
}
