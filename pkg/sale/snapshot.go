package sale

import (
	"cmp"
	"fmt"
	"slices"
)

// Snapshot is a partition's state as rows: what a ledger keeps of it. The
// rejected requests in it are the duplicates; requests that a sale's default
// answers for are not in it, and of a sale that has retired none is.
type Snapshot struct {
	Next      Offset
	Now       Time
	Schema    int
	Malformed int64
	Sales     []Sale
	Requests  []Request
	Starts    Starts // from OldestStart on
}

// Restore makes the partition that a snapshot was taken of. The snapshot's
// slices may be in any order but Starts. Requests of sales that have retired are
// left out. The error wraps ErrSchemaTooNew where a newer program has decided a
// schema record that this one could not.
func Restore(from Snapshot) (*Partition, error) {
	if from.Schema > NewestSchema {
		return nil, fmt.Errorf("restoring a partition with schema %d, this program knows %d: %w", from.Schema, NewestSchema, ErrSchemaTooNew)
	}
	p := New()
	p.next, p.now, p.schema, p.malformed = from.Next, from.Now, from.Schema, from.Malformed
	p.starts = slices.Clone(from.Starts)
	p.begun = make([]int, len(p.starts))

	for _, s := range from.Sales {
		if !s.Balanced() {
			return nil, fmt.Errorf("restoring sale %d: its units do not add up", s.ID)
		}
		state := newSaleState(s)
		p.sales[s.ID] = state
		p.products[s.Product] = append(p.products[s.Product], state)
	}
	for _, of := range p.products {
		slices.SortFunc(of, func(a, b *saleState) int { return cmp.Compare(a.ID, b.ID) })
	}
	for i := range from.Requests {
		if err := p.restore(from.Requests[i]); err != nil {
			return nil, fmt.Errorf("restoring request %d: %w", from.Requests[i].Offset, err)
		}
	}
	for _, s := range p.sales {
		if err := p.checkCounts(s); err != nil {
			return nil, fmt.Errorf("restoring sale %d: %w", s.ID, err)
		}
		p.awaitStages(s)
		p.awaitRetirement(s)
		if len(s.turns) > 0 {
			p.paced = append(p.paced, s)
		}
	}
	slices.SortFunc(p.paced, func(a, b *saleState) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(p.unstarted, func(a, b *Request) int {
		return cmp.Or(cmp.Compare(a.HeldSince, b.HeldSince), cmp.Compare(a.Offset, b.Offset))
	})
	return p, nil
}

func (p *Partition) restore(r Request) error {
	if r.State == SoldOut || r.State == Rejected && r.Reason != ReasonDuplicate {
		return nil
	}
	s := p.sales[r.Sale]
	if s == nil {
		return fmt.Errorf("its sale %d is missing", r.Sale)
	}
	if s.retired() {
		return nil
	}
	s.kept = append(s.kept, r.Offset)
	switch r.State {
	case Rejected:
		p.first[r.Offset] = r.First
		return nil
	case Expired, Released, Returned:
		p.ended[r.Offset] = r.State
		return nil
	case Queued, Held, Reserved, Waitlisted, Confirmed:
	case SoldOut: // seen to above
	default:
		return fmt.Errorf("unknown state %q", r.State)
	}
	p.requests[r.Offset] = &r
	has := s.buyer(r.Buyer)
	if r.State == Confirmed {
		has.confirmed += r.Quantity
		s.setBuyer(r.Buyer, has)
		return nil
	}
	has.live = r.Offset
	s.setBuyer(r.Buyer, has)
	switch r.State {
	case Queued:
		s.parked = append(s.parked, &r)
	case Waitlisted:
		s.waitlist = append(s.waitlist, &r)
	case Reserved:
		s.turns = append(s.turns, &r)
	case Held:
		s.holding++
		i, begun := p.starts.find(r.HeldSince)
		if !begun {
			p.unstarted = append(p.unstarted, &r)
			break
		}
		p.begun[i]++
		p.awaitEnd(s, &r)
	case SoldOut, Rejected, Released, Confirmed, Expired, Returned: // seen to above
	}
	return nil
}

// checkCounts compares a restored sale's counts with its requests, and puts
// those into their order.
func (p *Partition) checkCounts(s *saleState) error {
	slices.SortFunc(s.parked, byOffset)
	slices.SortFunc(s.waitlist, byOffset)
	slices.SortFunc(s.turns, byTurn)
	var reserved, held, confirmed int64 // units
	for _, r := range s.turns {
		reserved += r.Quantity
	}
	for _, offset := range s.kept {
		if r := p.requests[offset]; r != nil && r.State == Held {
			held += r.Quantity
		}
	}
	for _, of := range s.buyers {
		confirmed += of.confirmed
	}
	if s.retired() {
		confirmed = s.Confirmed // by requests that are remembered no more
	}
	for _, count := range []struct {
		what     string
		has, had int64
	}{
		{"units reserved", reserved, s.Reserved},
		{"units held", held, s.Held},
		{"units confirmed", confirmed, s.Confirmed},
		{"requests waitlisted", int64(len(s.waitlist)), s.Waitlisted},
		{"requests parked", int64(len(s.parked)), s.Parked},
	} {
		if count.has != count.had {
			return fmt.Errorf("%d %s, its requests have %d", count.had, count.what, count.has)
		}
	}
	return nil
}

// Snapshot takes p's state, in the order of offsets. Restore of it makes an
// equal partition.
func (p *Partition) Snapshot() Snapshot {
	snapshot := Snapshot{
		Next: p.next, Now: p.now, Schema: p.schema, Malformed: p.malformed,
		Starts: slices.Clone(p.starts),
	}
	for _, s := range p.sales {
		snapshot.Sales = append(snapshot.Sales, s.Sale)
		for _, offset := range s.kept {
			if r, remembered := p.remembered(s, offset); remembered {
				snapshot.Requests = append(snapshot.Requests, r)
			}
		}
	}
	slices.SortFunc(snapshot.Sales, func(a, b Sale) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(snapshot.Requests, func(a, b Request) int { return cmp.Compare(a.Offset, b.Offset) })
	return snapshot
}

// remembered gives what is known of one of the sale's requests: of one that is
// over, how it ended.
func (p *Partition) remembered(s *saleState, offset Offset) (Request, bool) {
	if r := p.requests[offset]; r != nil {
		return *r, true
	}
	if state, ended := p.ended[offset]; ended {
		return Request{Offset: offset, State: state, Sale: s.ID, First: None, HeldSince: None}, true
	}
	if first, duplicate := p.first[offset]; duplicate {
		return Request{Offset: offset, State: Rejected, Reason: ReasonDuplicate, Sale: s.ID, First: first, HeldSince: None}, true
	}
	return Request{}, false
}
