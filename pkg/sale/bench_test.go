package sale_test

import (
	"strconv"
	"testing"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// benchmarkBuys applies b.N buys in batches of 1,000.
func benchmarkBuys(b *testing.B, settings sale.Settings) {
	buyers := make([]sale.Buyer, b.N)
	for i := range buyers {
		buyers[i] = sale.Buyer("buyer-" + strconv.Itoa(i))
	}
	l := newLine(b)
	l.sale(settings)
	first := l.state.Next()
	var changes sale.Changes
	b.ReportAllocs()
	b.ResetTimer()
	for i, buyer := range buyers {
		record := sale.Record{
			Offset: first + sale.Offset(i), Time: saletest.Epoch, Product: "ring",
			Body: sale.Buy{Sale: l.current, Buyer: buyer, Quantity: 1, AcceptedAt: saletest.Epoch},
		}
		if err := l.state.Apply(record, &changes); err != nil {
			b.Fatal(err)
		}
		if i%1_000 == 999 {
			changes.Reset()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkApplyLosers(b *testing.B) { benchmarkBuys(b, ring(1)) }

func BenchmarkApplyWinners(b *testing.B) { benchmarkBuys(b, ring(sale.MaxQuantity)) }
