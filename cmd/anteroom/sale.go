package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/anteroomhq/anteroom/pkg/client"
)

// saleCommands are what operators do, through the API.
type saleCommands struct {
	Create   saleCreateCommand   `cmd:"" help:"Open a sale of a product, or schedule one."`
	List     saleListCommand     `cmd:"" help:"List all sales, earlier ones of a product too."`
	Show     saleShowCommand     `cmd:"" help:"Show a product's latest sale."`
	Update   saleUpdateCommand   `cmd:"" help:"Change settings of a product's sale."`
	Pause    salePauseCommand    `cmd:"" help:"Stop a product's sale for a while."`
	Resume   saleResumeCommand   `cmd:"" help:"Let a paused sale go on."`
	Close    saleCloseCommand    `cmd:"" help:"End a product's sale for ever."`
	Requests saleRequestsCommand `cmd:"" help:"List the requests of a product's latest sale."`
	Watch    saleWatchCommand    `cmd:"" help:"Show a product's sale live, until ^C."`
}

// apiSettings say how to reach the API.
type apiSettings struct {
	URL           string `env:"ANTEROOM_URL" default:"http://127.0.0.1:8080" help:"Base URL of an ingress."`
	OperatorToken string `env:"ANTEROOM_OPERATOR_TOKEN" placeholder:"TOKEN" help:"Bearer token of operators."`
	JSON          bool   `help:"Print JSON, for programs, in the shapes of the API."`
}

func (s *apiSettings) client() (*client.Client, error) {
	c, err := client.New(client.Config{URL: s.URL, OperatorToken: s.OperatorToken})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMisuse, err)
	}
	return c, nil
}

// latestSale names what most commands act on.
type latestSale struct {
	Product string `arg:"" help:"The product. Its latest sale is meant."`
}

// lookAgain adds to the error of a command, of which nobody knows what became,
// how to find out.
func lookAgain(err error, product string) error {
	if errors.Is(err, client.ErrUnknown) || errors.Is(err, client.ErrUndecided) {
		return fmt.Errorf("%w; it may have been done: anteroom sale show %s", err, product)
	}
	return err
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
		if sales == nil {
			sales = []client.Sale{}
		}
		return printJSON(t, sales)
	}
	return printSales(t, sales)
}

type saleShowCommand struct {
	latestSale
	apiSettings
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
	return c.printSale(t, &found)
}

// printSale prints all of a sale.
func (s *apiSettings) printSale(t terminal, of *client.Sale) error {
	if s.JSON {
		return printJSON(t, of)
	}
	return printSettings(t, of)
}

// printJSON prints a value for programs.
func printJSON(t terminal, value any) error {
	return printJSONAs(t, value, jsontext.WithIndent("  "))
}

// printJSONLine prints one of many values for programs.
func printJSONLine(t terminal, value any) error {
	return printJSONAs(t, value, jsontext.Multiline(false))
}

func printJSONAs(t terminal, value any, layout json.Options) error {
	text, err := json.Marshal(value, layout, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if _, err := t.out.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
