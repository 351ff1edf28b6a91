package board

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// SaleView is a sale as it is at its partition's watermark.
type SaleView struct {
	Partition int32
	sale.Sale // its Defaults are not to be written to

	Watermark sale.Offset
	LogTime   sale.Time
	Line      int64  // undecided records of the partition
	Stopped   string // why the partition cannot go on; empty if it can
}

// Sale gives the product's latest sale, or false if none is known.
func (b *Board) Sale(product sale.Product) (SaleView, bool) {
	of, ok := b.products.Load(product)
	if !ok {
		return SaleView{}, false
	}
	p := of.(*partition)
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := p.current[product]
	if s == nil {
		return SaleView{}, false
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
		Partition: p.number, Sale: *s,
		Watermark: p.watermark(), LogTime: p.now, Line: p.line(), Stopped: p.stopped,
	}
}
