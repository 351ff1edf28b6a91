package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/anteroomhq/anteroom/pkg/client"
)

// saleCommands are what operators do, through the API.
type saleCommands struct {
	Create saleCreateCommand `cmd:"" help:"Open a sale of a product."`
	List   saleListCommand   `cmd:"" help:"List all sales."`
	Show   saleShowCommand   `cmd:"" help:"Show a product's sale."`
}

// apiSettings say how to reach the API.
type apiSettings struct {
	URL           string `env:"ANTEROOM_URL" default:"http://127.0.0.1:8080" help:"Base URL of an ingress."`
	OperatorToken string `env:"ANTEROOM_OPERATOR_TOKEN" placeholder:"TOKEN" help:"Bearer token of operators."`
	JSON          bool   `help:"Print JSON, for programs."`
}

func (s apiSettings) client() (*client.Client, error) {
	c, err := client.New(client.Config{URL: s.URL, OperatorToken: s.OperatorToken})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMisuse, err)
	}
	return c, nil
}

type saleCreateCommand struct {
	apiSettings
	Product       string `arg:"" help:"1 to 64 of a-z 0-9 . _ -, starting with a letter or digit."`
	Quantity      int64  `required:"" help:"Units on sale."`
	HoldSeconds   int64  `default:"480" help:"How long a hold lasts."`
	PerBuyerLimit int64  `default:"1" help:"Units that one buyer may have."`
	MaxPerRequest int64  `default:"1" help:"Units that one request may ask for."`
	Partition     *int32 `help:"Bind the product to this partition, for ever. Default: the one with the fewest open sales."`
	Reason        string `help:"Why, for the log."`
}

func (c *saleCreateCommand) Run(ctx context.Context, t terminal) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	created, err := api.CreateSale(ctx, client.NewSale{
		Product: c.Product, Quantity: c.Quantity, HoldSeconds: c.HoldSeconds,
		PerBuyerLimit: c.PerBuyerLimit, MaxQuantityPerRequest: c.MaxPerRequest,
		Partition: c.Partition, Reason: c.Reason,
	})
	if err != nil {
		return fmt.Errorf("creating the sale: %w", err)
	}
	if c.JSON {
		return printJSON(t, created)
	}
	return printSales(t, created)
}

type saleListCommand struct {
	apiSettings
}

func (c *saleListCommand) Run(ctx context.Context, t terminal) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	sales, err := api.Sales(ctx)
	if err != nil {
		return fmt.Errorf("listing sales: %w", err)
	}
	if c.JSON {
		return printJSON(t, sales)
	}
	return printSales(t, sales...)
}

type saleShowCommand struct {
	apiSettings
	Product string `arg:"" help:"The product."`
}

func (c *saleShowCommand) Run(ctx context.Context, t terminal) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.Sale(ctx, c.Product)
	if err != nil {
		return fmt.Errorf("showing the sale: %w", err)
	}
	if c.JSON {
		return printJSON(t, found)
	}
	return printSales(t, found)
}

// printSales prints a table.
func printSales(t terminal, sales ...client.Sale) error {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PRODUCT\tSALE\tSTATE\tQUANTITY\tAVAILABLE\tHELD\tCONFIRMED\tREQUESTS\tLINE\tCREATED")
	for _, s := range sales {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
			s.Product, s.Sale, s.State, s.Quantity, s.Available, s.Held, s.Confirmed, s.Requests, s.Line, s.CreatedAt.UTC().Format(time.RFC3339))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// printJSON prints a value for programs.
func printJSON(t terminal, value any) error {
	if err := json.MarshalWrite(t.out, value, jsontext.WithIndent("  "), json.Deterministic(true)); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if _, err := fmt.Fprintln(t.out); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
