package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/event"
)

// tolerance is what a call to a dead server may take on a busy machine. A call
// waits for one in flight and then for its own.
const tolerance = 4 * callTimeout

// hastyGate is a gate as it is in production.
func hastyGate(t *testing.T, address string) *Gate {
	t.Helper()
	gate := NewGate(GateConfig{Client: open(t, address)})
	run(t, gate)
	return gate
}

func TestRedisDies(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	goesAndComesBack(t, server.URL, outage{
		begin: server.Kill,
		end:   func() error { return server.Restart(t.Context()) },
	})
}

func TestRedisFreezes(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	goesAndComesBack(t, server.URL, outage{begin: server.Pause, end: server.Continue})
}

func TestRedisStopsEmbedded(t *testing.T) {
	t.Parallel()
	server, err := devstack.StartMiniRedis(devstack.MiniRedisConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	goesAndComesBack(t, server.URL, outage{
		begin: server.Stop,
		end:   func() error { return server.Restart(t.Context()) },
	})
}

func TestRedisIsNotThereAtTheStart(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	check(t, server.Stop())
	gate := hastyGate(t, server.URL)
	wantDown(t, gate)
	check(t, server.Restart(t.Context()))
	wantBack(t, gate)
}

type outage struct{ begin, end func() error }

func goesAndComesBack(t *testing.T, address string, outage outage) {
	t.Helper()
	gate := hastyGate(t, address)
	feed := NewFeed(open(t, address), ask("ann").Log, nil)
	trips := countRoundTrips(gate)
	wantBack(t, gate)
	eventually(t, "publishing works", func() bool { return feed.Publish(t.Context(), []byte("before")) == nil })

	check(t, outage.begin())
	wantDown(t, gate)
	began := time.Now()
	if err := feed.Publish(t.Context(), []byte("during")); err == nil {
		t.Error("published without a server")
	}
	if took := time.Since(began); took > tolerance {
		t.Errorf("publishing without a server took %v", took)
	}

	// Whoever comes now hears at once, and Redis is left alone, but for probes.
	const callers = 10_000
	before, refused := trips.Load(), 0
	for range callers {
		if _, err := answerOf(t.Context(), gate, ask("ann")); errors.Is(err, errDown) {
			refused++
		}
	}
	if asked := trips.Load() - before; refused == 0 || asked > callers/100 {
		t.Errorf("%d of %d callers were refused, and %d round trips tried", refused, callers, asked)
	}
	var done atomic.Int64
	for range 100 {
		gate.Remember(ask("ann"), ingress.Hint{Offset: 1}, func() { done.Add(1) })
	}
	eventually(t, "hints are given up", func() bool { return done.Load() == 100 })

	check(t, outage.end())
	wantBack(t, gate)
	eventually(t, "publishing works again", func() bool { return feed.Publish(t.Context(), []byte("after")) == nil })
}

// wantDown asks until the breaker refuses. No call may take long.
func wantDown(t *testing.T, gate *Gate) {
	t.Helper()
	eventually(t, "the gate is down", func() bool {
		began := time.Now()
		_, err := answerOf(t.Context(), gate, ask("during"))
		if took := time.Since(began); took > tolerance {
			t.Errorf("the answer %v took %v", err, took)
		}
		return errors.Is(err, errDown)
	})
}

func wantBack(t *testing.T, gate *Gate) {
	t.Helper()
	eventually(t, "the gate is back", func() bool {
		_, err := answerOf(t.Context(), gate, ask("after"))
		return err == nil
	})
	hint := ingress.Hint{Offset: 8, Quantity: 1, AcceptedAt: 1}
	eventually(t, "hints are stored again", func() bool {
		remember(t, gate, ask("back"), hint)
		got, err := answerOf(t.Context(), gate, ask("back"))
		return err == nil && got.Hint != nil && *got.Hint == hint
	})
}

// TestConnectionsAreCut has connections die beneath calls that are in flight.
func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		middle := startRelay(t, open(t, address).redis.Options().Addr)
		gate := hastyGate(t, "redis://"+middle.address)
		wantBack(t, gate)
		middle.silence()
		eventually(t, "the gate notices", func() bool {
			_, err := answerOf(t.Context(), gate, ask("bob"))
			return err != nil
		})
		wantBack(t, gate)
		middle.cut()
		wantBack(t, gate)
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		cause := errors.New("cause")
		enter := func(want bool) {
			t.Helper()
			refusal, err := b.refusal(), b.enter()
			if (err == nil) != want || (refusal == nil) != want {
				t.Fatalf("entering gave %v after the refusal %v, want let in = %v", err, refusal, want)
			}
			if err != nil && (!errors.Is(err, errDown) || !errors.Is(err, cause)) {
				t.Fatalf("the refusal %v does not say why", err)
			}
		}
		later := func(duration time.Duration) { <-time.After(duration) }

		enter(true)
		enter(true)
		b.leave(nil)
		b.leave(cause)
		enter(false)
		later(minRefusal - time.Millisecond)
		enter(false)
		later(extraRefusal + time.Millisecond)
		enter(true) // the probe
		enter(false)
		later(time.Hour)
		enter(false)
		b.abandon()
		enter(true) // the next probe
		b.leave(cause)
		enter(false)
		later(minRefusal + extraRefusal)
		enter(true)
		b.leave(nil)
		enter(true)
		enter(true)
	})
}

func TestAPublicationThatIsCancelledIsNoFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		feed := makeFeed(t, address, event.TopicID{1})
		expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
		defer cancel()
		if err := feed.Publish(expired, []byte("x")); err == nil {
			t.Error("published with an expired context")
		}
		publish(t, feed, "y")
	})
}
