package board

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// SaleView is a sale as it is at its partition's watermark.
type SaleView struct {
	Partition  int32
	*sale.Sale // one of the board's own: not to be written to

	Watermark sale.Offset
	LogTime   sale.Time
	Line      int64  // undecided records of the partition
	Stopped   string // why the partition cannot go on; empty if it can
}

// Sale gives the product's latest sale. Where none is known it is an empty one,
// and false. Every buy asks for it, so it copies nothing large.
func (b *Board) Sale(product sale.Product) (SaleView, bool) {
	of, ok := b.products.Load(product)
	if !ok {
		return SaleView{Sale: new(sale.Sale)}, false
	}
	p := of.(*partition)
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := p.current[product]
	if s == nil {
		return SaleView{Sale: new(sale.Sale)}, false
	}
	return p.saleView(s), true
}

// Sales gives all sales, in the order of their products, then of their ids.
func (b *Board) Sales() []SaleView {
	var all []SaleView
	for _, p := range b.partitions {
		p.mu.RLock()
		for _, s := range p.sales {
			all = append(all, p.saleView(s))
		}
		p.mu.RUnlock()
	}
	slices.SortFunc(all, func(a, b SaleView) int {
		return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

func (p *partition) saleView(s *sale.Sale) SaleView {
	return SaleView{
		Partition: p.number, Sale: s,
		Watermark: p.watermark(), LogTime: p.now, Line: p.line(), Stopped: p.stopped,
	}
}

// takeSale takes a sale, unless what is known is as new. A product's current
// sale is its latest. It is called after the rows are taken.
func (p *partition) takeSale(s *sale.Sale) {
	known := p.sales[s.ID]
	if known != nil && known.Revision >= s.Revision {
		return
	}
	p.keepSale(s)
	p.compareSale(known, s)
}

// replaceSales takes all of a partition's sales.
func (p *partition) replaceSales(all []sale.Sale) {
	was := p.sales
	p.sales = make(map[sale.Offset]*sale.Sale, len(all))
	clear(p.current)
	p.paused.Store(0)
	for i := range all {
		s := &all[i]
		p.keepSale(s)
		p.compareSale(was[s.ID], s)
	}
	for id := range p.places {
		if p.sales[id] == nil {
			delete(p.places, id)
		}
	}
}

func (p *partition) keepSale(s *sale.Sale) {
	if known := p.sales[s.ID]; known != nil && known.Stage == sale.StagePaused {
		p.paused.Add(-1)
	}
	if s.Stage == sale.StagePaused {
		p.paused.Add(1)
	}
	p.sales[s.ID] = s
	if latest := p.current[s.Product]; latest == nil || latest.ID <= s.ID {
		p.current[s.Product] = s
	}
	p.board.products.LoadOrStore(s.Product, p)
}

// compareSale acts on what is new about a sale besides its counts.
func (p *partition) compareSale(known, s *sale.Sale) {
	if known == nil {
		return
	}
	if !slices.Equal(known.Pauses, s.Pauses) || known.CheckoutURL != s.CheckoutURL {
		p.wakeHolds(s.ID)
	}
	if known.Stage != s.Stage || known.AdmitPerSecond != s.AdmitPerSecond || known.MaxActiveHolds != s.MaxActiveHolds {
		if at := p.places[s.ID]; at != nil {
			at.windows = meter{} // what was measured under other rules says nothing
		}
	}
}
