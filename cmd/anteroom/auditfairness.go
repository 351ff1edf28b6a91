package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/anteroomhq/anteroom/internal/audit/fairness"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type auditFairnessCommand struct {
	Product *string `placeholder:"PRODUCT" help:"Only the sales of this product."`
	Sale    *string `placeholder:"ID" help:"Only the sale with this id."`
	JSON    bool    `xor:"form" help:"Print JSON, for programs."`
	HTML    *string `name:"html" xor:"form" placeholder:"FILE" help:"Write one page with charts, which loads nothing from elsewhere."`
	auditLog
}

// Help is shown before the flags.
func (*auditFairnessCommand) Help() string {
	return "It needs the log alone, and depends on nothing else: whoever has the same log gets the same report, to the byte. It needs all of the log: snapshots are not used. Exit code 1: a later request was preferred to an earlier one."
}

func (c *auditFairnessCommand) Run(ctx context.Context, t terminal) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	query, err := c.query()
	if err != nil {
		return err
	}
	history, closeLog, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer closeLog()
	report, err := fairness.Compute(ctx, history, query)
	if err != nil {
		return fmt.Errorf("reporting on fairness: %w", err)
	}
	return c.tell(t, report)
}

// tell shows the report, and is false where an order was not kept.
func (c *auditFairnessCommand) tell(t terminal, report *fairness.Report) error {
	if err := c.write(t, report); err != nil {
		return err
	}
	if report.Inversions > 0 {
		return errFalse
	}
	return nil
}

func (c *auditFairnessCommand) query() (fairness.Query, error) {
	query := fairness.Query{Product: sale.Product(orZero(c.Product))}
	if err := checkProduct(c.Product); err != nil {
		return query, err
	}
	if c.Sale != nil {
		partition, offset, err := parseSale(*c.Sale)
		if err != nil {
			return query, err
		}
		query.Sale = &fairness.Place{Partition: partition, Offset: offset}
	}
	return query, nil
}

func (c *auditFairnessCommand) write(t terminal, report *fairness.Report) error {
	switch {
	case c.JSON:
		return printJSON(t, report)
	case c.HTML == nil:
		return report.WriteText(t.out)
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil {
		return err
	}
	if err := os.WriteFile(*c.HTML, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	fmt.Fprintf(t.out, "%s: %s, %s.\n", *c.HTML, quantity(int64(len(report.Sales)), "sale"), quantity(report.Inversions, "inversion"))
	return nil
}
