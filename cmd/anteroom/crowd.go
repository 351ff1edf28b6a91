package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/lab"
)

// crowdCommand is the load generator in a process of its own, so that its work
// is not mistaken for the service's. It writes one JSON object a line: progress
// as {"progress":…}, and at the end {"result":…}.
type crowdCommand struct {
	Addresses     []string      `required:"" help:"host:port of each ingress."`
	Product       string        `required:"" help:"What to buy."`
	Buyers        int           `required:"" help:"How many shoppers."`
	Connections   int           `default:"256" help:"Requests under way at once."`
	Waiting       int           `default:"100000" help:"Shoppers who may wait for their outcome at once."`
	Follow        int           `default:"10" help:"How many in 1000 follow by WebSocket."`
	Streams       int           `default:"500" help:"WebSockets open at once."`
	Name          string        `default:"crowd" help:"Tells this crowd's buyers from another's."`
	MerchantToken string        `env:"ANTEROOM_MERCHANT_TOKEN" help:"Lets winners confirm."`
	Patience      time.Duration `default:"10m" help:"How long a shopper waits for an outcome."`
}

// crowdLine is a line of crowdCommand's output.
type crowdLine struct {
	Progress *lab.Progress `json:"progress,omitempty"`
	Result   *lab.Result   `json:"result,omitempty"`
}

func (c *crowdCommand) Run(ctx context.Context, t terminal) error {
	spendMemory(fastGOGC)
	result, err := lab.Run(ctx, lab.Config{
		Addresses: c.Addresses, Product: c.Product, Buyers: c.Buyers, Connections: c.Connections,
		MaxWaiting: max(c.Waiting, c.Connections), Follow: c.Follow, MaxStreams: c.Streams, Crowd: c.Name,
		MerchantToken: c.MerchantToken, Patience: c.Patience,
	}, func(p lab.Progress) { _ = printLine(t, crowdLine{Progress: &p}) }) // a reader who left is noticed at the result
	if err != nil {
		return err
	}
	return printLine(t, crowdLine{Result: &result})
}

func printLine(t terminal, line crowdLine) error {
	encoded, err := json.Marshal(line, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	if _, err := fmt.Fprintf(t.out, "%s\n", encoded); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
