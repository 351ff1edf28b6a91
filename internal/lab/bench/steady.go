package bench

import (
	"context"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/report"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// refused is the door after everything is gone.
func refused(of size) scenario {
	c := clicks{buyers: of.refused, connections: of.connections}
	return scenario{
		"reject", count(of.refused) + " clicks at a door that is shut",
		"The policy is reject and the one unit is held: everybody hears 409 sold_out, which costs no call of a backend.",
		[]arm{
			{"anteroom", "anteroom", func(ctx context.Context, t *trial) error {
				return c.atService(ctx, t, func(ctx context.Context, s Service) error {
					if err := open(ctx, s, client.NewSale{Quantity: 1, Policy: "reject"}); err != nil {
						return err
					}
					return sellOut(ctx, s, product)
				}, nil)
			}},
			echo(c, func(a *canned) rival.Canned { return a.refused }),
		},
	}
}

// polls is everybody asking where they stand.
func polls(of size) scenario {
	p := pollers{requests: of.polls, tickets: min(of.polls/10, 10_000), connections: of.connections}
	return scenario{
		"polls", count(of.polls) + " polls",
		"Tickets of decided requests are asked for again and again, as fast as it goes.",
		[]arm{
			{"anteroom", "anteroom", p.atService},
			{"bare_echo", "an echo handler that answers the same bytes", p.atEcho},
		},
	}
}

type pollers struct {
	requests, tickets, connections int
}

func (p pollers) atService(ctx context.Context, t *trial) error {
	s, err := t.service(ctx, ServiceConfig{})
	if err != nil {
		return err
	}
	if err := openLine(ctx, s, product); err != nil {
		return err
	}
	g, err := t.generator(ctx)
	if err != nil {
		return err
	}
	if err := p.collect(ctx, g, s.Address()); err != nil {
		return err
	}
	if _, err := drained(ctx, s, product); err != nil {
		return err
	}
	before, err := asked(ctx, s)
	if err != nil {
		return err
	}
	if err := p.poll(ctx, t, g, s.Address(), s.Processes()); err != nil {
		return err
	}
	after, err := asked(ctx, s)
	t.note("backend_calls_per_1000", (after-before)*1000/float64(p.requests))
	return err
}

// asked is how often an ingress has read from the ledger.
func asked(ctx context.Context, s Service) (float64, error) {
	asks, err := s.Metric(ctx, report.Ingress, "anteroom_board_asks_total")
	if err != nil {
		return 0, err
	}
	heals, err := s.Metric(ctx, report.Ingress, "anteroom_board_heals_total")
	return asks + heals, err
}

func (p pollers) atEcho(ctx context.Context, t *trial) error {
	r, err := t.rival(ctx, rival.Config{Kind: rival.BareEcho, Canned: map[string]rival.Canned{
		rival.BuyRoute: t.canned.accepted, rival.QueueRoute: t.canned.status,
	}}, 0)
	if err != nil {
		return err
	}
	g, err := t.generator(ctx)
	if err != nil {
		return err
	}
	if err := p.collect(ctx, g, r.Address()); err != nil {
		return err
	}
	return p.poll(ctx, t, g, r.Address(), r.Processes())
}

// collect gets tickets to poll with.
func (p pollers) collect(ctx context.Context, g *load.Driver, address string) error {
	phase := clicks{buyers: p.tickets, connections: p.connections}.phase(address)
	phase.Keep = p.tickets
	_, err := g.Run(ctx, phase, nil)
	return err
}

func (p pollers) poll(ctx context.Context, t *trial, g *load.Driver, address string, processes map[string]int) error {
	var seen load.Result
	err := t.measured(processes, g, func() (err error) {
		seen, err = g.Run(ctx, load.Phase{
			Do: load.Poll, Addresses: []string{address}, Connections: p.connections, Requests: p.requests,
		}, nil)
		return err
	})
	if err != nil {
		return err
	}
	t.noteClicks(&seen)
	if seen.Succeeded != seen.Answered {
		t.broken("%d of %d polls were refused", seen.Answered-seen.Succeeded, seen.Answered)
	}
	return nil
}

// confirmations is every winner paying.
func confirmations(of size) scenario {
	return scenario{
		"confirmations", count(of.holds) + " confirmations",
		"Shops confirm the holds of all winners; each is a record in the log, and its answer is its result.",
		[]arm{{"anteroom", "anteroom", func(ctx context.Context, t *trial) error {
			s, err := t.service(ctx, ServiceConfig{})
			if err != nil {
				return err
			}
			if err := open(ctx, s, client.NewSale{Quantity: int64(of.holds), Policy: "queue"}); err != nil {
				return err
			}
			g, err := t.generator(ctx)
			if err != nil {
				return err
			}
			phase := clicks{buyers: of.holds, connections: of.connections, follow: load.FollowLongPoll}.phase(s.Address())
			phase.Keep = of.holds
			if _, err := g.Run(ctx, phase, nil); err != nil {
				return err
			}
			var seen load.Result
			err = t.measured(s.Processes(), g, func() (err error) {
				seen, err = g.Run(ctx, load.Phase{
					Do: load.Confirm, Addresses: []string{s.Address()}, Connections: of.connections, MerchantToken: s.MerchantToken(),
				}, nil)
				return err
			})
			if err != nil {
				return err
			}
			t.noteClicks(&seen)
			if seen.Succeeded != of.holds {
				t.broken("%d of %d holds were confirmed", seen.Succeeded, of.holds)
			}
			return t.noteSale(ctx, s, product)
		}}},
	}
}

// manyProducts is a sale in every partition.
func manyProducts(of size) scenario {
	return scenario{
		"products", count(of.products) + " products at once, " + count(of.perProduct) + " buyers each",
		"Every product is in a partition of its own and has two units; every click is in the log.",
		[]arm{{"anteroom", "anteroom", func(ctx context.Context, t *trial) error {
			s, err := t.service(ctx, ServiceConfig{Partitions: int32(of.products)})
			if err != nil {
				return err
			}
			var names []string
			for i := range of.products {
				names = append(names, product+"-"+count(i))
				if err := openLine(ctx, s, names[i]); err != nil {
					return err
				}
			}
			g, err := t.generator(ctx)
			if err != nil {
				return err
			}
			phase := clicks{buyers: of.products * of.perProduct, connections: of.connections}.phase(s.Address())
			phase.Product, phase.Products = "", names
			var seen load.Result
			err = t.measured(s.Processes(), g, func() (err error) {
				if seen, err = g.Run(ctx, phase, nil); err != nil {
					return err
				}
				for _, name := range names {
					if _, err := drained(ctx, s, name); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			t.noteClicks(&seen)
			for _, name := range names {
				if err := endLine(ctx, s, name); err != nil {
					return err
				}
				if err := t.noteSale(ctx, s, sale.Product(name)); err != nil {
					return err
				}
			}
			return nil
		}}},
	}
}
