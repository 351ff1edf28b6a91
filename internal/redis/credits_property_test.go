package redis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestCreditsFollowTheModel does random things to a sale's credit, one after
// another, and compares each answer with a model of a few lines. On the
// in-process Redis time passes as well.
func TestCreditsFollowTheModel(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		clock, address := startClock(t)
		followTheModel(t, address, clock)
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		followTheModel(t, startRedis(t).URL, nil)
	})
}

func followTheModel(t *testing.T, address string, clock *clock) {
	gates := []*Gate{makeGate(t, address), makeGate(t, address)}
	for _, gate := range gates {
		if clock == nil {
			gate.leaseLife = time.Hour
		}
		run(t, gate)
	}
	credits := makeCredits(t, address)
	var run sale.Offset
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := &creditModel{
			t: t, gates: gates, credits: credits, clock: clock, life: gates[0].leaseLife,
			of: saleID{log: ask("").Log, product: "tickets", sale: run}, live: make(map[string]leased),
		}
		t.Repeat(map[string]func(*rapid.T){
			"admit":  m.admit,
			"crowd":  m.crowd,
			"grant":  m.grant,
			"yield":  m.yield,
			"lose":   m.lose,
			"forget": m.forget,
			"wait":   m.wait,
			"":       m.compare,
		})
	})
}

// creditModel is what a sale's credit has to be.
type creditModel struct {
	t       *rapid.T
	gates   []*Gate
	credits *Credits
	clock   *clock
	life    time.Duration // of a lease
	of      saleID
	buyers  int

	passed          time.Duration
	known           bool
	until           time.Duration // the credit lives
	next, available int64
	live            map[string]leased
	ever            []string // leases
}

type leased struct {
	units int64
	end   time.Duration
}

func (m *creditModel) there() bool { return m.known && m.passed < m.until }

func (m *creditModel) free() int64 {
	free := m.available
	for _, lease := range m.live {
		if lease.end > m.passed {
			free -= lease.units
		}
	}
	return free
}

func (m *creditModel) ask(t *rapid.T, gate *Gate, units int64) (ingress.Admission, error) {
	return answerOf(t.Context(), gate, m.nextAsk(units))
}

func (m *creditModel) nextAsk(units int64) ingress.Ask {
	m.buyers++
	return ingress.Ask{Log: m.of.log, Product: m.of.product, Sale: m.of.sale, Buyer: sale.Buyer(fmt.Sprint(m.buyers)), Units: units}
}

func (m *creditModel) take(lease string, units int64) {
	if slices.Contains(m.ever, lease) {
		m.t.Fatalf("the lease %s was given twice", lease)
	}
	m.ever = append(m.ever, lease)
	m.live[lease] = leased{units: units, end: m.passed + m.life}
}

func (m *creditModel) admit(t *rapid.T) {
	units := rapid.Int64Range(1, 6).Draw(t, "units")
	got, err := m.ask(t, rapid.SampledFrom(m.gates).Draw(t, "gate"), units)
	if err != nil {
		t.Fatal(err)
	}
	want := ingress.Admission{Lease: got.Lease}
	switch {
	case !m.there():
		want = ingress.Admission{Unknown: true}
	case m.free() < units:
		want = ingress.Admission{Full: true}
	case got.Lease != "":
		m.take(got.Lease, units)
		return
	}
	if got != want || got.Lease != "" || let(got) {
		t.Fatalf("%d units with %d free: %+v, want %+v", units, m.free(), got, want)
	}
}

// crowd has many ask for as many units at once.
func (m *creditModel) crowd(t *rapid.T) {
	units := rapid.Int64Range(1, 4).Draw(t, "units")
	count := rapid.IntRange(2, 12).Draw(t, "asks")
	answers := make([]ingress.Admission, count)
	var all sync.WaitGroup
	for i := range answers {
		of := m.nextAsk(units)
		all.Go(func() {
			var err error
			if answers[i], err = answerOf(t.Context(), m.gates[i%len(m.gates)], of); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want := 0
	if m.there() {
		want = min(count, int(max(0, m.free())/units))
	}
	got := 0
	for _, answer := range answers {
		switch {
		case answer.Lease != "":
			got++
			m.take(answer.Lease, units)
		case m.there() && answer != ingress.Admission{Full: true}, !m.there() && answer != ingress.Admission{Unknown: true}:
			t.Fatalf("%+v", answer)
		}
	}
	if got != want {
		t.Fatalf("%d of %d asks for %d units got a lease, want %d", got, count, units, want)
	}
}

func (m *creditModel) grant(t *rapid.T) {
	credit := allocator.Credit{
		Product: m.of.product, Sale: m.of.sale,
		Next:      sale.Offset(max(0, m.next+rapid.Int64Range(-2, 3).Draw(t, "newer by"))),
		Available: rapid.Int64Range(0, 40).Draw(t, "available"),
		Ended:     rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(m.ever), "x-1-1", "leased")), 0, 6).Draw(t, "ended"),
	}
	if err := m.credits.Grant(t.Context(), m.of.log, []allocator.Credit{credit}); err != nil {
		t.Fatal(err)
	}
	switch {
	case !m.there():
		clear(m.live)
		m.known, m.next, m.available = true, int64(credit.Next), credit.Available
	case int64(credit.Next) < m.next:
		return
	case int64(credit.Next) > m.next:
		m.next, m.available = int64(credit.Next), credit.Available
	}
	m.until = m.passed + creditLife
	for _, lease := range credit.Ended {
		delete(m.live, lease)
	}
}

