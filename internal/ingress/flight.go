package ingress

import (
	"hash/maphash"
	"sync"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// flights are the clicks of this ingress that are on their way: from before
// the gate is asked until the gate has stored the request, or until it is
// clear that there is none. A click whose record is never acknowledged stays,
// so their number is bounded by what the log takes without acknowledging it,
// and by the requests being served.
//
// A pseudonym belongs to one sale of one log, so it is the key.
type flights struct {
	seed   maphash.Seed
	shards [64]struct {
		sync.Mutex
		of map[sale.Buyer]*flight
	}
}

// flight is one click on its way.
type flight struct {
	buyer   sale.Buyer
	settled chan struct{} // closed once the rest is valid
	hint    Hint          // the buyer's request
	refusal error         // set where there is none, or it is not known
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].of = make(map[sale.Buyer]*flight)
	}
	return f
}

// join gives the buyer's flight, and true to the one who begins it: that one
// has to settle it, and to see to it that it ends.
func (f *flights) join(buyer sale.Buyer) (*flight, bool) {
	shard := &f.shards[maphash.String(f.seed, string(buyer))%uint64(len(f.shards))]
	shard.Lock()
	defer shard.Unlock()
	if under := shard.of[buyer]; under != nil {
		return under, false
	}
	begun := &flight{buyer: buyer, settled: make(chan struct{})}
	shard.of[buyer] = begun
	return begun, true
}

// find gives the buyer's flight, or nil.
func (f *flights) find(buyer sale.Buyer) *flight {
	shard := &f.shards[maphash.String(f.seed, string(buyer))%uint64(len(f.shards))]
	shard.Lock()
	defer shard.Unlock()
	return shard.of[buyer]
}

// end takes a flight out: the next click begins another one.
func (f *flights) end(over *flight) {
	shard := &f.shards[maphash.String(f.seed, string(over.buyer))%uint64(len(f.shards))]
	shard.Lock()
	defer shard.Unlock()
	delete(shard.of, over.buyer)
}

func (f *flight) settle(hint Hint, refusal error) {
	f.hint, f.refusal = hint, refusal
	close(f.settled)
}
