package sale_test

import (
	"testing"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// line is a partition to which a test appends records of one product, ring.
type line struct {
	t         testing.TB
	state     *sale.Partition
	time      sale.Time
	current   sale.Offset
	decisions []sale.Decision // of the latest record
}

// newLine begins with a schema record at offset 0.
func newLine(t testing.TB) *line {
	t.Helper()
	return newLineOf(t, sale.FirstSchema)
}

// ring is the settings of a sale whose holds last 10 s.
func ring(quantity int64) sale.Settings {
	return sale.Settings{Quantity: quantity, HoldSeconds: 10, PerBuyerLimit: 2, MaxQuantityPerRequest: 2, Policy: sale.PolicyQueue}
}

// newLaterLine begins with the second schema.
func newLaterLine(t testing.TB) *line {
	t.Helper()
	return newLineOf(t, 2)
}

func newLineOf(t testing.TB, schema int) *line {
	t.Helper()
	l := &line{t: t, state: sale.New(), time: saletest.Epoch, current: sale.None}
	l.do(sale.Schema{Version: schema})
	return l
}

// waiting is the settings of a sale with a waitlist, whose holds last 10 s and
// at most 30 s.
func waiting(quantity int64) sale.Settings {
	return sale.Settings{
		Quantity: quantity, HoldSeconds: 10, MaxHoldSeconds: 30, PerBuyerLimit: 3, MaxQuantityPerRequest: 3,
		Policy: sale.PolicyWaitlist, WaitlistCapacity: 10,
	}
}

// do appends a record and gives its offset.
func (l *line) do(body sale.Body) sale.Offset {
	l.t.Helper()
	return l.record(sale.Record{Time: l.time, Product: "ring", Body: body})
}

func (l *line) record(r sale.Record) sale.Offset {
	l.t.Helper()
	r.Offset = l.state.Next()
	l.decisions = apply(l.t, l.state, r)
	return r.Offset
}

// sale makes a sale of the newest rules that the line's schema has.
func (l *line) sale(s sale.Settings) sale.Offset {
	l.t.Helper()
	return l.create(min(l.state.Schema(), sale.NewestRules), s)
}

func (l *line) create(rules int, s sale.Settings) sale.Offset {
	l.t.Helper()
	l.current = l.do(sale.Create{Rules: rules, Settings: s, BuyerKey: "key-1"})
	return l.current
}

func (l *line) buy(buyer sale.Buyer, quantity int64) sale.Offset {
	l.t.Helper()
	return l.do(sale.Buy{Sale: l.current, Buyer: buyer, Quantity: quantity, AcceptedAt: l.time})
}

// tick starts everything that was held below its own offset.
func (l *line) tick() sale.Offset {
	l.t.Helper()
	return l.do(sale.Tick{Committed: l.state.Next()})
}

// told gives what the latest record decided.
func (l *line) told() []string {
	var lines []string
	for _, d := range l.decisions {
		lines = append(lines, told(d))
	}
	return lines
}

func (l *line) available() int64 { return l.now().Available }

// now is the current sale as it is.
func (l *line) now() sale.Sale { return salesByID(l.state.Snapshot())[l.current] }
