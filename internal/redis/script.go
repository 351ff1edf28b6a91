package redis

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

//go:embed gate.lua
var gateSource string

// group is calls for one product, which one script call may have together.
type group struct {
	calls []*call
	reply *goredis.Cmd
}

// byProduct makes groups of the calls, and keeps the order within each.
func byProduct(calls []*call) []*group {
	var groups []*group
	of := make(map[sale.Product]*group, 1)
	for _, call := range calls {
		found := of[call.product]
		if found == nil {
			found = &group{}
			of[call.product] = found
			groups = append(groups, found)
		}
		found.calls = append(found.calls, call)
	}
	return groups
}

// ask runs the script for each group, in one round trip unless the server does
// not have the script. It returns the first failure; each group has its own
// reply.
func (g *Gate) ask(ctx context.Context, groups []*group) error {
	err := g.evaluate(ctx, groups, g.script.EvalSha)
	var again []*group
	for _, group := range groups {
		if goredis.HasErrorPrefix(group.reply.Err(), "NOSCRIPT") {
			again = append(again, group)
		}
	}
	if len(again) == 0 {
		return err
	}
	return g.evaluate(ctx, again, g.script.Eval)
}

// evaluation is how a script is named to the server: by digest or by source.
type evaluation func(ctx context.Context, on goredis.Scripter, keys []string, arguments ...any) *goredis.Cmd

func (g *Gate) evaluate(ctx context.Context, groups []*group, evaluate evaluation) error {
	pipeline := g.client.Pipeline()
	for _, group := range groups {
		group.reply = evaluate(ctx, pipeline, group.keys(),
			buyInterval.Milliseconds(), hintLife.Milliseconds(), group.over())
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return fmt.Errorf("running the gate's script: %w", err)
	}
	return nil
}

// keys are the script's KEYS.
func (g *group) keys() []string {
	keys := make([]string, len(g.calls))
	for i, call := range g.calls {
		keys[i] = call.key
	}
	return keys
}

// over is the script's ARGV[3].
func (g *group) over() []byte {
	var over []byte
	for i, call := range g.calls {
		if !call.fresh {
			continue
		}
		if over == nil {
			over = make([]byte, len(g.calls))
		}
		over[i] = '1'
	}
	return over
}

// answer gives each call its part of the reply.
func (g *group) answer() {
	answers, err := g.reply.Slice()
	if err == nil && len(answers) != len(g.calls) {
		err = fmt.Errorf("the gate's script gave %d answers to %d buyers", len(answers), len(g.calls))
	}
	for i, call := range g.calls {
		if err != nil {
			call.answer(ingress.Admission{}, err)
			continue
		}
		call.answer(admission(answers[i]))
	}
}

// admission reads what the script returns for a key.
func admission(answer any) (ingress.Admission, error) {
	switch answer := answer.(type) {
	case int64:
		return ingress.Admission{RetryAfter: time.Duration(answer) * time.Millisecond}, nil
	case string:
		hint, err := decodeHint(answer)
		return ingress.Admission{Hint: hint}, err
	default:
		return ingress.Admission{}, fmt.Errorf("the gate's script gave a %T", answer)
	}
}
