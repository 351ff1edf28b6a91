package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var _ ingress.Gate = (*Gate)(nil)

func TestABuyerIsLetInOncePerSecond(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		began := time.Now()
		wantLet(t, gate, ask("ann"))
		wantLimited(t, gate, ask("ann"))
		wantLimited(t, gate, fresh(ask("ann")))
		wantLet(t, gate, ask("bob"))
		last := buyInterval
		eventually(t, "ann is let in again", func() bool {
			got := admit(t, gate, ask("ann"))
			if got.RetryAfter > last {
				t.Errorf("the wait rose from %v to %v", last, got.RetryAfter)
			}
			last = got.RetryAfter
			return let(got)
		})
		if passed := time.Since(began); passed < buyInterval {
			t.Errorf("let in twice within %v", passed)
		}
		wantLimited(t, gate, ask("ann"))
	})
}

func TestConcurrentClicksOfOneBuyer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gates := []*Gate{runGate(t, address), runGate(t, address)} // two ingresses
		var in atomic.Int64
		var clicks sync.WaitGroup
		for i := range 100 {
			clicks.Go(func() {
				got, err := answerOf(t.Context(), gates[i%2], ask("ann"))
				switch {
				case err != nil:
					t.Error(err)
				case let(got):
					in.Add(1)
				}
			})
		}
		clicks.Wait()
		if in.Load() != 1 {
			t.Errorf("%d of 100 clicks were let in", in.Load())
		}
	})
}

func TestAHintIsGivenAndDoesNotCount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		first := ingress.Hint{Offset: 41, Quantity: 2, AcceptedAt: 1_790_000_000_000}
		later := ingress.Hint{Offset: 42, Quantity: 1, AcceptedAt: 1_790_000_000_001}

		wantLet(t, gate, ask("ann"))
		remember(t, gate, ask("ann"), first)
		wantHint(t, gate, ask("ann"), first)
		wantHint(t, gate, ask("ann"), first)
		remember(t, gate, ask("ann"), later)
		wantHint(t, gate, ask("ann"), later)

		// The limit still holds beneath the hint, and nothing of this prolongs it.
		wantLimited(t, gate, fresh(ask("ann")))
		eventually(t, "ann is let in again", func() bool {
			wantHint(t, gate, ask("ann"), later)
			return let(admit(t, gate, fresh(ask("ann"))))
		})

		// The hint was over; it is forgotten.
		wantLimited(t, gate, ask("ann"))
		wantLimited(t, gate, fresh(ask("ann")))

		remember(t, gate, ask("bob"), first) // never limited: from elsewhere
		wantHint(t, gate, ask("bob"), first)
	})
}

func TestWhatAnAskNamesIsIsolated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		otherLog, otherProduct, otherSale := ask("ann"), ask("ann"), ask("ann")
		otherLog.Log = event.TopicID{9}
		otherProduct.Product = "ticket"
		otherSale.Sale++
		hint := ingress.Hint{Offset: 1, Quantity: 1, AcceptedAt: 1}
		wantLet(t, gate, ask("ann"))
		remember(t, gate, ask("ann"), hint)
		for _, other := range []ingress.Ask{otherLog, otherProduct, otherSale, ask("bob")} {
			wantLet(t, gate, other)
			wantLimited(t, gate, other)
		}
		wantHint(t, gate, ask("ann"), hint)
	})
}

// TestWhatWaitsIsSentTogether fills the queue before the gate runs, so that the
// number of calls is certain.
func TestWhatWaitsIsSentTogether(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		const buyers = 2*maxBatch + 100
		var mu sync.Mutex
		var sizes []int
		gate := makeGate(t, address)
		gate.observe = func(took time.Duration, buyers int) {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, buyers)
			if took <= 0 {
				t.Errorf("a call took %v", took)
			}
		}
		asks := make([]ingress.Ask, buyers)
		hints := make([]ingress.Hint, buyers)
		var stored sync.WaitGroup
		for i := range asks {
			asks[i] = ask(fmt.Sprintf("buyer-%d", i))
			asks[i].Product = sale.Product(fmt.Sprintf("product-%d", i%3))
			hints[i] = ingress.Hint{Offset: sale.Offset(i), Quantity: int64(i) << 20, AcceptedAt: sale.Time(i) << 40}
			if i%2 == 0 {
				stored.Add(1)
				gate.Remember(asks[i], hints[i], stored.Done)
			}
		}
		check(t, gate.client.ScriptLoad(t.Context(), gateSource).Err())
		trips := countRoundTrips(gate)
		storing := run(t, gate)
		stored.Wait()
		storing()
		if got := trips.Load(); got != 2 {
			t.Errorf("%d hints took %d round trips, want 2", buyers/2, got)
		}

		again := makeGate(t, address)
		again.observe = gate.observe
		asking := countRoundTrips(again)
		var answered sync.WaitGroup
		for i := range asks {
			answered.Go(func() {
				if i%2 == 0 {
					wantHint(t, again, asks[i], hints[i])
				} else {
					wantLet(t, again, asks[i])
				}
			})
		}
		eventually(t, "all wait", func() bool { return again.asks.waiting() == buyers })
		run(t, again)
		answered.Wait()
		if got := asking.Load(); got != 3 || len(sizes) != 3 {
			t.Errorf("%d buyers took %d round trips in %d calls, want 3", buyers, got, len(sizes))
		}
		total := 0
		for _, size := range sizes {
			total += size
		}
		if total != buyers {
			t.Errorf("observed %d buyers in calls of %v, want %d", total, sizes, buyers)
		}
	})
}

