package whatif

import (
	"fmt"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// boundedWatch holds what a what-if keeps against a bound, after every record.
type boundedWatch struct {
	*comparing
	most int
}

func (w boundedWatch) Step(r *audit.Replay, s audit.Step) error {
	err := w.comparing.Step(r, s)
	if kept := len(w.pairs); kept > w.most {
		return fmt.Errorf("after record %d there are %d requests in memory", s.Record.Offset, kept)
	}
	return err
}

// TestForgetsWhoIsThrough replays a crowd that gets nothing, and holds
// that run out, with as few requests in memory as are live.
func TestForgetsWhoIsThrough(t *testing.T) {
	t.Parallel()
	const crowd, units = 5000, 3
	records := []sale.Record{
		{Time: saletest.Epoch, Body: sale.Schema{Version: 2}},
		{Time: saletest.Epoch, Product: "ring", Body: sale.Create{Rules: 2, BuyerKey: "k", Later: true, Settings: sale.Settings{
			Quantity: units, HoldSeconds: 1, MaxHoldSeconds: 1, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue,
		}}},
	}
	for i := range crowd {
		at := saletest.Epoch + sale.Time(i)
		records = append(records,
			sale.Record{Time: at, Product: "ring", Body: sale.Buy{Sale: 1, Buyer: sale.Buyer(fmt.Sprintf("b%d", i)), Quantity: 1}},
			sale.Record{Time: at, Body: sale.Tick{Committed: sale.Offset(2*i + 3)}})
	}
	for i := range records {
		records[i].Offset = sale.Offset(i)
	}
	h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{saletest.Entries(records)}}}
	w := &comparing{id: 1, product: "ring", change: sale.Change{Quantity: new(int64(2 * units))}, pairs: make(map[sale.Offset]*pair)}
	extent := audit.Extent{From: 1, To: sale.Offset(len(records))}
	if err := h.Replay(t.Context(), []audit.Extent{extent}, func(audit.Extent) audit.Visitor { return boundedWatch{w, 2 * units} }); err != nil {
		t.Fatal(err)
	}
	if w.result.Requests != crowd || w.result.Otherwise == 0 || len(w.pairs) != 0 {
		t.Errorf("%d requests, %d otherwise, %d still in memory", w.result.Requests, w.result.Otherwise, len(w.pairs))
	}
}
