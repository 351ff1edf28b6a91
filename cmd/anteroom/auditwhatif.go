package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/internal/audit/whatif"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type auditWhatifCommand struct {
	Product *string `placeholder:"PRODUCT" help:"The product. Its latest sale is meant, unless --sale names another."`
	Sale    *string `placeholder:"ID" help:"The sale's id, as 0-1. It is found faster than by its product."`
	whatifFlags
	JSON bool `help:"Print JSON, for programs."`
	auditLog
}

// whatifFlags are the settings that a sale could have been created with.
type whatifFlags struct {
	Quantity              *int64       `placeholder:"UNITS" help:"Units on sale."`
	Policy                *sale.Policy `placeholder:"POLICY" help:"What happens to those after the last unit: waitlist, queue or reject."`
	WaitlistCapacity      *int64       `placeholder:"N" help:"Requests that may wait."`
	HoldSeconds           *int64       `placeholder:"N" help:"How long a hold lasts."`
	MaxHoldSeconds        *int64       `placeholder:"N" help:"How long a hold can be extended to, from its start."`
	PerBuyerLimit         *int64       `placeholder:"UNITS" help:"Units that one buyer may hold and buy."`
	MaxQuantityPerRequest *int64       `placeholder:"UNITS" help:"Units that one request may ask for, at most the per-buyer-limit."`
	AdmitPerSecond        *int64       `placeholder:"N" help:"Checkout windows that open in a second; 0: as fast as they come."`
	MaxActiveHolds        *int64       `placeholder:"N" help:"Requests that hold at the same time; 0: any number."`
	OpensAt               moment       `placeholder:"TIME" help:"When it opens; none: at once."`
	ClosesAt              moment       `placeholder:"TIME" help:"When it closes by itself; none: never."`
}

// change gives what is to be otherwise.
func (f *whatifFlags) change() sale.Change {
	at := func(m *moment) *sale.Time {
		switch of := m.time(time.Now()); {
		case !m.given:
			return nil
		case of.IsZero():
			return new(sale.Time)
		default:
			return new(sale.Time(of.UnixMilli()))
		}
	}
	return sale.Change{
		Quantity: f.Quantity, HoldSeconds: f.HoldSeconds, MaxHoldSeconds: f.MaxHoldSeconds,
		PerBuyerLimit: f.PerBuyerLimit, MaxQuantityPerRequest: f.MaxQuantityPerRequest,
		Policy: f.Policy, WaitlistCapacity: f.WaitlistCapacity,
		AdmitPerSecond: f.AdmitPerSecond, MaxActiveHolds: f.MaxActiveHolds,
		OpensAt: at(&f.OpensAt), ClosesAt: at(&f.ClosesAt),
	}
}

// Help is shown before the flags.
func (*auditWhatifCommand) Help() string {
	return "It needs the log alone, and a snapshot from before the sale will do. The sale's partition is replayed as it was and, beside it, with the sale created with these settings; those that are not given are as they were. Exit code 2: no sale can have these settings; 3: the log has no such product or sale.\n\nA TIME is in RFC 3339, as 2027-03-01T10:00:00Z, or none."
}

func (c *auditWhatifCommand) Run(ctx context.Context, t terminal) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	if c.Product == nil && c.Sale == nil {
		return fmt.Errorf("%w: which sale? Give --product or --sale", errMisuse)
	}
	if err := checkProduct(c.Product); err != nil {
		return err
	}
	var partition int32
	var id sale.Offset
	if c.Sale != nil {
		if partition, id, err = parseSale(*c.Sale); err != nil {
			return err
		}
	}
	change := c.change()
	if change == (sale.Change{}) {
		return fmt.Errorf("%w: no setting is given that is to be otherwise", errMisuse)
	}
	history, closeLog, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer closeLog()
	defer boundMemory()()
	if c.Sale == nil {
		if partition, id, err = whatif.LatestSale(ctx, history, sale.Product(*c.Product)); err != nil {
			return fmt.Errorf("looking for the sale: %w", err)
		}
	}
	compared, err := whatif.Compare(ctx, history, partition, id, change)
	switch {
	case errors.Is(err, sale.ErrInvalidSettings):
		return fmt.Errorf("%w: %w", errMisuse, err)
	case err != nil:
		return fmt.Errorf("replaying with other settings: %w", err)
	case c.Product != nil && sale.Product(*c.Product) != compared.Product:
		return fmt.Errorf("%w: sale %s is of product %s, not %s", errMisuse, *c.Sale, compared.Product, *c.Product)
	}
	if c.JSON {
		return printJSON(t, compared)
	}
	if _, err := fmt.Fprint(t.out, compared.Text()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
