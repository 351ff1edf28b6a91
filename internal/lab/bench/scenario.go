package bench

import (
	"context"

	"github.com/anteroomhq/anteroom/internal/lab/rival"
)

// scenario is one load with the arms that are put under it in turn.
type scenario struct {
	name, title string
	about       string
	arms        []arm
}

// arm is one way to answer.
type arm struct {
	name, title string
	run         func(context.Context, *trial) error
}

// as gives an arm another name.
func (a arm) as(name, title string) arm { return arm{name, title, a.run} }

// scenarios are all that there are, for a size.
func scenarios(of size) []scenario {
	return []scenario{
		million(of), burst(of), contended(of), slowDisk(of), winners(of), refused(of), polls(of),
		curve(of), drain(of), manyProducts(of), confirmations(of), streams(of), waiting(of),
	}
}

// Names gives the names of all scenarios.
func Names() []string {
	var names []string
	for _, s := range scenarios(quickSize) {
		names = append(names, s.name)
	}
	return names
}

// echo is the arm that answers the same bytes and does nothing else.
func echo(c clicks, answer func(*canned) rival.Canned) arm {
	return arm{"bare_echo", "an echo handler that answers the same bytes", echoing(c, rival.Config{}, answer)}
}

// echoAsAnteroom is the same behind anteroom's HTTP server.
func echoAsAnteroom(c clicks, answer func(*canned) rival.Canned) arm {
	return arm{"bare_echo" + asAnteroom, "the same handler behind anteroom's HTTP server", echoing(c, rival.Config{AsAnteroom: true}, answer)}
}

// asAnteroom ends the names of rivals that anteroom's HTTP server serves: what
// is left of a ratio against them is not the server's.
const asAnteroom = "_on_our_server"

func echoing(c clicks, config rival.Config, answer func(*canned) rival.Canned) func(context.Context, *trial) error {
	config.Kind = rival.BareEcho
	return func(ctx context.Context, t *trial) error {
		config := config
		config.Canned = map[string]rival.Canned{rival.BuyRoute: answer(t.canned)}
		return c.atRival(ctx, t, config)
	}
}

// against is the arm of a rival.
func against(c clicks, kind rival.Kind) arm {
	return arm{string(kind), rivals[kind], func(ctx context.Context, t *trial) error {
		return c.atRival(ctx, t, rival.Config{Kind: kind, Units: c.units})
	}}
}

// againstAsAnteroom is the same behind anteroom's HTTP server.
func againstAsAnteroom(c clicks, kind rival.Kind) arm {
	return arm{string(kind) + asAnteroom, rivals[kind] + ", behind anteroom's HTTP server", func(ctx context.Context, t *trial) error {
		return c.atRival(ctx, t, rival.Config{Kind: kind, Units: c.units, AsAnteroom: true})
	}}
}

// rivals are what people read of each.
var rivals = map[rival.Kind]string{
	rival.Naive:          "read, then write what was read less one (wrong)",
	rival.CacheCheck:     "a check of a cached count alone (wrong)",
	rival.Optimistic:     "a version and another try",
	rival.ForUpdate:      "SELECT … FOR UPDATE",
	rival.Conditional:    "one conditional UPDATE",
	rival.SkipLocked:     "a row for each unit, SKIP LOCKED",
	rival.RedisThenDB:    "Redis DECR, then Postgres",
	rival.RedisLuaThenDB: "a Redis script, then Postgres",
}
