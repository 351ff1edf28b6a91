package sale_test

import (
	"cmp"
	"slices"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// watched is a record and what everybody can see of it: its decisions, and
// rows and sales, kept as a ledger keeps them.
type watched struct {
	t         *rapid.T
	state     *sale.Partition // after it
	record    sale.Record
	decisions []sale.Decision
	before    map[sale.Offset]sale.Sale // sales as they were before the record
	sales     map[sale.Offset]sale.Sale // and after it
	was       sale.Time                 // log time before it
	schema    int                       // before it
	rows      map[sale.Offset]sale.Request
}

// watch applies a random log and shows every record to see, which finds rows
// as they were before the record and brings them up to date with take.
func watch(t *rapid.T, see func(w *watched)) {
	w := &watched{t: t, state: sale.New(), rows: map[sale.Offset]sale.Request{}, sales: map[sale.Offset]sale.Sale{}}
	for _, r := range saletest.Log(t) {
		w.was, w.schema = w.state.Now(), w.state.Schema()
		var changes sale.Changes
		if err := w.state.Apply(r, &changes); err != nil {
			t.Fatal(err)
		}
		w.record, w.decisions, w.before = r, changes.Decisions, w.sales
		w.sales = salesByID(w.state.Snapshot())
		see(w)
		for _, d := range w.decisions {
			w.take(d)
		}
	}
}

// take brings the rows up to date with a decision.
func (w *watched) take(d sale.Decision) {
	if d.Kind == sale.OfRequest && !d.Default {
		w.rows[d.Request.Offset] = d.Request
	}
}

// units counts what the rows of a sale in some states have.
func (w *watched) units(of sale.Offset, states ...sale.State) int64 {
	units := int64(0)
	for _, r := range w.rows {
		if r.Sale == of && slices.Contains(states, r.State) {
			units += r.Quantity
		}
	}
	return units
}

// in gives the rows of a sale in a state, in the order of the log.
func (w *watched) in(of sale.Offset, state sale.State) []sale.Request {
	var found []sale.Request
	for _, r := range w.rows {
		if r.Sale == of && r.State == state {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b sale.Request) int { return cmp.Compare(a.Offset, b.Offset) })
	return found
}

// quantities are those that a sale may have had while the record was decided.
func (w *watched) quantities(of sale.Offset) []int64 {
	if before, existed := w.before[of]; existed && before.Quantity != w.sales[of].Quantity {
		return []int64{before.Quantity, w.sales[of].Quantity}
	}
	return []int64{w.sales[of].Quantity}
}

// given reports whether the decision sets units aside.
func (w *watched) given(d sale.Decision) bool {
	was := w.rows[d.Request.Offset].State
	return d.Kind == sale.OfRequest && (d.Request.State == sale.Held || d.Request.State == sale.Reserved) &&
		was != sale.Held && was != sale.Reserved
}
