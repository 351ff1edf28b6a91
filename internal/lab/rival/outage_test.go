package rival

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

func takesFromRedis(k Kind) bool { return k == RedisThenDB || k == RedisLuaThenDB }

func wantUnavailable(t testing.TB, h told) {
	t.Helper()
	if h.code != http.StatusServiceUnavailable || h.problem.Code != "unavailable" || h.retryAfter == "" {
		t.Errorf("heard %+v, want 503 and when to come back", h)
	}
}

// TestPostgresDies in the middle of a crowd, and comes back: clicks hear 503
// meanwhile, and in the end each unit is sold, once.
func TestPostgresDies(t *testing.T) {
	t.Parallel()
	const units = 200
	server, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	b := devstacktest.Embedded(t)
	var rivals []*Rival
	for _, kind := range Kinds() {
		if kind == BareEcho || kind.Oversells() {
			continue
		}
		config := on(b, kind, units)
		config.Pool, config.Product = 4, string(kind) // keys in Redis are by product
		if config.PostgresURL, err = devstack.CreateDatabase(t.Context(), server.URL, string(kind)); err != nil {
			t.Fatal(err)
		}
		rivals = append(rivals, made(t, config))
	}

	var crowd sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for _, r := range rivals {
		for of := range 4 {
			crowd.Go(func() {
				for i := 0; i < units/8 && ctx.Err() == nil; i++ {
					click(ctx, t, r, fmt.Sprintf("buyer-%d-%d", of, i))
				}
			})
		}
	}
	for _, r := range rivals {
		eventually(t, string(r.config.Kind)+" sells", func() bool {
			tally, err := r.Tally(t.Context())
			return err == nil && tally.Sold > 0
		})
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	stop()
	crowd.Wait()
	for _, r := range rivals {
		wantUnavailable(t, click(t.Context(), t, r, "in-vain"))
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range rivals {
		next := 0
		eventually(t, string(r.config.Kind)+" sells the rest", func() bool {
			for ; ; next++ {
				switch h := click(t.Context(), t, r, fmt.Sprintf("buyer-%d", next)); h.code {
				case http.StatusGone:
					tally, err := r.Tally(t.Context())
					return err == nil && tally.Unsold == 0 // a hold in doubt is written soon
				case http.StatusServiceUnavailable: // a connection from before
					return false
				}
			}
		})
		wantTally(t, r, Tally{Sold: units})
	}
}

// TestNoConnection: a unit that was taken from Redis is put back where it is
// certain that no hold was written.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	eachCorrect(t, all, func(t *testing.T, b devstacktest.Backends, kind Kind) {
		config := on(b, kind, 1)
		config.Pool = 1
		r := made(t, config)
		release := occupy(t, r)
		r.database.patience = 20 * time.Millisecond
		wantUnavailable(t, click(t.Context(), t, r, "ann"))
		if kind.UsesRedis() && left(t, r) != 1 {
			t.Errorf("%d left in redis, want 1", left(t, r))
		}
		release()
		r.database.patience = defaultPatience
		if h := click(t.Context(), t, r, "bob"); h.code != http.StatusAccepted {
			t.Errorf("the next one heard %+v", h)
		}
		wantTally(t, r, Tally{Sold: 1})
	})
}

// occupy takes the only connection.
func occupy(t *testing.T, r *Rival) (release func()) {
	t.Helper()
	connection, err := r.database.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	released := sync.OnceFunc(connection.Release)
	t.Cleanup(released)
	return released
}

// TestLockedIsNotSoldOut: whoever cannot find out whether a unit is left is not
// told that none is. Another session holds what is needed to tell, and gives it
// back untouched.
func TestLockedIsNotSoldOut(t *testing.T) {
	t.Parallel()
	inDatabase := func(k Kind) bool { return !k.UsesRedis() }
	eachCorrect(t, inDatabase, func(t *testing.T, b devstacktest.Backends, kind Kind) {
		r := made(t, on(b, kind, 1))
		row := "SELECT FROM rival_stock FOR UPDATE"
		if kind == SkipLocked {
			row = "SELECT FROM rival_holds WHERE buyer IS NULL FOR UPDATE"
		}
		release := devstacktest.Hold(t, b.PostgresURL, row)
		r.database.patience = 100 * time.Millisecond
		wantUnavailable(t, click(t.Context(), t, r, "ann"))
		release()
		r.database.patience = defaultPatience
		eventually(t, "the unit is sold", func() bool {
			// The statement that nobody waits for any more may have taken it for ann.
			h := click(t.Context(), t, r, "ann")
			return h.code == http.StatusAccepted || h.code == http.StatusOK
		})
		wantTally(t, r, Tally{Sold: 1})
	})
}

