package redis

import (
	"context"
	_ "embed"

	"github.com/anteroomhq/anteroom/internal/ingress"
)

//go:embed hint.lua
var hintSource string

// remembered is a hint on its way.
type remembered struct {
	of    saleID
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
	if g.breaker.refusal() != nil || g.hints.push(remembered{of: saleOf(ask), key: key(ask), value: encodeHint(hint), done: done}) != nil {
		done()
	}
}

// store writes hints with one round trip, and those of a sale in their order: by
// a script, which costs both sides less than a command for each of a crowd. A
// failure is told to the breaker alone: nobody can do anything about it.
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
	g.breaker.leave(evaluate(ctx, g.client, g.hint, hintsBySale(hints)))
}

// hintsBySale gives the script's calls: the keys of one sale are in one slot.
func hintsBySale(hints []remembered) []*invocation {
	var calls []*invocation
	of := make(map[saleID]*invocation, 1)
	var last *invocation // most hints are of the same sale
	for i := range hints {
		hint := &hints[i]
		if last == nil || hint.of != hints[i-1].of {
			last = of[hint.of]
			if last == nil {
				last = &invocation{arguments: []any{hintLife.Milliseconds()}}
				of[hint.of] = last
				calls = append(calls, last)
			}
		}
		last.keys = append(last.keys, hint.key)
		last.arguments = append(last.arguments, hint.value)
	}
	return calls
}
