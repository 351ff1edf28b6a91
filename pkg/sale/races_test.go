package sale_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// TestRaces lets a confirmation, and often an extension and a pause, race
// against the end of a hold, 100,000 times under both rules, within a few
// milliseconds of the end and with timestamps that go back: one of confirmation
// and end wins, once, and it is the one that log time says.
func TestRaces(t *testing.T) {
	t.Parallel()
	r := races{
		t: t, random: rand.New(rand.NewPCG(1, 2)), state: sale.New(), time: saletest.Epoch,
		wins: map[sale.State]int64{}, extended: map[bool]int64{},
	}
	const units = 1_000_000
	first, later := ring(units), waiting(units)
	r.apply(r.time, "", sale.Schema{Version: 2})
	r.apply(r.time, "ring", sale.Create{Rules: 1, Settings: first, BuyerKey: "key-1"})
	r.apply(r.time, "lamp", sale.Create{Rules: 2, Settings: later, BuyerKey: "key-1"})
	for i := range 100_000 {
		r.run(i)
	}
	available := int64(0)
	for _, s := range r.state.Snapshot().Sales {
		available += s.Available
	}
	if r.wins[sale.Confirmed] < 10_000 || r.wins[sale.Expired] < 10_000 || r.extended[true] < 5_000 || r.extended[false] < 5_000 {
		t.Fatalf("the races were one-sided: %v, extended %v", r.wins, r.extended)
	}
	if r.wins[sale.Confirmed]+r.wins[sale.Expired] != 100_000 || available != 2*units-r.wins[sale.Confirmed] {
		t.Fatalf("%v leaves %d available", r.wins, available)
	}
}

type races struct {
	t        *testing.T
	random   *rand.Rand
	state    *sale.Partition
	time     sale.Time // log time, as the races count it
	changes  sale.Changes
	wins     map[sale.State]int64
	extended map[bool]int64
}

// apply has no t.Helper in it, which would take most of the time.
func (r *races) apply(at sale.Time, product sale.Product, body sale.Body) {
	r.changes.Reset()
	r.time = max(r.time, at)
	if err := r.state.Apply(sale.Record{Offset: r.state.Next(), Time: at, Product: product, Body: body}, &r.changes); err != nil {
		r.t.Fatal(err)
	}
}

func (r *races) run(i int) {
	product, of, longest := sale.Product("ring"), sale.Offset(1), sale.Time(10_000)
	if i%2 == 1 {
		product, of, longest = "lamp", 2, 30_000
	}
	held := r.state.Next()
	r.apply(r.time, product, sale.Buy{Sale: of, Buyer: sale.Buyer(strconv.Itoa(i)), Quantity: 1})
	r.apply(r.time, "", sale.Tick{Committed: held + 1})
	start := r.time
	end := start + 10_000
	paused := r.random.IntN(64) == 0
	if paused {
		r.apply(start+5_000, product, sale.Pause{Sale: of})
		r.apply(r.time+5_000, product, sale.Resume{Sale: of}) // when it would have ended
		start, end = start+5_000, end+5_000
	}
	want, outcomes := sale.State(""), 0
	confirm, extend := r.random.IntN(4), r.random.IntN(6) // 4 is too late, 5 never
	for turn := range 5 {
		at := end - 4 + sale.Time(r.random.IntN(6)) // may go back
		switch turn {
		case confirm:
			r.apply(at, product, sale.Confirm{Request: held, PaymentReference: "pay-1"})
			if r.time < end && want == "" {
				want = sale.Confirmed
			}
		case extend:
			seconds := 1 + sale.Time(r.random.IntN(25))
			r.apply(at, product, sale.Extend{Request: held, Seconds: int64(seconds)})
			extended := r.time < end && want == "" && r.time+seconds*1000 > end && longest > 10_000
			if extended {
				end = min(r.time+seconds*1000, start+longest)
			}
			r.extended[extended]++
		case 4:
			r.apply(end, "", sale.Tick{})
		default:
			r.apply(at, "", sale.Tick{})
		}
		if r.time >= end && want == "" {
			want = sale.Expired
		}
		for _, d := range r.changes.Decisions {
			if d.Kind != sale.OfRequest || d.Request.State == sale.Held {
				continue
			}
			outcomes++
			r.wins[d.Request.State]++
			if d.Request.Offset != held || d.Request.State != want {
				r.t.Fatalf("race %d: request %d is %s; want %d %s", i, d.Request.Offset, d.Request.State, held, want)
			}
		}
	}
	if outcomes != 1 {
		r.t.Fatalf("race %d has %d winners", i, outcomes)
	}
}
