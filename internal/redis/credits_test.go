package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var _ allocator.Credits = (*Credits)(nil)

func TestWhatCanBeSoldIsLeased(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, other, credits := runGate(t, address), runGate(t, address), makeCredits(t, address)
		wantUnknown(t, gate, credited("early", 1))
		grantTo(t, credits, credit(5, 3))
		first := wantLease(t, gate, credited("ann", 1))
		if second := wantLease(t, other, credited("bob", 1)); second == first {
			t.Errorf("two have the lease %s", first)
		}
		wantFull(t, gate, credited("cat", 2)) // more than is left
		wantLease(t, gate, credited("dan", 1))
		wantFull(t, gate, credited("eve", 1))
		wantLet(t, gate, ask("fay")) // needs none
		grantTo(t, credits, credit(6, 4, first))
		wantLease(t, gate, credited("gil", 2))
		wantFull(t, gate, credited("hal", 1))
		grantTo(t, credits, credit(7, 0))
		wantFull(t, gate, credited("ivy", 1))
	})
}

// TestHintThenLimitThenCredit: whoever is answered by an earlier layer takes no
// credit, and whoever has asked for one waits a second like everybody.
func TestHintThenLimitThenCredit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := runGate(t, address), makeCredits(t, address)
		hint := ingress.Hint{Offset: 41, Quantity: 1, AcceptedAt: 1}
		grantTo(t, credits, credit(5, 2))
		remember(t, gate, credited("ann", 1), hint)
		wantHint(t, gate, credited("ann", 1), hint)
		wantLease(t, gate, credited("bob", 1))
		wantLimited(t, gate, credited("bob", 1))
		wantLease(t, gate, credited("cat", 1))
		wantFull(t, gate, credited("dan", 1))
		wantHint(t, gate, credited("ann", 1), hint)

		last := buyInterval
		eventually(t, "dan may ask again", func() bool {
			got := admit(t, gate, credited("dan", 1))
			if got.RetryAfter > last {
				t.Errorf("the wait rose from %v to %v", last, got.RetryAfter)
			}
			last = got.RetryAfter
			return got == ingress.Admission{Full: true}
		})
		wantLimited(t, gate, credited("dan", 1))
		wantLimited(t, gate, fresh(credited("dan", 1)))
	})
}

// TestALeaseEndsByItself is the same on both; TestALeaseLives is exact.
func TestALeaseEndsByItself(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := makeGate(t, address), makeCredits(t, address)
		gate.leaseLife = 300 * time.Millisecond
		run(t, gate)
		grantTo(t, credits, credit(5, 3))
		began := time.Now()
		lost := wantLease(t, gate, credited("ann", 3))
		buyer := 0
		eventually(t, "the units are free", func() bool {
			buyer++
			return admit(t, gate, credited(fmt.Sprintf("buyer-%d", buyer), 1)).Lease != ""
		})
		if passed := time.Since(began); passed < gate.leaseLife-50*time.Millisecond { // the in-process clock's steps
			t.Errorf("a lease of %v ended within %v", gate.leaseLife, passed)
		}
		// That it is named afterwards frees nothing twice.
		grantTo(t, credits, credit(6, 3, lost))
		wantLease(t, gate, credited("bob", 2))
		wantFull(t, gate, credited("cat", 1))
	})
}

func TestALeaseLives(t *testing.T) {
	t.Parallel()
	clock, address := startClock(t)
	gate, credits := runGate(t, address), makeCredits(t, address)
	grantTo(t, credits, credit(5, 2))
	wantLease(t, gate, credited("ann", 1))
	clock.move(2 * time.Second)
	wantLease(t, gate, credited("bob", 1))
	clock.move(leaseLife - 2*time.Second - time.Millisecond)
	wantFull(t, gate, credited("cat", 1))
	clock.move(time.Millisecond)
	wantFull(t, gate, credited("dan", 2)) // bob has one
	wantLease(t, gate, credited("eve", 1))
	clock.move(2*time.Second - time.Millisecond)
	wantFull(t, gate, credited("fay", 1))
	clock.move(time.Millisecond)
	wantLease(t, gate, credited("gil", 1))
}

