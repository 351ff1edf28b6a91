package sale

import "container/heap"

// awaitEnd notes when a hold will end, if that is known.
func (p *Partition) awaitEnd(s *saleState, r *Request) {
	if end, known := s.EndOf(r, p.starts); known {
		p.due.add(due{at: end, kind: dueExpiry, offset: r.Offset})
	}
}

// awaitStages notes when a sale opens and closes by itself.
func (p *Partition) awaitStages(s *saleState) {
	if s.Stage == StageScheduled {
		p.due.add(due{at: s.OpensAt, kind: dueOpening, offset: s.ID})
	}
	if s.Stage != StageClosed && s.ClosesAt != 0 {
		p.due.add(due{at: s.ClosesAt, kind: dueClosing, offset: s.ID})
	}
}

// stands reports whether what was noted still holds: a hold may have been
// extended or ended, a time changed.
func (p *Partition) stands(d due) bool {
	switch d.kind {
	case dueExpiry:
		r := p.requests[d.offset]
		if r == nil || r.State != Held {
			return false
		}
		end, known := p.sales[r.Sale].EndOf(r, p.starts)
		return known && end == d.at
	case dueOpening:
		s := p.sales[d.offset]
		return s != nil && s.Stage == StageScheduled && s.OpensAt == d.at
	case dueClosing:
		s := p.sales[d.offset]
		return s != nil && s.Stage != StageClosed && s.ClosesAt == d.at
	case dueRetirement:
		at, known := p.retirement(p.sales[d.offset])
		return known && at == d.at
	}
	return false
}

// fallDue does everything that is due at or before log time.
func (a *application) fallDue() {
	for len(a.due) > 0 && a.due[0].at <= a.now {
		next := heap.Pop(&a.due).(due)
		if !a.stands(next) {
			continue
		}
		switch next.kind {
		case dueExpiry:
			a.free(a.requests[next.offset], Expired, "")
		case dueOpening:
			a.open(a.sales[next.offset])
		case dueClosing:
			a.end(a.sales[next.offset])
		case dueRetirement:
			a.retire(a.sales[next.offset])
		}
	}
}

// Due gives the time of the next thing that happens by itself once log time
// reaches it, or false when nothing is due at any time. A checkout window is
// due until a tick opens it.
func (p *Partition) Due() (Time, bool) {
	for len(p.due) > 0 && !p.stands(p.due[0]) {
		heap.Pop(&p.due) // it would do nothing
	}
	var next Time
	known := len(p.due) > 0
	if known {
		next = p.due[0].at
	}
	for _, s := range p.paced {
		if at, ok := s.nextWindow(); ok && (!known || at < next) {
			next, known = at, true
		}
	}
	return next, known
}

// dueKind orders what is due at the same time.
type dueKind uint8

const (
	dueExpiry     dueKind = iota // a unit that comes back with the sale's end still finds its waiter
	dueOpening                   // of a sale
	dueClosing                   // of a sale
	dueRetirement                // of a sale
)

type due struct {
	at     Time
	kind   dueKind
	offset Offset // of a request or a sale
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
