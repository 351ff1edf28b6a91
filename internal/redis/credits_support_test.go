package redis

import (
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// makeCredits makes patient credits.
func makeCredits(t testing.TB, address string) *Credits {
	t.Helper()
	credits := NewCredits(CreditsConfig{Client: openPatiently(t, address)})
	credits.timeout = patience
	return credits
}

// credited is an ask of a sale whose policy is reject.
func credited(buyer string, units int64) ingress.Ask {
	of := ask(buyer)
	of.Units = units
	return of
}

// credit is one for the sale of ask.
func credit(next sale.Offset, available int64, ended ...string) allocator.Credit {
	of := ask("")
	return allocator.Credit{Product: of.Product, Sale: of.Sale, Next: next, Available: available, Ended: ended}
}

func grantTo(t testing.TB, credits *Credits, all ...allocator.Credit) {
	t.Helper()
	check(t, credits.Grant(t.Context(), ask("").Log, all))
}

var leaseForm = regexp.MustCompile(`^[0-9a-z]{1,13}-[0-9a-z]+-[0-9]+$`)

func wantLease(t testing.TB, gate *Gate, ask ingress.Ask) string {
	t.Helper()
	got := admit(t, gate, ask)
	if !leaseForm.MatchString(got.Lease) || got != (ingress.Admission{Lease: got.Lease}) {
		t.Fatalf("%+v: %+v, want a lease", ask, got)
	}
	return got.Lease
}

func wantFull(t testing.TB, gate *Gate, ask ingress.Ask) {
	t.Helper()
	if got := admit(t, gate, ask); got != (ingress.Admission{Full: true}) {
		t.Fatalf("%+v: %+v, want full", ask, got)
	}
}

func wantUnknown(t testing.TB, gate *Gate, ask ingress.Ask) {
	t.Helper()
	if got := admit(t, gate, ask); got != (ingress.Admission{Unknown: true}) {
		t.Fatalf("%+v: %+v, want unknown", ask, got)
	}
}

// clock is an in-process Redis's, which a test moves.
type clock struct {
	server *miniredis.Miniredis

	mu  sync.Mutex
	now time.Time
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
	c.server.SetTime(c.now)
}

// startClock starts an in-process Redis whose clock stands still.
func startClock(t *testing.T) (*clock, string) {
	t.Helper()
	server := miniredis.NewMiniRedis()
	check(t, server.Start())
	t.Cleanup(server.Close)
	c := &clock{server: server, now: time.UnixMilli(1_790_000_000_000)}
	server.SetTime(c.now)
	server.ClockTTL(true)
	return c, "redis://" + server.Addr()
}

// stored gives the counts of a sale's credit and its leases, in order.
func stored(t testing.TB, gate *Gate, of saleID) (counts map[string]int64, leases []string) {
	t.Helper()
	members, err := gate.client.ZRangeWithScores(t.Context(), creditKey(of), 0, -1).Result()
	check(t, err)
	counts = make(map[string]int64)
	for _, member := range members {
		if name := member.Member.(string); member.Score > 0 {
			leases = append(leases, name)
		} else {
			counts[name] = -int64(member.Score)
		}
	}
	slices.Sort(leases)
	return counts, leases
}
