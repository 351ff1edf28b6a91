package verify

import (
	"fmt"
	"slices"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// comparePartition compares the partition's own row.
func (v *verifier) comparePartition(state audit.State) {
	type row struct {
		Next           sale.Offset  `json:"next_offset"`
		Now            sale.Time    `json:"log_time"`
		Schema         int          `json:"schema"`
		Malformed      int64        `json:"malformed"`
		Last           event.Digest `json:"last_digest"`
		OldestStart    sale.Offset  `json:"oldest_start"`
		RecordChain    event.Digest `json:"record_chain"`
		DecisionChain  event.Digest `json:"decision_chain"`
		ChainBeginning sale.Offset  `json:"chain_start"`
	}
	core := state.Core
	want := row{core.Next(), core.Now(), core.Schema(), core.Malformed(), state.Last, core.OldestStart(), state.RecordChain, state.DecisionChain, state.ChainStart}
	got := row{v.row.Next, v.row.Now, v.row.Schema, v.row.Malformed, v.row.Last, v.row.OldestStart, v.row.RecordChain, v.row.DecisionChain, v.row.ChainStart}
	if want != got {
		expected, found := differing(want, got)
		v.findings.row(max(core.Next()-1, 0), OfPartition, fmt.Sprint(v.row.Partition), expected, found)
	}
}

// compareSales compares each sale whole, and the binding of its product.
func (v *verifier) compareSales(core *sale.Partition) error {
	rows, err := v.cut.Sales(v.ctx, v.row.Partition)
	if err != nil {
		return fmt.Errorf("reading the ledger's sales: %w", err)
	}
	name := func(s *sale.Sale) string { return ticket.PublicID(v.row.Partition, int64(s.ID)) }
	left := make(map[sale.Offset]sale.Sale, len(rows))
	for _, row := range rows {
		left[row.ID] = row
	}
	for _, want := range core.Sales() {
		got, found := left[want.ID]
		delete(left, want.ID)
		if !found {
			v.findings.row(want.Revision, OfSale, name(&want), fmt.Sprintf("a sale of %s", want.Product), "no such row")
			continue
		}
		if expected, found := differing(want, got); expected != "" {
			v.findings.row(want.Revision, OfSale, name(&want), expected, found)
		}
		if err := v.compareBinding(&want); err != nil {
			return err
		}
	}
	for _, row := range left {
		v.findings.row(row.ID, OfSale, name(&row), nothing, fmt.Sprintf("a sale of %s", row.Product))
	}
	return nil
}

// compareBinding: a product that was sold has a binding, to a partition in which
// it was sold. That may be another one than the sale's, if somebody else has put
// a record into the wrong partition.
func (v *verifier) compareBinding(s *sale.Sale) error {
	bound, known := v.bindings[s.Product]
	if known && bound == v.row.Partition {
		return nil
	}
	found := "no such row"
	if known {
		elsewhere, err := v.cut.Sales(v.ctx, bound)
		if err != nil {
			return fmt.Errorf("reading the ledger's sales: %w", err)
		}
		if slices.ContainsFunc(elsewhere, func(other sale.Sale) bool { return other.Product == s.Product }) {
			return nil
		}
		found = fmt.Sprintf("partition %d", bound)
	}
	v.findings.row(s.ID, OfBinding, string(s.Product), fmt.Sprintf("partition %d", v.row.Partition), found)
	return nil
}

// compareStarts compares the starts from which holds run.
func (v *verifier) compareStarts(core *sale.Partition) error {
	rows, err := v.cut.Starts(v.ctx, v.row.Partition, core.OldestStart())
	if err != nil {
		return fmt.Errorf("reading the ledger's starts: %w", err)
	}
	left := make(map[sale.Offset]sale.Start, len(rows))
	for _, row := range rows {
		left[row.Below] = row
	}
	for _, want := range core.Starts() {
		got, found := left[want.Below]
		delete(left, want.Below)
		switch {
		case !found:
			v.findings.row(want.Cause, OfStart, fmt.Sprint(want.Below), fmt.Sprintf("%+v", want), "no such row")
		case got != want:
			expected, found := differing(want, got)
			v.findings.row(want.Cause, OfStart, fmt.Sprint(want.Below), expected, found)
		}
	}
	for _, row := range left {
		v.findings.row(row.Cause, OfStart, fmt.Sprint(row.Below), nothing, fmt.Sprintf("%+v", row))
	}
	return nil
}
