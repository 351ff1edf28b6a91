package main

import (
	"context"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/pkg/client"
)

type saleCreateCommand struct {
	Product  string `arg:"" help:"1 to 64 of a-z 0-9 . _ -, starting with a letter or digit."`
	Quantity int64  `required:"" placeholder:"UNITS" help:"Units on sale."`
	saleFlags
	Partition *int32 `placeholder:"N" help:"Bind the product to this partition, for ever. Default: the one with the fewest open sales."`
	whyFlags
	apiSettings
}

// Help is shown before the flags.
func (*saleCreateCommand) Help() string {
	return "It returns when the sale is made, and shows it. A product has one sale at a time: the code already_open says that the last one is not closed.\n\n" + timesHelp
}

func (c *saleCreateCommand) Run(ctx context.Context, t terminal) error {
	if err := c.check(&c.Quantity); err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	wanted := c.newSale(time.Now())
	wanted.Product, wanted.Quantity, wanted.Partition = c.Product, c.Quantity, c.Partition
	wanted.Actor, wanted.Reason = c.Actor, c.Reason
	created, err := api.CreateSale(ctx, wanted)
	if err != nil {
		return fmt.Errorf("creating the sale: %w", lookAgain(err, c.Product))
	}
	return c.printSale(t, &created)
}

type saleUpdateCommand struct {
	latestSale
	Version  *int64 `placeholder:"N" help:"Change the sale only if it still has this version, as show gives it. Default: the one that it has now."`
	Quantity *int64 `placeholder:"UNITS" help:"Units on sale, in all; no fewer than are confirmed, held and reserved."`
	saleFlags
	whyFlags
	apiSettings
}

// Help is shown before the flags.
func (*saleUpdateCommand) Help() string {
	return "Settings that are not given stay as they are. The sale is shown as it is then. The code stale_version says that somebody else has changed it since it had that version, quantity_in_use that more units are sold, held or reserved.\n\n" + timesHelp
}

func (c *saleUpdateCommand) Run(ctx context.Context, t terminal) error {
	if err := c.check(c.Quantity); err != nil {
		return err
	}
	if c.Version != nil && *c.Version < 1 {
		return fmt.Errorf("%w: --version must be at least 1", errMisuse)
	}
	change := c.change(time.Now())
	change.Quantity = c.Quantity
	if change == (client.SaleChange{}) {
		return fmt.Errorf("%w: no setting is given that is to be changed", errMisuse)
	}
	change.Actor, change.Reason = c.Actor, c.Reason
	api, err := c.client()
	if err != nil {
		return err
	}
	version := orZero(c.Version)
	if c.Version == nil {
		found, err := api.Sale(ctx, c.Product)
		if err != nil {
			return fmt.Errorf("reading the version of the sale: %w", err)
		}
		version = found.Version
	}
	updated, err := api.UpdateSale(ctx, c.Product, version, change)
	if err != nil {
		return fmt.Errorf("changing version %d of the sale: %w", version, lookAgain(err, c.Product))
	}
	return c.printSale(t, &updated)
}

// steerFlags are what pause, resume and close have in common.
type steerFlags struct {
	latestSale
	whyFlags
	apiSettings
}

type (
	salePauseCommand  struct{ steerFlags }
	saleResumeCommand struct{ steerFlags }
	saleCloseCommand  struct{ steerFlags }
)

// Help is shown before the flags.
func (*salePauseCommand) Help() string {
	return "Buys that are in the line before it are decided; later ones wait until the sale goes on. Holds stand still meanwhile and can be confirmed; closes-at does not stand still. A sale that is paused already is left as it is, which is a success."
}

func (c *salePauseCommand) Run(ctx context.Context, t terminal) error {
	return c.steer(ctx, t, "pausing", (*client.Client).Pause)
}

// Help is shown before the flags.
func (*saleResumeCommand) Help() string {
	return "Units that came back meanwhile go to those who wait for them, and then the buys that came meanwhile are decided in their order. A sale that is open is left as it is, which is a success."
}

func (c *saleResumeCommand) Run(ctx context.Context, t terminal) error {
	return c.steer(ctx, t, "resuming", (*client.Client).Resume)
}

// Help is shown before the flags.
func (*saleCloseCommand) Help() string {
	return "It asks nothing, and there is no way back; the product can be put on sale anew. Those who wait are told that it is sold out. Units that are held or reserved stay so, and can be paid for. A sale that is closed already is left as it is, which is a success."
}

func (c *saleCloseCommand) Run(ctx context.Context, t terminal) error {
	return c.steer(ctx, t, "closing", (*client.Client).Close)
}

func (c *steerFlags) steer(ctx context.Context, t terminal, doing string, do func(*client.Client, context.Context, string, client.Why) (client.Sale, error)) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	steered, err := do(api, ctx, c.Product, c.why())
	if err != nil {
		return fmt.Errorf("%s the sale: %w", doing, lookAgain(err, c.Product))
	}
	if c.JSON {
		return printJSON(t, &steered)
	}
	if _, err := fmt.Fprintln(t.out, inWords(&steered)); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
