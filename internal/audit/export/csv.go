package export

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// columns are the columns of an export as a table (RFC 4180), which has a
// row for each decision:
//
//   - partition, offset: of the record that caused it; index: its place among
//     what the record caused; time: log time of the decision
//   - record: the record's type, "malformed" where it could not be read; actor,
//     actor_reason: who appended it and why, of what operators did
//   - about: "request", "command" or "start"
//   - product, sale: what it is about; request: whose state it tells, or whom a
//     command named
//   - state, reason: of a request; default: "true" where it has no row, and then
//     neither buyer nor requested_at
//   - quantity, buyer (the pseudonym), requested_at, first (of a duplicate: the
//     request that counts), hold_ms (how long a hold lasts from its start, where
//     the sale does not say so), payment_reference: the request's
//   - code: why a command was refused; "done" where it was not
//   - below: of a start: the holds decided below this offset run from time on
//
// Sales and requests are named by their public ids, times are RFC 3339 in UTC
// with milliseconds. What is not known, or not the case, is empty. Texts are as
// they were given: a program that takes a text for a formula must not be let.
var columns = []string{
	"partition", "offset", "index", "time", "record", "actor", "actor_reason", "about", "product", "sale", "request",
	"state", "reason", "default", "quantity", "buyer", "requested_at", "first", "hold_ms", "payment_reference", "code", "below",
}

// WriteTable writes the decisions of the extents as a table. Where a product is
// named, only what is about it, and starts of holds.
func WriteTable(ctx context.Context, h *audit.History, extents []audit.Extent, product sale.Product, to io.Writer) error {
	out := bufio.NewWriterSize(to, bufferSize)
	table := csv.NewWriter(out)
	table.UseCRLF = true
	if err := table.Write(columns); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	err := h.Replay(ctx, extents, func(audit.Extent) audit.Visitor { return &tableVisitor{table: table, product: product} })
	if err != nil {
		return err
	}
	table.Flush()
	if err := table.Error(); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	return nil
}

// tableVisitor writes a partition's decisions as rows.
type tableVisitor struct {
	table   *csv.Writer
	product sale.Product // empty: all
	row     []string
}

// Begin implements [audit.Visitor].
func (v *tableVisitor) Begin(*audit.Replay) error { return nil }

// Step implements [audit.Visitor].
func (v *tableVisitor) Step(r *audit.Replay, s audit.Step) error {
	for i := range s.Decisions {
		d := &s.Decisions[i]
		if v.product != "" && d.Kind != sale.OfStart && d.Request.Product != v.product && d.Result.Product != v.product {
			continue
		}
		v.row = tableRow(v.row[:0], r.Partition(), s.Record, d)
		if err := v.table.Write(v.row); err != nil {
			return fmt.Errorf("writing the export: %w", err)
		}
	}
	return nil
}

// End implements [audit.Visitor].
func (v *tableVisitor) End(*audit.Replay) error { return nil }

func tableRow(row []string, partition int32, record *sale.Record, d *sale.Decision) []string {
	name := func(offset sale.Offset) string {
		if offset < 0 {
			return ""
		}
		return ticket.PublicID(partition, int64(offset))
	}
	actor, why := operatorOf(record.Body)
	row = append(row, number(partition), number(d.Cause), number(d.Index), momentOf(d.Time), recordType(record.Body), actor, why)
	switch d.Kind {
	case sale.OfRequest:
		r := &d.Request
		row = append(row, "request", string(r.Product), name(r.Sale), name(r.Offset), string(r.State), string(r.Reason))
		if d.Default {
			return append(row, "true", number(r.Quantity), "", "", "", "", "", "", "")
		}
		return append(row, "", numberUnlessZero(r.Quantity), string(r.Buyer), momentOf(r.AcceptedAt), name(r.First), numberUnlessZero(r.HoldFor), r.Payment, "", "")
	case sale.OfCommand:
		c := &d.Result
		code := string(c.Code)
		if c.Code == sale.CodeDone {
			code = "done"
		}
		return append(row, "command", string(c.Product), name(c.Sale), name(c.Request), "", "", "", "", "", "", "", "", "", code, "")
	case sale.OfStart:
		return append(row, "start", "", "", "", "", "", "", "", "", "", "", "", "", "", number(d.Start.Below))
	}
	return row
}

func number[N ~int | ~int32 | ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }

func numberUnlessZero[N ~int64](n N) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// momentOf writes a time as RFC 3339; nothing for none.
func momentOf(t sale.Time) string {
	if t == 0 {
		return ""
	}
	return event.Instant(t).String()
}
