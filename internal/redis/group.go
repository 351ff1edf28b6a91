package redis

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/internal/ingress"
)

//go:embed gate.lua
var gateSource string

// group is calls for one sale, which one script call has together.
type group struct {
	of    saleID
	calls []*call
	invocation
}

// bySale makes groups of the calls, and keeps the order within each.
func bySale(calls []call) []*group {
	var groups []*group
	of := make(map[saleID]*group, 1)
	var last *group // most calls are for the same sale
	for i := range calls {
		call := &calls[i]
		if last == nil || last.of != call.of {
			last = of[call.of]
			if last == nil {
				last = &group{of: call.of}
				of[call.of] = last
				groups = append(groups, last)
			}
		}
		last.calls = append(last.calls, call)
	}
	return groups
}

// ask runs the script for each group, in one round trip unless the server does
// not have the script. It returns the first failure; each group has its own
// reply.
func (g *Gate) ask(ctx context.Context, groups []*group) error {
	calls := make([]*invocation, len(groups))
	for i, group := range groups {
		group.prepare(g.leases, g.leaseLife)
		calls[i] = &group.invocation
	}
	return evaluate(ctx, g.client, g.script, calls)
}

// prepare sets the script's KEYS and ARGV, and names a lease for each call that
// needs a credit.
func (g *group) prepare(leases *leases, life time.Duration) {
	g.keys = make([]string, len(g.calls), len(g.calls)+1)
	credited := false
	for i, call := range g.calls {
		g.keys[i] = call.key
		credited = credited || call.units > 0
	}
	g.arguments = []any{buyInterval.Milliseconds(), hintLife.Milliseconds(), g.over()}
	if !credited {
		return
	}
	g.keys = append(g.keys, creditKey(g.of))
	g.arguments = append(g.arguments, life.Milliseconds())
	for _, call := range g.calls {
		if call.units > 0 {
			call.lease = leases.next(call.units)
		}
		g.arguments = append(g.arguments, call.lease)
	}
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
			call.fail(err)
			continue
		}
		admission, err := admission(answers[i], call.lease)
		if err != nil {
			call.fail(err)
			continue
		}
		call.asker.Admitted(admission, nil)
	}
}

// What the script answers to a buyer who is not let in for lack of a credit.
const (
	answerFull    = -1
	answerUnknown = -2
)

// admission reads what the script returns for a buyer. lease is what the buyer
// is let in with, or empty.
func admission(answer any, lease string) (ingress.Admission, error) {
	switch answer := answer.(type) {
	case int64:
		switch {
		case answer > 0:
			return ingress.Admission{RetryAfter: time.Duration(answer) * time.Millisecond}, nil
		case answer == 0:
			return ingress.Admission{Lease: lease}, nil
		case answer == answerFull:
			return ingress.Admission{Full: true}, nil
		case answer == answerUnknown:
			return ingress.Admission{Unknown: true}, nil
		default:
			return ingress.Admission{}, fmt.Errorf("the gate's script gave %d", answer)
		}
	case string:
		hint, err := decodeHint(answer)
		return ingress.Admission{Hint: hint}, err
	default:
		return ingress.Admission{}, fmt.Errorf("the gate's script gave a %T", answer)
	}
}
