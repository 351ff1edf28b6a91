package redis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

func TestALeaseIsHandedBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := makeGate(t, address), makeCredits(t, address)
		gate.leaseLife = time.Hour
		stop := run(t, gate)
		grantTo(t, credits, credit(5, 4))
		lease := wantLease(t, gate, credited("ann", 3))
		other := credited("ann", 3)
		other.Sale++
		gate.Yield(other, lease) // of another sale
		gate.Yield(credited("ann", 3), "")
		gate.Yield(credited("ann", 3), "leased")
		gate.Yield(credited("ann", 3), lease)
		gate.Yield(credited("ann", 3), lease)
		eventually(t, "the units are free", func() bool {
			counts, _ := stored(t, gate, saleOf(ask("")))
			return counts["leased"] == 0
		})
		lease = wantLease(t, gate, credited("bob", 4))
		wantFull(t, gate, credited("cat", 1))

		// What waits at the end is handed back, however much it is.
		for i := range 2 * maxBatch {
			gate.Yield(credited("", 1), fmt.Sprintf("x-%d-1", i))
		}
		gate.Yield(credited("bob", 4), lease)
		stop()
		gate.Yield(credited("bob", 4), lease) // too late to do anything
		wantLease(t, runGate(t, address), credited("dan", 4))
	})
}

func TestTooManyLeasesAreHandedBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		gate, credits := makeGate(t, address), makeCredits(t, address)
		gate.yields.limit = 1
		grantTo(t, credits, credit(5, 2))
		check(t, gate.client.ZAdd(t.Context(), creditKey(saleOf(ask(""))),
			goredis.Z{Score: -2, Member: "leased"}, goredis.Z{Score: 1e15, Member: "x-1-1"}, goredis.Z{Score: 1e15, Member: "x-2-1"}).Err())
		gate.Yield(credited("ann", 1), "x-1-1")
		gate.Yield(credited("bob", 1), "x-2-1") // ends by itself
		run(t, gate)()
		if counts, leases := stored(t, gate, saleOf(ask(""))); counts["leased"] != 1 || len(leases) != 1 || leases[0] != "x-2-1" {
			t.Errorf("%v with %v", counts, leases)
		}
	})
}

func TestNoLeaseWaitsForAServerThatIsDown(t *testing.T) {
	t.Parallel()
	gate := makeGate(t, "redis://127.0.0.1:1")
	gate.breaker.failure, gate.breaker.probing = errors.New("cause"), true
	gate.Yield(credited("ann", 1), "x-1-1")
	if got := gate.yields.waiting(); got != 0 {
		t.Errorf("%d leases wait", got)
	}
	trips := countRoundTrips(gate)
	gate.end(t.Context(), []yielded{{of: saleOf(ask("")), lease: "x-1-1"}})
	if trips.Load() != 0 {
		t.Error("the server was asked")
	}
}
