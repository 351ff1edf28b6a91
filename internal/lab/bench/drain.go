package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// drain is an allocator that comes back to a log full of buys.
func drain(of size) scenario {
	return scenario{
		"drain", "a backlog in one partition is decided",
		"The log has the buys before the allocator starts. The rate is from the first batch that is committed to the last.",
		[]arm{
			{"losers", count(of.backlog) + " buys, two units", backlog{of.backlog, 2}.run},
			{"half_win", count(of.backlogRows) + " buys, half of them win", backlog{of.backlogRows, int64(of.backlogRows / 2)}.run},
		},
	}
}

type backlog struct {
	buyers int
	units  int64
}

func (b backlog) run(ctx context.Context, t *trial) error {
	s, err := t.service(ctx, ServiceConfig{Idle: true})
	if err != nil {
		return err
	}
	if err := s.Append(ctx, 0, product, b.records); err != nil {
		return err
	}
	end := sale.Offset(b.buyers + 2) // behind the schema and the sale
	var rate float64
	// The processes that it began with, and the allocator.
	decided := make(map[string]int)
	err = t.measured(decided, nil, func() error {
		if err := s.Decide(ctx); err != nil {
			return err
		}
		rate, err = b.watch(ctx, s, end)
		return err
	})
	if err != nil {
		return err
	}
	t.note("decisions_per_second", rate)
	return t.noteSale(ctx, s, product)
}

// records are the sale and its buys.
func (b backlog) records(yield func(sale.Body) bool) {
	now := sale.Time(time.Now().UnixMilli())
	created := yield(sale.Create{
		Rules: sale.NewestRules, BuyerKey: "dev1", Actor: "bench", Reason: "measuring", Later: true,
		Settings: sale.Settings{
			Quantity: b.units, HoldSeconds: 7200, MaxHoldSeconds: 7200, PerBuyerLimit: 1, MaxQuantityPerRequest: 1,
			Policy: sale.PolicyQueue,
		},
	})
	for i := 0; created && i < b.buyers; i++ {
		if !yield(sale.Buy{Sale: 1, Buyer: sale.Buyer(fmt.Sprintf("dev1.%040x", i)), Quantity: 1, AcceptedAt: now}) {
			return
		}
	}
}

// watch gives the decisions per second from the first batch to the last.
func (b backlog) watch(ctx context.Context, s Service, end sale.Offset) (float64, error) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	var first sale.Offset
	var began time.Time
	for {
		at, err := s.Watermark(ctx, 0)
		now := time.Now()
		switch {
		case err != nil:
			return 0, fmt.Errorf("watching the backlog: %w", err)
		case at >= end && began.IsZero():
			return 0, fmt.Errorf("the backlog of %d was decided at once: it is too small to be measured", b.buyers)
		case at >= end:
			return float64(at-first) / now.Sub(began).Seconds(), nil
		case began.IsZero() && at > 2:
			first, began = at, now
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
