package fairness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// ErrNoSuchSale means that the log has no sale such as a report was asked for.
var ErrNoSuchSale = errors.New("the log has no such sale")

// Query says which sales a report is of. Its zero value means all.
type Query struct {
	Product sale.Product // empty: of every product
	Sale    *Place       // nil: every one
}

// Place names a sale by the place of its sale.create.
type Place struct {
	Partition int32
	Offset    sale.Offset
}

// Compute replays the log up to its present end and reports how the sales
// went. Its memory is bounded by the live requests, 16 bytes or so for each
// buyer of a sale in the report, and what the report itself has.
//
// A sale's report needs all of its records, so no snapshot stands for any: the
// error wraps [audit.ErrTruncated] where the first ones are gone, and ErrNoSuchSale
// where the query names a sale or a product that the log does not have.
func Compute(ctx context.Context, h *audit.History, query Query) (*Report, error) {
	whole := *h
	whole.Snapshots = nil
	var partitions []int32
	if query.Sale != nil {
		if query.Sale.Partition >= h.Log.Partitions() {
			return nil, fmt.Errorf("partition %d of %d: %w", query.Sale.Partition, h.Log.Partitions(), ErrNoSuchSale)
		}
		partitions = append(partitions, query.Sale.Partition)
	}
	extents, err := whole.Ends(ctx, partitions...)
	if err != nil {
		return nil, err
	}
	var replayed []*partition
	err = whole.Replay(ctx, extents, func(extent audit.Extent) audit.Visitor {
		p := newPartition(extent.Partition, query)
		replayed = append(replayed, p)
		return p
	})
	if err != nil {
		return nil, err
	}
	return assemble(h.Log.Topic(), replayed, query)
}

// assemble puts together what the partitions' replays have found.
func assemble(topic event.TopicID, replayed []*partition, query Query) (*Report, error) {
	report := &Report{Topic: topic.String(), Sales: []SaleReport{}, Definitions: definitions, Unseen: unseen}
	others := map[string]bool{}
	for _, p := range replayed {
		report.Partitions = append(report.Partitions, p.found)
		for _, id := range slices.Sorted(maps.Keys(p.sales)) {
			of := p.sales[id].report(p.now)
			report.Inversions += of.Order.Inversions
			report.Sales = append(report.Sales, of)
		}
		for product := range p.others {
			others[string(product)] = true
		}
	}
	if len(report.Sales) > 0 {
		return report, nil
	}
	switch {
	case query.Sale != nil:
		return nil, fmt.Errorf("no such sale began at offset %d of partition %d: %w", query.Sale.Offset, query.Sale.Partition, ErrNoSuchSale)
	case query.Product != "":
		return nil, fmt.Errorf("no sale of %q, but of: %s: %w", query.Product, someOf(others), ErrNoSuchSale)
	}
	return report, nil
}

// someOf gives the first names, in their order.
func someOf(names map[string]bool) string {
	const most = 10
	sorted := slices.Sorted(maps.Keys(names))
	if len(sorted) == 0 {
		return "nothing"
	}
	if len(sorted) > most {
		return strings.Join(sorted[:most], ", ") + ", ..."
	}
	return strings.Join(sorted, ", ")
}

// Begin implements [audit.Visitor].
func (p *partition) Begin(*audit.Replay) error { return nil }

// Step implements [audit.Visitor].
func (p *partition) Step(r *audit.Replay, s audit.Step) error {
	p.see(s, r.Core().Now(), r.Changed())
	return nil
}

// End implements [audit.Visitor].
func (p *partition) End(r *audit.Replay) error {
	state := r.State()
	p.now = r.Core().Now()
	p.found.Next, p.found.Time = r.Core().Next(), event.Instant(p.now)
	p.found.Records, p.found.Decisions, p.found.Malformed = int64(r.Core().Next()), r.Decisions(), r.Core().Malformed()
	p.found.RecordDigest, p.found.DecisionDigest = state.RecordChain.String(), state.DecisionChain.String()
	p.found.ChainStart = state.ChainStart
	return nil
}