// TestInDoubt: where a hold was sent to Postgres and no answer came, the unit is
// neither lost nor sold to somebody else.
func TestInDoubt(t *testing.T) {
	t.Parallel()
	eachCorrect(t, takesFromRedis, func(t *testing.T, b devstacktest.Backends, kind Kind) {
		r := made(t, on(b, kind, 2))
		release := devstacktest.Hold(t, b.PostgresURL, "LOCK TABLE rival_holds IN ACCESS EXCLUSIVE MODE")
		r.database.patience = 100 * time.Millisecond
		wantUnavailable(t, click(t.Context(), t, r, "ann"))
		if n := left(t, r); n != 1 {
			t.Errorf("%d left in redis, want 1", n)
		}
		release()
		eventually(t, "the hold is written", func() bool {
			tally, err := r.Tally(t.Context())
			return err == nil && tally.Sold == 1
		})
		eventually(t, "the buyer is shown it", func() bool { return click(t.Context(), t, r, "ann").code == http.StatusOK })
		eventually(t, "one unit is left", func() bool { return left(t, r) == 1 })
		wantTally(t, r, Tally{Sold: 1, Unsold: 1})
	})
}

// TestWaitsForUnitsThatMayComeBack: bob finds nothing left while ann's click is
// between Redis and Postgres; ann leaves, and bob gets the unit.
func TestWaitsForUnitsThatMayComeBack(t *testing.T) {
	t.Parallel()
	eachCorrect(t, takesFromRedis, func(t *testing.T, b devstacktest.Backends, kind Kind) {
		config := on(b, kind, 1)
		config.Pool = 1
		r := made(t, config)
		release := occupy(t, r)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		ann, bob := make(chan told, 1), make(chan told, 1)
		go func() { ann <- click(ctx, t, r, "ann") }()
		eventually(t, "ann has the unit", func() bool { return left(t, r) == 0 })
		go func() { bob <- click(t.Context(), t, r, "bob") }()
		eventually(t, "bob waits", func() bool { return flightsOf(r).awaited() || len(bob) > 0 })
		leave()
		wantUnavailable(t, <-ann)
		release()
		if h := <-bob; h.code != http.StatusAccepted {
			t.Errorf("bob heard %+v", h)
		}
		wantTally(t, r, Tally{Sold: 1})
	})
}

func flightsOf(r *Rival) *flights {
	switch s := r.seller.(type) {
	case *redisThenDB:
		return &s.flights
	case *redisLuaThenDB:
		return &s.flights
	}
	return nil
}

func (f *flights) awaited() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed != nil
}

// TestRedisIsGone: without Redis nobody knows what is left.
func TestRedisIsGone(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		if !kind.UsesRedis() {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server, err := devstack.StartMiniRedis(devstack.MiniRedisConfig{})
			if err != nil {
				t.Fatal(err)
			}
			config := on(devstacktest.Embedded(t), kind, 1)
			config.RedisURL = server.URL
			r := made(t, config)
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			wantUnavailable(t, click(t.Context(), t, r, "ann"))
			wantTally(t, r, Tally{Unsold: 1})
		})
	}
}

func TestNewFailsWithoutBackends(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	for name, config := range map[string]Config{
		"postgres": {Kind: Conditional, PostgresURL: "postgres://postgres@127.0.0.1:1/x?sslmode=disable", Product: product, Units: 1},
		"redis":    {Kind: RedisThenDB, PostgresURL: b.PostgresURL, RedisURL: "redis://127.0.0.1:1/0", Product: product, Units: 1},
	} {
		if _, err := New(t.Context(), config); err == nil || !strings.Contains(err.Error(), name) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