// TestAClockThatIsPutBack keeps no unit from sale for as long as it was put back.
func TestAClockThatIsPutBack(t *testing.T) {
	t.Parallel()
	clock, address := startClock(t)
	gate, credits := runGate(t, address), makeCredits(t, address)
	grantTo(t, credits, credit(5, 2))
	wantLease(t, gate, credited("ann", 1))
	clock.move(-time.Hour)
	wantLease(t, gate, credited("bob", 2))
	wantFull(t, gate, credited("cat", 1))
	clock.move(leaseLife)
	wantLease(t, gate, credited("dan", 2))
}

// TestManyLeasesEndTogether has more of them end than a script takes in one go,
// and a full batch of leases given.
func TestManyLeasesEndTogether(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		const buyers = 3 * maxBatch
		gate, credits := makeGate(t, address), makeCredits(t, address)
		gate.leaseLife = time.Hour
		grantTo(t, credits, credit(5, buyers))
		leases := leaseInBatches(t, gate, saleOf(ask("")), buyers)
		run(t, gate)
		wantFull(t, gate, credited("ann", 1))

		// By being named. There are more than go into one script call.
		grantTo(t, credits, credit(5, 0, leases...))
		if counts, left := stored(t, gate, saleOf(ask(""))); counts["leased"] != 0 || len(left) != 0 {
			t.Errorf("%v, and %d leases are left", counts, len(left))
		}
		wantLease(t, gate, credited("bob", buyers))
		wantFull(t, gate, credited("cat", 1))

		// By themselves.
		later := credit(5, buyers)
		later.Sale++
		grantTo(t, credits, later)
		short := makeGate(t, address)
		short.leaseLife = 200 * time.Millisecond
		leaseInBatches(t, short, saleID{ask("").Log, later.Product, later.Sale}, buyers)
		run(t, short)
		given, err := short.client.Time(t.Context()).Result()
		check(t, err)
		eventually(t, "all have ended", func() bool {
			now, err := short.client.Time(t.Context()).Result()
			check(t, err)
			return now.Sub(given) > short.leaseLife
		})
		all := credited("dan", buyers)
		all.Sale++
		wantLease(t, short, all)
	})
}

// leaseInBatches gives a gate's leases on one unit to many buyers, in full
// batches. The gate must not run.
func leaseInBatches(t *testing.T, gate *Gate, of saleID, buyers int) []string {
	t.Helper()
	var calls []call
	answered := &asker{func() bool { return false }, make(chan answer, buyers)}
	for i := range buyers {
		key := fmt.Sprintf("b{%s}%d-%d", of.product, of.sale, i)
		calls = append(calls, call{of: of, key: key, units: 1, asked: time.Now(), asker: answered})
	}
	for batch := range slices.Chunk(calls, maxBatch) {
		gate.admit(t.Context(), slices.Clone(batch))
	}
	var leases []string
	unlike := make(map[string]bool)
	for range buyers {
		got := await(t, "an answer", answered.answered)
		if got.err != nil || got.admission.Lease == "" {
			t.Errorf("%+v, %v", got.admission, got.err)
		}
		leases = append(leases, got.admission.Lease)
		unlike[got.admission.Lease] = true
	}
	if len(unlike) != buyers {
		t.Errorf("%d buyers have %d different leases", buyers, len(unlike))
	}
	return leases
}

