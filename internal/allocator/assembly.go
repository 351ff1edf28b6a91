package allocator

import (
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
}

func newAssembly(claim Claim) assembly {
	a := assembly{
		from: claim.State.Next, last: claim.Last, revisions: make(map[sale.Offset]sale.Offset),
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

// seal makes a Batch of what was applied, and begins the next one.
func (a *assembly) seal(state *sale.Partition, partition int32, epoch int64) *Batch {
	b := &Batch{
		Partition: partition, Epoch: epoch, From: a.from, To: state.Next(),
		Now: state.Now(), Schema: state.Schema(), Malformed: state.Malformed(), Last: a.last,
		OldestStart: state.OldestStart(),
		RecordChain: a.chains.records, DecisionChain: a.chains.decisions.Head(), Marks: a.marks,
		outcomes: make(map[outcome]int),
		leases:   a.leases,
	}
	place := make(map[sale.Offset]int) // of a request in b.Requests
	for i := range a.changes.Decisions {
		d := &a.changes.Decisions[i]
		switch d.Kind {
		case sale.OfRequest:
			b.outcomes[outcome{d.Request.Product, d.Request.State}]++
			if d.Default {
				continue
			}
			if at, ok := place[d.Request.Offset]; ok {
				b.Requests[at] = d.Request
				continue
			}
			place[d.Request.Offset] = len(b.Requests)
			b.Requests = append(b.Requests, d.Request)
		case sale.OfCommand:
			b.Results = append(b.Results, d.Result)
		case sale.OfStart:
			b.Starts = append(b.Starts, d.Start)
		}
	}
	for _, s := range a.changes.Sales() {
		was, known := a.revisions[s.ID]
		if !known {
			was = sale.None
		}
		a.revisions[s.ID] = s.Revision
		b.Sales = append(b.Sales, SaleChange{Sale: s, Was: was})
	}
	b.decided = a.standings.decided(b.Sales, a.changes.Decisions)
	a.changes.Reset()
	a.records, a.from, a.leases, a.marks = 0, b.To, nil, nil
	return b
}
