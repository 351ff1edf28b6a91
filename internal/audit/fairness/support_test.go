package fairness

import (
	"fmt"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// story is a log that a test writes record by record.
type story struct {
	t       *testing.T
	records []sale.Record
	now     sale.Time
}

const storyBegins sale.Time = 1_767_225_600_000

func newStory(t *testing.T) *story {
	s := &story{t: t, now: storyBegins}
	s.add("", sale.Schema{Version: sale.NewestSchema})
	return s
}

// add appends a record and gives its offset.
func (s *story) add(product sale.Product, body sale.Body) sale.Offset {
	offset := sale.Offset(len(s.records))
	s.records = append(s.records, sale.Record{Offset: offset, Time: s.now, Product: product, Body: body})
	return offset
}

func (s *story) after(ms sale.Time) *story {
	s.now += ms
	return s
}

// create opens a sale of rings. The settings that tests do not care for are
// set.
func (s *story) create(settings sale.Settings) sale.Offset {
	settings.HoldSeconds, settings.MaxHoldSeconds = max(10, settings.HoldSeconds), 60
	settings.PerBuyerLimit, settings.MaxQuantityPerRequest = 4, 4
	return s.add("ring", sale.Create{Rules: sale.NewestRules, Settings: settings, BuyerKey: "b1", Actor: "olga", Reason: "launch", Later: true})
}

// buy asks for units 5 ms after the click.
func (s *story) buy(of sale.Offset, buyer sale.Buyer, quantity int64) sale.Offset {
	return s.add("ring", sale.Buy{Sale: of, Buyer: buyer, Quantity: quantity, AcceptedAt: s.now - 5})
}

func (s *story) buys(of sale.Offset, many int) {
	for i := range many {
		s.buy(of, sale.Buyer(fmt.Sprintf("buyer-%d", i)), 1)
	}
}

// step is a step that a test may change before it is seen.
type step struct {
	record    sale.Record
	decisions []sale.Decision
	changed   []sale.Sale
	now       sale.Time
}

// stepsOf decides records.
func stepsOf(t interface{ Fatal(...any) }, records []sale.Record) []step {
	core := sale.New()
	var steps []step
	for _, r := range records {
		var changes sale.Changes
		if err := core.Apply(r, &changes); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step{r, changes.Decisions, changes.Sales(), core.Now()})
	}
	return steps
}

// judged gives what a report says of steps' sales.
func judged(steps []step, query Query) map[sale.Offset]SaleReport {
	p := newPartition(0, query)
	for i := range steps {
		s := &steps[i]
		p.see(audit.Step{Record: &s.record, Decisions: s.decisions}, s.now, s.changed)
		p.now = s.now
	}
	sales := make(map[sale.Offset]SaleReport)
	for id, of := range p.sales {
		sales[id] = of.report(p.now)
	}
	return sales
}