func TestOnlyNewerCreditsAreTaken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := runGate(t, address), makeCredits(t, address)
		want := func(what string, next, available, leased int64, left ...string) {
			t.Helper()
			counts, leases := stored(t, gate, saleOf(ask("")))
			if counts["next"] != next || counts["available"] != available || counts["leased"] != leased || fmt.Sprint(leases) != fmt.Sprint(left) {
				t.Errorf("%s: %v with %v, want %d, %d, %d with %v", what, counts, leases, next, available, leased, left)
			}
		}
		grantTo(t, credits, credit(0, 4))
		want("the first", 0, 4, 0)
		one, three := wantLease(t, gate, credited("ann", 1)), wantLease(t, gate, credited("bob", 3))
		both := []string{one, three}
		grantTo(t, credits, credit(100, 5))
		want("newer", 100, 5, 4, both...)
		grantTo(t, credits, credit(99, 9, one))
		want("older", 100, 5, 4, both...)
		grantTo(t, credits, credit(100, 9))
		want("the same again", 100, 5, 4, both...)

		// What a record may name as its lease.
		foreign := []string{"next", "available", "leased", "", " ", "abc", "-1", "x-y-", "x-y-1.5", strings.ToUpper(one), one + " ", one + "\n", "x-y-7", "%d-%s-1", "\x00"}
		grantTo(t, credits, credit(101, 6, foreign...))
		want("foreign leases", 101, 6, 4, both...)

		grantTo(t, credits, credit(101, 6, three, three))
		want("one that ends, twice", 101, 6, 1, one)
		grantTo(t, credits, credit(102, 2, three, one))
		want("the other one", 102, 2, 0)
		wantLease(t, gate, credited("cat", 2))

		// In one call, in its order.
		grantTo(t, credits, credit(110, 1), credit(109, 8), credit(111, 3))
		if counts, _ := stored(t, gate, saleOf(ask(""))); counts["next"] != 111 || counts["available"] != 3 {
			t.Errorf("after three at once: %v", counts)
		}
	})
}

// TestAnotherSaleIsNotTakenForThePast: a log that was made anew and a later sale
// begin at lower offsets.
func TestAnotherSaleIsNotTakenForThePast(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := runGate(t, address), makeCredits(t, address)
		grantTo(t, credits, credit(1_000_000, 0))
		wantFull(t, gate, credited("ann", 1))

		otherLog, otherProduct, otherSale := credited("ann", 1), credited("ann", 1), credited("ann", 1)
		otherLog.Log = event.TopicID{9}
		otherProduct.Product = "ticket"
		otherSale.Sale++
		for _, other := range []ingress.Ask{otherLog, otherProduct, otherSale} {
			early := other
			early.Buyer = "early"
			wantUnknown(t, gate, early)
			check(t, credits.Grant(t.Context(), other.Log, []allocator.Credit{{Product: other.Product, Sale: other.Sale, Next: 8, Available: 1}}))
			wantLease(t, gate, other)
			next := other
			next.Buyer = "next"
			wantFull(t, gate, next)
		}
	})
}

func TestCreditsAreLostAndWrittenAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := runGate(t, address), makeCredits(t, address)
		server := open(t, address).redis
		grantTo(t, credits, credit(5, 1))
		lost := wantLease(t, gate, credited("ann", 1))

		check(t, server.FlushAll(t.Context()).Err())
		wantUnknown(t, gate, credited("bob", 1))
		wantLimited(t, gate, credited("bob", 1))
		grantTo(t, credits, credit(5, 1)) // the same as before
		wantLease(t, gate, credited("cat", 1))
		grantTo(t, credits, credit(6, 1, lost)) // not there any more
		wantFull(t, gate, credited("dan", 1))

		check(t, server.ScriptFlush(t.Context()).Err())
		wantFull(t, gate, credited("eve", 1))
		check(t, server.ScriptFlush(t.Context()).Err())
		grantTo(t, credits, credit(7, 2))
		wantLease(t, gate, credited("fay", 1))

		check(t, server.ScriptFlush(t.Context()).Err())
		check(t, server.FlushAll(t.Context()).Err())
		gate.Yield(credited("cat", 1), lost) // must not make a credit
		wantUnknown(t, gate, credited("gil", 1))
	})
}

func TestGrantingIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := runGate(t, address), makeCredits(t, address)
		grantTo(t, credits, credit(0, 0)) // brings the script
		hook := &roundTrips{}
		credits.client.AddHook(hook)
		grantTo(t, credits)
		if got := hook.count.Load(); got != 0 {
			t.Errorf("nothing took %d round trips", got)
		}
		all := []allocator.Credit{credit(1, 10, make([]string, 2*maxEnded+1)...)}
		for i := range 200 {
			all = append(all, allocator.Credit{Product: sale.Product(fmt.Sprintf("product-%d", i)), Sale: 3, Next: 9, Available: int64(i)})
		}
		grantTo(t, credits, all...)
		if got := hook.count.Load(); got != 1 {
			t.Errorf("%d credits took %d round trips", len(all), got)
		}
		for i, granted := range all {
			if counts, _ := stored(t, gate, saleID{ask("").Log, granted.Product, granted.Sale}); counts["available"] != granted.Available {
				t.Errorf("credit %d: %v, want %d", i, counts, granted.Available)
			}
		}
		for _, wrong := range []allocator.Credit{credit(-1, 1), credit(2, -1), {Product: "tickets", Sale: -1}} {
			if err := credits.Grant(t.Context(), ask("").Log, []allocator.Credit{credit(3, 3), wrong}); !errors.Is(err, errNegative) {
				t.Errorf("%+v: %v, want %v", wrong, err, errNegative)
			}
		}
		if counts, _ := stored(t, gate, saleOf(ask(""))); counts["next"] != 1 {
			t.Errorf("a credit was taken along with a wrong one: %v", counts)
		}
	})
}

