package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// invocation is one call of a script.
type invocation struct {
	keys      []string
	arguments []any
	reply     *goredis.Cmd
}

// evaluate makes calls of a script in one round trip, in their order, and
// repeats those for which the server did not have the script in a second one.
// It returns the first failure; each call has its own reply.
func evaluate(ctx context.Context, client *goredis.Client, script *goredis.Script, calls []*invocation) error {
	err := send(ctx, client, calls, script.EvalSha)
	var again []*invocation
	for _, call := range calls {
		if goredis.HasErrorPrefix(call.reply.Err(), "NOSCRIPT") {
			again = append(again, call)
		}
	}
	if len(again) == 0 {
		return err
	}
	return send(ctx, client, again, script.Eval)
}

// evaluation is how a script is named to the server: by digest or by source.
type evaluation func(ctx context.Context, on goredis.Scripter, keys []string, arguments ...any) *goredis.Cmd

func send(ctx context.Context, client *goredis.Client, calls []*invocation, evaluate evaluation) error {
	pipeline := client.Pipeline()
	for _, call := range calls {
		call.reply = evaluate(ctx, pipeline, call.keys, call.arguments...)
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return fmt.Errorf("running a script: %w", err)
	}
	return nil
}