// TestNoCallHasKeysOfTwoProducts is what a Redis Cluster needs: such keys may be
// in different slots.
func TestNoCallHasKeysOfTwoProducts(t *testing.T) {
	t.Parallel()
	var calls []call
	for i := range 100 {
		product := sale.Product(fmt.Sprintf("product-%d", i*i%7))
		calls = append(calls, call{of: saleID{product: product}, units: int64(i % 3), key: fmt.Sprintf("%03d", i)})
	}
	total := 0
	for _, group := range bySale(calls) {
		total += len(group.calls)
		for _, call := range group.calls {
			if call.of != group.of {
				t.Errorf("%+v and %+v are in one call", call.of, group.of)
			}
		}
		group.prepare(newLeases(), leaseLife)
		buyers := group.keys[:len(group.calls)]
		if !slices.IsSorted(buyers) {
			t.Errorf("the order %v is not that of the asks", buyers)
		}
		for _, credit := range group.keys[len(group.calls):] {
			if !strings.HasPrefix(credit, "c{"+string(group.of.product)+"}") {
				t.Errorf("a call for %s has the credit %s", group.of.product, credit)
			}
		}
	}
	if total != len(calls) {
		t.Errorf("%d of %d asks are in a group", total, len(calls))
	}
}

func TestConcurrentAsksShareCalls(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		trips := countRoundTrips(gate)
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() { wantLet(t, gate, ask(fmt.Sprintf("buyer-%d", i))) })
		}
		all.Wait()
		t.Logf("1,000 concurrent asks took %d round trips", trips.Load())
		if trips.Load() > 500 {
			t.Errorf("1,000 concurrent asks took %d round trips", trips.Load())
		}
	})
}

func TestALoneAskIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		wantLet(t, gate, ask("first")) // brings the script
		trips := countRoundTrips(gate)
		wantLet(t, gate, ask("ann"))
		if got := trips.Load(); got != 1 {
			t.Errorf("a lone ask took %d round trips", got)
		}
	})
}

func TestACallerThatLeavesTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := makeGate(t, address)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := answerOf(ctx, gate, ask("ann"))
			left <- err
		}()
		stayed := make(chan ingress.Admission, 1)
		go func() {
			got, err := answerOf(t.Context(), gate, ask("bob"))
			if err != nil {
				t.Error(err)
			}
			stayed <- got
		}()
		eventually(t, "both wait", func() bool { return gate.asks.waiting() == 2 })
		cancel()
		if err := await(t, "ann leaves", left); !errors.Is(err, context.Canceled) {
			t.Errorf("ann left with %v", err)
		}
		run(t, gate)
		if got := await(t, "bob is answered", stayed); !let(got) {
			t.Errorf("bob got %+v", got)
		}
		wantLet(t, gate, ask("ann")) // the call that was left was not sent
	})
}

func TestServerLosesScriptsAndData(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		other := open(t, address).redis
		wantLet(t, gate, ask("ann"))

		check(t, other.ScriptFlush(t.Context()).Err())
		wantLimited(t, gate, ask("ann"))

		check(t, other.FlushAll(t.Context()).Err())
		wantLet(t, gate, ask("ann"))
		wantLimited(t, gate, ask("ann"))

		check(t, other.ScriptFlush(t.Context()).Err())
		check(t, other.FlushAll(t.Context()).Err())
		wantLet(t, gate, ask("ann"))
	})
}

// TestHintsDoNotMix: one batch after another is written with the same commands,
// and each buyer has its own hint.
func TestHintsDoNotMix(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		hints := map[ingress.Ask]ingress.Hint{}
		for batch := range 4 {
			var stored sync.WaitGroup
			for n := range []int{50, 3, 200, 1}[batch] {
				of := ask(fmt.Sprintf("buyer-%d-%d", batch, n))
				hints[of] = ingress.Hint{Offset: sale.Offset(len(hints) * 1000), Quantity: int64(n%3 + 1), AcceptedAt: sale.Time(batch * 1_000_000_000)}
				stored.Add(1)
				gate.Remember(of, hints[of], stored.Done)
			}
			stored.Wait()
		}
		for of, hint := range hints {
			wantHint(t, gate, of, hint)
		}
		if life := gate.client.TTL(t.Context(), key(ask("buyer-3-0"))).Val(); life <= hintLife-time.Minute || life > hintLife {
			t.Errorf("a hint is kept for %v", life)
		}
	})
}

