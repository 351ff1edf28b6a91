package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// requestCheck compares the rows of requests while they are decided, without
// keeping them. A row is what its request's last decision left, so the rows in
// the order of their causes are met by the replay in its own order. A decision
// without its row is one that a later one follows; which it is shows then, or at
// the end. So what is kept is the requests that are not in a final state.
type requestCheck struct {
	partition int32
	findings  *findings
	rows      pages[sale.Request]
	later     map[sale.Offset]sale.Offset // requests whose row is of a later cause than this
	decided   []sale.Request              // by the present record, each request once
	found     []sale.Request              // its rows
}

func (c *requestCheck) name(request sale.Offset) string {
	return ticket.PublicID(c.partition, int64(request))
}

// step compares what one record decided with the rows that it is the cause of.
func (c *requestCheck) step(ctx context.Context, s audit.Step) error {
	c.decided = c.decided[:0]
	for i := range s.Decisions {
		if d := &s.Decisions[i]; d.Kind == sale.OfRequest && !d.Default {
			c.decided = append(c.decided, d.Request)
		}
	}
	if len(c.decided) > 1 {
		c.decided = latest(c.decided)
	}
	return c.compare(ctx, s.Record.Offset)
}

// latest sorts rows by request and leaves the last one of each.
func latest(rows []sale.Request) []sale.Request {
	slices.SortStableFunc(rows, func(a, b sale.Request) int { return cmp.Compare(a.Offset, b.Offset) })
	kept := rows[:0]
	for i := range rows {
		if i+1 == len(rows) || rows[i+1].Offset != rows[i].Offset {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// kept compares a row that a snapshot kept.
func (c *requestCheck) kept(ctx context.Context, row sale.Request) error {
	if err := c.strayed(ctx, row.Cause); err != nil {
		return err
	}
	head, err := c.rows.head(ctx)
	if err != nil {
		return fmt.Errorf("reading the ledger's requests: %w", err)
	}
	for head != nil && head.Cause == row.Cause && head.Offset < row.Offset {
		c.findings.row(head.Cause, OfRequest, c.name(head.Offset), nothing, describe(head))
		c.rows.take()
		if head, err = c.rows.head(ctx); err != nil {
			return fmt.Errorf("reading the ledger's requests: %w", err)
		}
	}
	if head == nil || head.Cause != row.Cause || head.Offset != row.Offset {
		c.missing(&row)
		return nil
	}
	c.same(&row, head)
	c.rows.take()
	return nil
}

// strayed notes the rows whose cause lies before one, and decided nothing of
// them.
func (c *requestCheck) strayed(ctx context.Context, cause sale.Offset) error {
	for {
		head, err := c.rows.head(ctx)
		if err != nil {
			return fmt.Errorf("reading the ledger's requests: %w", err)
		}
		if head == nil || head.Cause >= cause {
			return nil
		}
		c.findings.row(head.Cause, OfRequest, c.name(head.Offset), nothing, describe(head))
		c.rows.take()
	}
}

func (c *requestCheck) compare(ctx context.Context, cause sale.Offset) error {
	if err := c.strayed(ctx, cause); err != nil {
		return err
	}
	c.found = c.found[:0]
	for {
		head, err := c.rows.head(ctx)
		if err != nil {
			return fmt.Errorf("reading the ledger's requests: %w", err)
		}
		if head == nil || head.Cause != cause {
			break
		}
		c.found = append(c.found, *head)
		c.rows.take()
	}
	found := c.found
	for i := range c.decided {
		want := &c.decided[i]
		for len(found) > 0 && found[0].Offset < want.Offset {
			c.findings.row(cause, OfRequest, c.name(found[0].Offset), nothing, describe(&found[0]))
			found = found[1:]
		}
		if len(found) == 0 || found[0].Offset != want.Offset {
			c.missing(want)
			continue
		}
		c.same(want, &found[0])
		found = found[1:]
	}
	for i := range found {
		c.findings.row(cause, OfRequest, c.name(found[i].Offset), nothing, describe(&found[i]))
	}
	return nil
}

// missing takes note of a decision without its row.
func (c *requestCheck) missing(want *sale.Request) {
	if want.State.Final() {
		delete(c.later, want.Offset)
		c.findings.row(want.Cause, OfRequest, c.name(want.Offset), describe(want), "no such row")
		return
	}
	c.later[want.Offset] = want.Cause
}

func (c *requestCheck) same(want, got *sale.Request) {
	delete(c.later, want.Offset)
	if *want != *got {
		expected, found := differing(*want, *got)
		c.findings.row(want.Cause, OfRequest, c.name(want.Offset), expected, found)
	}
}

// end notes the rows that are left, and those that never came.
func (c *requestCheck) end(ctx context.Context) error {
	for {
		head, err := c.rows.head(ctx)
		if err != nil {
			return fmt.Errorf("reading the ledger's requests: %w", err)
		}
		if head == nil {
			break
		}
		c.findings.row(head.Cause, OfRequest, c.name(head.Offset), nothing, describe(head))
		c.rows.take()
	}
	for _, request := range slices.Sorted(maps.Keys(c.later)) {
		c.findings.row(c.later[request], OfRequest, c.name(request), "the row that this record left", "no such row")
	}
	return nil
}

func describe(r *sale.Request) string {
	text := fmt.Sprintf("%s of cause %d", r.State, r.Cause)
	if r.Reason != "" {
		text = fmt.Sprintf("%s (%s) of cause %d", r.State, r.Reason, r.Cause)
	}
	return text
}

// resultCheck compares the rows of commands' results.
type resultCheck struct {
	partition int32
	findings  *findings
	rows      pages[sale.Result]
}

func (c *resultCheck) check(ctx context.Context, want *sale.Result) error {
	name := ticket.PublicID(c.partition, int64(want.Command))
	for {
		head, err := c.rows.head(ctx)
		if err != nil {
			return fmt.Errorf("reading the ledger's results: %w", err)
		}
		if head == nil || head.Command > want.Command {
			c.findings.row(want.Command, OfResult, name, fmt.Sprintf("%+v", *want), "no such row")
			return nil
		}
		if head.Command == want.Command {
			if *head != *want {
				expected, found := differing(*want, *head)
				c.findings.row(want.Command, OfResult, name, expected, found)
			}
			c.rows.take()
			return nil
		}
		c.extra(head)
		c.rows.take()
	}
}

func (c *resultCheck) extra(row *sale.Result) {
	c.findings.row(row.Command, OfResult, ticket.PublicID(c.partition, int64(row.Command)), nothing, fmt.Sprintf("%+v", *row))
}

func (c *resultCheck) end(ctx context.Context) error {
	for {
		head, err := c.rows.head(ctx)
		if err != nil {
			return fmt.Errorf("reading the ledger's results: %w", err)
		}
		if head == nil {
			return nil
		}
		c.extra(head)
		c.rows.take()
	}
}
