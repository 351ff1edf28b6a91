package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// openLine opens a sale of two units and brings it into the one state in which
// nothing is left for a crowd and the door cannot know: one unit is held, the
// other is kept for somebody who waits for two, and nobody else can wait. Every
// click is then appended to the log, and decided there as sold out. That is the
// most that losers can cost; a sale of two units in its usual state refuses
// most of the crowd at the door.
func openLine(ctx context.Context, s Service, of string) error {
	one := int64(1)
	err := open(ctx, s, client.NewSale{
		Product: of, Quantity: 2, PerBuyerLimit: 2, MaxQuantityPerRequest: 2, Policy: "waitlist", WaitlistCapacity: &one,
	})
	if err != nil {
		return err
	}
	for _, first := range []struct {
		buyer    string
		quantity int64
		state    sale.State
	}{{"first", 1, sale.Held}, {"second", 2, sale.Waitlisted}} {
		if err := buy(ctx, s, of, first.buyer, first.quantity, first.state); err != nil {
			return err
		}
	}
	return nil
}

// endLine gives the held unit back, so that who waits for two gets them.
func endLine(ctx context.Context, s Service, of string) error {
	held, err := s.Operator().Requests(ctx, of, client.RequestQuery{State: sale.Held, Limit: 1})
	if err != nil || len(held.Requests) != 1 {
		return fmt.Errorf("looking for the held unit: %d found: %w", len(held.Requests), err)
	}
	merchant, err := client.New(client.Config{URL: "http://" + s.Address(), MerchantToken: s.MerchantToken()})
	if err != nil {
		return err
	}
	if _, err := merchant.Release(ctx, held.Requests[0].ID); err != nil {
		return fmt.Errorf("giving the held unit back: %w", err)
	}
	return nil
}

// sellOut has one buyer take the one unit, and waits until the door knows.
func sellOut(ctx context.Context, s Service, of string) error {
	if err := buy(ctx, s, of, "winner", 1, sale.Held); err != nil {
		return err
	}
	again := time.NewTicker(lineInterval)
	defer again.Stop()
	for {
		public, err := s.Operator().Product(ctx, of)
		if err != nil {
			return fmt.Errorf("waiting for the sale to be sold out: %w", err)
		}
		if public.Available == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func buy(ctx context.Context, s Service, of, buyer string, quantity int64, want sale.State) error {
	status, err := s.Operator().Buy(ctx, of, client.BuyOptions{Buyer: buyer, Quantity: quantity})
	if err == nil {
		status, err = s.Operator().WaitFor(ctx, status.Ticket, client.Status.Decided)
	}
	switch {
	case err != nil:
		return fmt.Errorf("buying %d of %s: %w", quantity, of, err)
	case status.State != want:
		return fmt.Errorf("buying %d of %s: %s, want %s", quantity, of, status.State, want)
	}
	return nil
}
