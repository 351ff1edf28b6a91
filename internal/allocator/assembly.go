package allocator

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// assembly is a batch in the making.
type assembly struct {
	changes sale.Changes
	records int
	from    sale.Offset
	last    event.Digest
	chains  chains
	marks   []byte                   // of the records
	leases  map[sale.Offset][]string // of the records, by sale
	// revisions are those that the ledger has the sales at, once the batches
	// that were sealed before are committed.
	revisions map[sale.Offset]sale.Offset
	// standings are where the sales stood then; nil where decisions are not
	// published.
	standings standings
	spare     spare
}

func newAssembly(claim Claim) assembly {
	a := assembly{
		spare: newSpare(), from: claim.State.Next, last: claim.Last, revisions: make(map[sale.Offset]sale.Offset),
		chains: chains{records: claim.RecordChain, decisions: event.NewChain(claim.DecisionChain)},
	}
	for _, s := range claim.State.Sales {
		a.revisions[s.ID] = s.Revision
	}
	return a
}

// endLease notes that the request which a lease let in is decided.
func (a *assembly) endLease(of sale.Offset, lease string) {
	if a.leases == nil {
		a.leases = make(map[sale.Offset][]string)
	}
	a.leases[of] = append(a.leases[of], lease)
}

// chains are the heads after what was applied.
type chains struct {
	records   event.Digest
	decisions *event.Chain
}

func (a *assembly) empty() bool { return a.records == 0 }

// outcome is what decisions are counted by.
type outcome struct {
	product sale.Product
	state   sale.State
}

// seal makes a Batch of what was applied, and begins the next one. What takes
// a look at every decision is left to gather, beside the loop.
func (a *assembly) seal(state *sale.Partition, partition int32, epoch int64) *Batch {
	b := &Batch{
		Partition: partition, Epoch: epoch, From: a.from, To: state.Next(),
		Now: state.Now(), Schema: state.Schema(), Malformed: state.Malformed(), Last: a.last,
		OldestStart: state.OldestStart(),
		RecordChain: a.chains.records, DecisionChain: a.chains.decisions.Head(), Marks: a.marks,
		leases: a.leases,
	}
	for _, s := range a.changes.Sales() {
		was, known := a.revisions[s.ID]
		if !known {
			was = sale.None
		}
		a.revisions[s.ID] = s.Revision
		b.Sales = append(b.Sales, SaleChange{Sale: s, Was: was})
	}
	b.decided = a.standings.decided(b.Sales)
	b.decisions, a.changes.Decisions = a.changes.Decisions, a.spare.take(len(a.changes.Decisions))
	a.changes.Reset()
	a.records, a.from, a.leases = 0, b.To, nil
	a.marks = make([]byte, 0, len(b.Marks))
	return b
}

// gather makes the batch's rows, and what it has to be published, of its
// decisions, which go back to spare.
func (b *Batch) gather(topic event.TopicID, spare spare) error {
	b.collect()
	err := b.encode(topic)
	spare.give(b.decisions)
	b.decisions = nil
	return err
}

// collect makes the batch's rows. A request whose own record is in the batch is
// decided by that first, so those stand in the order of their offsets; of the
// others each has to be looked for.
func (b *Batch) collect() {
	rows := 0
	for i := range b.decisions {
		if d := &b.decisions[i]; d.Kind == sale.OfRequest && !d.Default {
			rows++
		}
	}
	b.Requests = make([]sale.Request, 0, rows)
	var changed []sale.Request
	place := make(map[sale.Offset]int) // of a request in changed
	counts := newOutcomes()
	for i := range b.decisions {
		d := &b.decisions[i]
		switch d.Kind {
		case sale.OfRequest:
			r := &d.Request
			counts.add(r)
			if d.Default {
				continue
			}
			if r.Offset == d.Cause {
				b.Requests = append(b.Requests, *r)
				continue
			}
			if at, ok := slices.BinarySearchFunc(b.Requests, r.Offset, byOffset); ok {
				b.Requests[at] = *r
				continue
			}
			if at, ok := place[r.Offset]; ok {
				changed[at] = *r
				continue
			}
			place[r.Offset] = len(changed)
			changed = append(changed, *r)
		case sale.OfCommand:
			b.Results = append(b.Results, d.Result)
		case sale.OfStart:
			b.Starts = append(b.Starts, d.Start)
		}
	}
	b.Requests = append(b.Requests, changed...)
	b.outcomes = counts.all()
}

func byOffset(r sale.Request, offset sale.Offset) int { return cmp.Compare(r.Offset, offset) }

// outcomes counts decisions. Most are as the one before.
type outcomes struct {
	counts map[outcome]int
	last   outcome
	run    int // of last, not counted yet
}

func newOutcomes() *outcomes { return &outcomes{counts: make(map[outcome]int)} }

func (o *outcomes) add(r *sale.Request) {
	if of := (outcome{r.Product, r.State}); of != o.last {
		o.flush()
		o.last = of
	}
	o.run++
}

func (o *outcomes) flush() {
	if o.run > 0 {
		o.counts[o.last] += o.run
		o.run = 0
	}
}

func (o *outcomes) all() map[outcome]int {
	o.flush()
	return o.counts
}

// spare keeps the memory of decisions that are written, for the next batches.
type spare chan []sale.Decision

// One batch is applied while one is gathered and one is committed.
func newSpare() spare { return make(spare, 2) }

// take gives an empty slice, with room for so many if it has to be made.
func (s spare) take(room int) []sale.Decision {
	select {
	case kept := <-s:
		return kept
	default:
		return make([]sale.Decision, 0, room)
	}
}

func (s spare) give(decisions []sale.Decision) {
	clear(decisions)
	select {
	case s <- decisions[:0]:
	default:
	}
}
