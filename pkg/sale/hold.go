package sale

import "container/heap"

// hold sets the request's units aside. The hold runs from the start that
// follows: see tick.
func (a *application) hold(s *saleState, r *Request) {
	s.Available -= r.Quantity
	s.Held += r.Quantity
	r.HeldSince = a.record.Offset
	a.requests[r.Offset] = r
	a.unstarted = append(a.unstarted, r)
	s.buyer(r.Buyer).live = r.Offset
	a.move(r, Held, "")
}

// free takes the units of a hold back.
func (a *application) free(r *Request, to State, reason Reason) {
	s := a.sales[r.Sale]
	s.Held -= r.Quantity
	s.Available += r.Quantity
	s.buyer(r.Buyer).live = None
	s.forget(r.Buyer)
	delete(a.requests, r.Offset)
	a.ended[r.Offset] = to
	a.finish(r)
	a.move(r, to, reason)
	a.touch(s)
}

// tick starts the holds that were decided below t.Committed, and not begun by
// an earlier tick.
func (a *application) tick(t Tick) {
	passed, begun := 0, 0
	for ; passed < len(a.unstarted) && a.unstarted[passed].HeldSince < t.Committed; passed++ {
		if r := a.unstarted[passed]; r.State == Held {
			a.due.add(due{at: a.now + Time(a.sales[r.Sale].HoldSeconds*1000), kind: dueExpiry, offset: r.Offset})
			begun++
		}
	}
	clear(a.unstarted[:passed])
	a.unstarted = a.unstarted[passed:]
	if begun == 0 {
		return
	}
	start := Start{Below: t.Committed, At: a.now, Cause: a.record.Offset}
	a.starts = append(a.starts, start)
	a.begun = append(a.begun, begun)
	a.decide(Decision{Kind: OfStart, Start: start})
}

// finish takes a hold that has run, or was never begun, off its start, and
// drops the oldest starts while nothing runs from them.
func (p *Partition) finish(r *Request) {
	if i, ok := p.starts.find(r.HeldSince); ok {
		p.begun[i]--
	}
	for len(p.begun) > 0 && p.begun[0] == 0 {
		p.starts, p.begun = p.starts[1:], p.begun[1:]
	}
}

// OldestStart is the lower end of the starts that a hold runs from or may yet
// run from: those with Below under it can be dropped. It never falls.
func (p *Partition) OldestStart() Offset {
	if len(p.starts) > 0 {
		return p.starts[0].Below
	}
	if oldest, ok := p.OldestUnstarted(); ok {
		return oldest + 1
	}
	return p.next
}

// expire ends every hold whose end is at or before log time.
func (a *application) expire() {
	for len(a.due) > 0 && a.due[0].at <= a.now {
		next := heap.Pop(&a.due).(due)
		r := a.requests[next.offset]
		if r == nil || r.State != Held {
			continue // it left that state before its end
		}
		a.free(r, Expired, "")
	}
}

// Due gives the time of the next thing that happens by itself once log time
// reaches it, or false when nothing is due at any time.
func (p *Partition) Due() (Time, bool) {
	for len(p.due) > 0 {
		if r := p.requests[p.due[0].offset]; r != nil && r.State == Held {
			return p.due[0].at, true
		}
		heap.Pop(&p.due) // it would do nothing
	}
	return 0, false
}

// OldestUnstarted gives the offset that decided the oldest hold whose clock
// has not begun to run, or false when there is none.
func (p *Partition) OldestUnstarted() (Offset, bool) {
	for _, r := range p.unstarted {
		if r.State == Held {
			return r.HeldSince, true
		}
	}
	return 0, false
}

// dueKind orders what is due at the same time.
type dueKind uint8

const dueExpiry dueKind = iota

type due struct {
	at     Time
	kind   dueKind
	offset Offset
}

// dueQueue is a heap in the order (time, kind, offset).
type dueQueue []due

func (q *dueQueue) add(d due) { heap.Push(q, d) }

func (q dueQueue) Len() int      { return len(q) }
func (q dueQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q dueQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if a.at != b.at {
		return a.at < b.at
	}
	if a.kind != b.kind {
		return a.kind < b.kind
	}
	return a.offset < b.offset
}
func (q *dueQueue) Push(x any) { *q = append(*q, x.(due)) }
func (q *dueQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