func (m *creditModel) yield(t *rapid.T) {
	if len(m.ever) == 0 {
		t.Skip("no lease")
	}
	lease := rapid.SampledFrom(m.ever).Draw(t, "lease")
	m.gates[0].end(t.Context(), []yielded{{of: m.of, lease: lease}})
	delete(m.live, lease)
}

func (m *creditModel) lose(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "loses data") == 0 {
		if err := m.credits.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		m.known = false
	}
}

func (m *creditModel) forget(t *rapid.T) {
	if err := m.credits.client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func (m *creditModel) wait(t *rapid.T) {
	if m.clock == nil {
		t.Skip("time cannot be moved")
	}
	by := time.Duration(rapid.OneOf(rapid.Int64Range(1, 6000), rapid.Int64Range(1, 70_000)).Draw(t, "ms")) * time.Millisecond
	m.clock.move(by)
	m.passed += by
}

// compare looks at what is stored: nothing may ever be counted that is not
// there.
func (m *creditModel) compare(t *rapid.T) {
	members, err := m.credits.client.ZRangeWithScores(t.Context(), creditKey(m.of), 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	if (len(members) > 0) != m.there() {
		t.Fatalf("%d members, but there is a credit: %t", len(members), m.there())
	}
	var counted, sum int64
	for _, member := range members {
		switch name := member.Member.(string); name {
		case "leased":
			counted = -int64(member.Score)
		case "next", "available":
		default:
			units, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 64)
			if err != nil || !leaseForm.MatchString(name) {
				t.Fatalf("the lease %q", name)
			}
			sum += units
		}
	}
	if counted != sum {
		t.Fatalf("%d units are counted as leased, and leases are for %d", counted, sum)
	}
}

// TestNeverMoreThanTheQuantity sells through two gates to a crowd, with an owner
// who decides, an earlier owner who repeats what was, and shoppers who give up.
// No lease ends by itself: so whoever is let in is sold to.
func TestNeverMoreThanTheQuantity(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		const quantity, shoppers = 400, 48
		gates := []*Gate{makeGate(t, address), makeGate(t, address)}
		for _, gate := range gates {
			gate.leaseLife = time.Hour
			run(t, gate)
		}
		var mu sync.Mutex
		var log []leaseRecord
		var past []allocator.Credit
		var sold, in, refused atomic.Int64

		var all sync.WaitGroup
		for shopper := range shoppers {
			gate := gates[shopper%2]
			all.Go(func() {
				for i := 0; sold.Load() < quantity && t.Context().Err() == nil; i++ {
					of := credited(fmt.Sprintf("%d-%d", shopper, i), 1+rand.Int64N(3))
					got, err := answerOf(t.Context(), gate, of)
					switch {
					case err != nil:
						t.Error(err)
						return
					case got.Lease == "":
						refused.Add(1)
					case rand.IntN(4) == 0:
						gate.Yield(of, got.Lease)
					default:
						in.Add(of.Units)
						mu.Lock()
						log = append(log, leaseRecord{got.Lease, of.Units})
						mu.Unlock()
					}
				}
			})
		}
		all.Go(func() { // the earlier owner
			late := makeCredits(t, address)
			for sold.Load() < quantity && t.Context().Err() == nil {
				mu.Lock()
				var old allocator.Credit
				if len(past) > 0 {
					old = past[rand.IntN(len(past))]
				}
				mu.Unlock()
				if old.Product != "" {
					check(t, late.Grant(t.Context(), ask("").Log, []allocator.Credit{old}))
				}
			}
		})

		owner := makeCredits(t, address)
		next, available := 0, int64(quantity)
		eventually(t, "all is sold", func() bool {
			mu.Lock()
			var ended []string
			for _, record := range log[next:min(len(log), next+7)] {
				available -= record.units
				ended = append(ended, record.lease)
				next++
			}
			now := credit(sale.Offset(next), available, ended...)
			past = append(past, now)
			mu.Unlock()
			if available < 0 {
				t.Fatalf("%d units are left after %d records", available, next)
			}
			grantTo(t, owner, now)
			sold.Store(quantity - available)
			return available == 0
		})
		all.Wait()
		t.Logf("%d units let in by %d records, %d refused", in.Load(), len(log), refused.Load())
		if in.Load() != quantity {
			t.Errorf("%d units were let in, %d are there", in.Load(), quantity)
		}
	})
}

type leaseRecord struct {
	lease string
	units int64
}
