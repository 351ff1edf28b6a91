package sale

import (
	"slices"
	"sort"
)

// retireAfter is how long after its closing a sale stays in memory.
const retireAfter Time = 30 * 24 * 3600 * 1000

// retired reports whether the sale's requests are remembered no more.
func (s *saleState) retired() bool { return s.RetiredAt != 0 }

// live reports whether anything of the sale may still change by itself. Nothing
// of a closed sale becomes live again.
func (s *saleState) live() bool { return s.Reserved+s.Held+s.Waitlisted+s.Parked > 0 }

// retirement gives the log time from which on the sale leaves memory. It is
// false while the sale is not closed, something of it is live, or the schema
// knows no retirement, and once it has retired.
func (p *Partition) retirement(s *saleState) (Time, bool) {
	if p.schema < schemaRetirement || s.Stage != StageClosed || s.retired() || s.live() {
		return 0, false
	}
	return s.ClosedAt + retireAfter, true
}

// awaitRetirement notes when a sale retires, if that is known.
func (p *Partition) awaitRetirement(s *saleState) {
	if at, known := p.retirement(s); known {
		p.due.add(due{at: at, kind: dueRetirement, offset: s.ID})
	}
}

// over is called when one of the sale's live requests has ended. If that was the
// last one of a sale whose time had come before, it retires with it.
func (a *application) over(s *saleState) {
	if at, known := a.retirement(s); known && at <= a.now {
		a.retire(s)
		return
	}
	a.awaitRetirement(s)
}

// retire takes everything of the sale's requests out of memory. What is left is
// the sale itself, by which they are refused.
func (a *application) retire(s *saleState) {
	s.RetiredAt = a.now
	for _, offset := range s.kept {
		delete(a.requests, offset)
		delete(a.ended, offset)
		delete(a.first, offset)
	}
	s.kept, s.buyers = nil, nil
	s.waitlist, s.parked, s.turns = nil, nil, nil
	a.unstarted = slices.DeleteFunc(a.unstarted, func(r *Request) bool { return r.Sale == s.ID })
	a.touch(s)
}

// raise lifts the partition's schema. Sales that closed under an earlier one
// retire, too: at once, where their time has come.
func (a *application) raise(schema int) {
	if schema <= a.schema {
		return
	}
	a.schema = schema
	for _, s := range a.sales { // in any order: the queue has one of its own
		a.awaitRetirement(s)
	}
	a.fallDue()
}

// hasRetired reports whether a request of the record's product that is not
// remembered, if there is one at that offset, is of a sale that has retired: a
// request is always of the latest sale that its product had before it.
func (a *application) hasRetired(request Offset) bool {
	if _, remembered := a.ended[request]; remembered || a.requests[request] != nil || request >= a.record.Offset {
		return false
	}
	of := a.products[a.record.Product]
	before := sort.Search(len(of), func(i int) bool { return of[i].ID >= request })
	return before > 0 && of[before-1].retired()
}