// TestMixedAsksShareACall has several products and sales, and buyers with and
// without need of a credit, wait before the gate runs.
func TestMixedAsksShareACall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		const products, buyers = 3, 120
		credits, gate := makeCredits(t, address), makeGate(t, address)
		for product := range products {
			for of := range 2 {
				grantTo(t, credits, allocator.Credit{
					Product: sale.Product(fmt.Sprintf("product-%d", product)), Sale: sale.Offset(of), Next: 5, Available: int64(10*product + of),
				})
			}
		}
		check(t, gate.client.ScriptLoad(t.Context(), gateSource).Err())
		trips := countRoundTrips(gate)
		var mu sync.Mutex
		got := make(map[saleID]int64)
		var answered sync.WaitGroup
		for i := range buyers {
			of := ask(fmt.Sprintf("buyer-%d", i))
			of.Product, of.Sale = sale.Product(fmt.Sprintf("product-%d", i%products)), sale.Offset(i/products%2)
			if i/(2*products)%4 != 0 {
				of.Units = 1
			}
			answered.Go(func() {
				admission := admit(t, gate, of)
				switch {
				case of.Units == 0:
					if !let(admission) {
						t.Errorf("%+v: %+v, want to be let in", of, admission)
					}
				case admission.Lease != "":
					mu.Lock()
					got[saleOf(of)]++
					mu.Unlock()
				case !admission.Full:
					t.Errorf("%+v: %+v", of, admission)
				}
			})
		}
		eventually(t, "all wait", func() bool { return gate.asks.waiting() == buyers })
		run(t, gate)
		answered.Wait()
		if trips.Load() != 1 {
			t.Errorf("%d buyers took %d round trips", buyers, trips.Load())
		}
		for product := range products {
			for of := range 2 {
				id := saleID{ask("").Log, sale.Product(fmt.Sprintf("product-%d", product)), sale.Offset(of)}
				if want := min(int64(10*product+of), 15); got[id] != want { // of 20 buyers 15 need one
					t.Errorf("%s, sale %d: %d leases, want %d", id.product, id.sale, got[id], want)
				}
			}
		}
	})
}

func TestWhatRedisHoldsOfCredits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := runGate(t, address), makeCredits(t, address)
		grantTo(t, credits, credit(5, 2))
		lease := wantLease(t, gate, credited("ann", 1))
		keys, err := gate.client.Keys(t.Context(), "c*").Result()
		check(t, err)
		name := "c{tickets}01020300000000000000000000000000:7"
		if len(keys) != 1 || keys[0] != name {
			t.Fatalf("the keys are %q, want %q", keys, name)
		}
		life := func() time.Duration {
			left, err := gate.client.PTTL(t.Context(), name).Result()
			check(t, err)
			return left
		}
		for _, c := range []struct {
			credit allocator.Credit
			longer bool
		}{{credit(4, 9), false}, {credit(5, 9), true}, {credit(6, 9, lease), true}} {
			check(t, gate.client.PExpire(t.Context(), name, creditLife/2).Err())
			grantTo(t, credits, c.credit)
			gate.Yield(credited("ann", 1), "x-y-1")
			wantLet(t, gate, ask(fmt.Sprintf("after-%d-%t", c.credit.Next, c.longer)))
			if left := life(); left <= 0 || left > creditLife || (left > creditLife/2) != c.longer {
				t.Errorf("after %+v the credit lives for %v", c.credit, left)
			}
		}
	})
}
