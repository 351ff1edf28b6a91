package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/anteroomhq/anteroom/internal/ingress"
)

// remembered is a hint on its way.
type remembered struct {
	key  string
	hint ingress.Hint
	done func()
}

// setting is a command that stores a hint, and then another one: a crowd would
// have one made for each of its hints. It is for a client of one server; that of
// a cluster would remember the first key's place.
type setting struct {
	command *goredis.StatusCmd
	key     *string
	value   *encodedHint
}

// encodedHint is a command's argument.
type encodedHint []byte

// MarshalBinary implements what a command's argument is written by.
func (e *encodedHint) MarshalBinary() ([]byte, error) { return *e, nil }

func newSetting() setting {
	s := setting{key: new(string), value: new(encodedHint)}
	s.command = goredis.NewStatusCmd(context.Background(), "set", s.key, s.value, "ex", int64(hintLife/time.Second))
	return s
}

// Remember stores a request as its buyer's latest one. When Redis has failed
// just before, or too many hints wait, it does not: a hint is only a hint. It
// never waits. done, which may be nil, is called once in either case, possibly
// before Remember returns, and must not block.
func (g *Gate) Remember(ask ingress.Ask, hint ingress.Hint, done func()) {
	if done == nil {
		done = func() {}
	}
	if g.breaker.refusal() != nil || g.hints.push(remembered{key: key(ask), hint: hint, done: done}) != nil {
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
	commands := make([]goredis.Cmder, len(hints))
	for i := range hints {
		if i == len(g.settings) {
			g.settings = append(g.settings, newSetting())
		}
		s := &g.settings[i]
		*s.key, *s.value = hints[i].key, appendHint((*s.value)[:0], &hints[i].hint)
		commands[i] = s.command
	}
	pipeline := g.client.Pipeline()
	_ = pipeline.BatchProcess(ctx, commands...) // which only notes them
	_, err := pipeline.Exec(ctx)
	g.breaker.leave(err)
}