func TestFullQueues(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := makeGate(t, address)
		gate.asks.limit, gate.hints.limit = 1, 1
		first := make(chan ingress.Admission, 1)
		go func() { first <- admit(t, gate, ask("ann")) }()
		eventually(t, "ann waits", func() bool { return gate.asks.waiting() == 1 })
		if _, err := answerOf(t.Context(), gate, ask("bob")); !errors.Is(err, errBusy) {
			t.Errorf("bob got %v, want %v", err, errBusy)
		}

		hint := ingress.Hint{Offset: 5, Quantity: 1, AcceptedAt: 1}
		var stored, dropped atomic.Int64
		gate.Remember(ask("cat"), hint, func() { stored.Add(1) })
		gate.Remember(ask("dan"), hint, func() { dropped.Add(1) })
		if stored.Load() != 0 || dropped.Load() != 1 {
			t.Errorf("done was called %d and %d times, want 0 and 1", stored.Load(), dropped.Load())
		}

		run(t, gate)
		if got := await(t, "ann is answered", first); !let(got) {
			t.Errorf("ann got %+v", got)
		}
		eventually(t, "the hint is stored", func() bool { return stored.Load() == 1 })
		wantHint(t, gate, ask("cat"), hint)
		wantLet(t, gate, ask("dan"))
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := makeGate(t, address)
		left := make(chan error, 1)
		go func() {
			_, err := answerOf(t.Context(), gate, ask("ann"))
			left <- err
		}()
		eventually(t, "ann waits", func() bool { return gate.asks.waiting() == 1 })
		hint := ingress.Hint{Offset: 5, Quantity: 1, AcceptedAt: 1}
		var done atomic.Int64
		for i := range maxBatch + 1 {
			gate.Remember(ask(fmt.Sprintf("buyer-%d", i)), hint, func() { done.Add(1) })
		}
		gate.Remember(ask("no done"), hint, nil)

		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		check(t, gate.Run(stopped))
		if err := await(t, "ann is answered", left); !errors.Is(err, errStopped) {
			t.Errorf("ann got %v, want %v", err, errStopped)
		}
		if done.Load() != maxBatch+1 {
			t.Errorf("done was called for %d of %d hints", done.Load(), maxBatch+1)
		}
		if _, err := answerOf(t.Context(), gate, ask("bob")); !errors.Is(err, errStopped) {
			t.Errorf("bob got %v, want %v", err, errStopped)
		}
		gate.Remember(ask("bob"), hint, func() { done.Add(1) })
		if done.Load() != maxBatch+2 {
			t.Error("done was not called after the end")
		}

		next := runGate(t, address)
		wantHint(t, next, ask(fmt.Sprintf("buyer-%d", maxBatch)), hint)
		wantHint(t, next, ask("no done"), hint)
		wantLet(t, next, ask("bob"))
	})
}

func TestWhatRedisHolds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate := runGate(t, address)
		remember(t, gate, ask("ann"), ingress.Hint{Offset: 1_000_000, Quantity: 1, AcceptedAt: 1_790_000_000_000})
		wantLet(t, gate, ask("bob"))
		for buyer, longest := range map[string]time.Duration{"ann": hintLife, "bob": buyInterval} {
			name := key(ask(buyer))
			life, err := gate.client.PTTL(t.Context(), name).Result()
			check(t, err)
			if life <= 0 || life > longest {
				t.Errorf("%s's key lives for %v, want at most %v", buyer, life, longest)
			}
			if !strings.HasPrefix(name, "b{tickets}") || strings.Contains(name, buyer) {
				t.Errorf("%s's key is %q", buyer, name)
			}
		}

		// A value that is no hint is an error, and the next hint mends it.
		check(t, gate.client.Set(t.Context(), key(ask("cat")), "not a hint", time.Minute).Err())
		if _, err := answerOf(t.Context(), gate, ask("cat")); !errors.Is(err, errNoHint) {
			t.Errorf("got %v, want %v", err, errNoHint)
		}
		hint := ingress.Hint{Offset: 1, Quantity: 1, AcceptedAt: 1}
		remember(t, gate, ask("cat"), hint)
		wantHint(t, gate, ask("cat"), hint)

		// Keys that live longer than any of ours do not lock a buyer out.
		for _, value := range []string{"1", string(appendHint(nil, &hint))} {
			for _, life := range []time.Duration{0, 24 * time.Hour} {
				check(t, gate.client.Set(t.Context(), key(ask("dan")), value, life).Err())
				wantLet(t, gate, fresh(ask("dan")))
				wantLimited(t, gate, ask("dan"))
			}
		}
	})
}
