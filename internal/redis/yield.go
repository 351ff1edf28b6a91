package redis

import (
	"context"

	"github.com/anteroomhq/anteroom/internal/ingress"
)

// yielded is a lease on its way back.
type yielded struct {
	of    saleID
	lease string
}

// Yield hands a lease back whose request is certainly not in the log, so that
// its units are free at once. When Redis has failed just before, or too many
// leases wait, it does not: a lease ends by itself. It never waits.
func (g *Gate) Yield(ask ingress.Ask, lease string) {
	if lease == "" || g.breaker.refusal() != nil {
		return
	}
	_ = g.yields.push(yielded{of: saleOf(ask), lease: lease}) // see above
}

// end ends leases with one round trip, two if the server does not have the
// script. A failure is told to the breaker alone: nobody can do anything about
// it.
func (g *Gate) end(ctx context.Context, yields []yielded) {
	if g.breaker.enter() != nil {
		return
	}
	// What is in hand is ended even when the gate is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	var invocations []*invocation
	of := make(map[saleID]*invocation, 1)
	for _, yield := range yields {
		found := of[yield.of]
		if found == nil {
			found = &invocation{keys: []string{creditKey(yield.of)}, arguments: []any{"", "", ""}}
			of[yield.of] = found
			invocations = append(invocations, found)
		}
		found.arguments = append(found.arguments, yield.lease)
	}
	g.breaker.leave(evaluate(ctx, g.client, g.credit, invocations))
}
