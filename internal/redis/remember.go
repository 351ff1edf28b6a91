package redis

import (
	"context"

	"github.com/anteroomhq/anteroom/internal/ingress"
)

// remembered is a hint on its way.
type remembered struct {
	key   string
	value []byte
	done  func()
}

// Remember stores a request as its buyer's latest one. When Redis has failed
// just before, or too many hints wait, it does not: a hint is only a hint. It
// never waits. done, which may be nil, is called once in either case, possibly
// before Remember returns, and must not block.
func (g *Gate) Remember(ask ingress.Ask, hint ingress.Hint, done func()) {
	if done == nil {
		done = func() {}
	}
	if g.breaker.refusal() != nil || g.hints.push(remembered{key: key(ask), value: encodeHint(hint), done: done}) != nil {
		done()
	}
}

// store writes hints with one round trip, in their order. A failure is told to
// the breaker alone: nobody can do anything about it.
func (g *Gate) store(ctx context.Context, hints []remembered) {
	defer func() {
		for _, hint := range hints {
			hint.done()
		}
	}()
	if g.breaker.enter() != nil {
		return
	}
	// What is in hand is stored even when the gate is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	pipeline := g.client.Pipeline()
	for _, hint := range hints {
		pipeline.Set(ctx, hint.key, hint.value, hintLife)
	}
	_, err := pipeline.Exec(ctx)
	g.breaker.leave(err)
}
