package ingress

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	recentShards  = 64
	recentEntries = 7 << 7           // per shard and period: what fills 1,024 slots of a map, at 55 bytes an entry
	recentPeriod  = 10 * time.Minute // which outlasts a common hold
)

// recent remembers the requests that this ingress has appended, or was told of
// by the gate, for one to two periods. It serves the clicks that a sale's state
// refuses: who has a live request finds it here, and for all the others, who
// may be a million, nobody is asked. It is a hint like the gate's: the board
// says whether a request is live.
//
// Its memory is bounded. Where a shard is full for a period, those who come
// later are not remembered: the first of a crowd are the ones who get a unit.
type recent struct {
	seed   maphash.Seed // of keys
	second maphash.Seed // of pseudonyms
	most   int          // entries of a shard and period
	shards [recentShards]recentShard
}

type recentShard struct {
	mu                sync.Mutex
	turned            time.Time // when current began
	current, previous map[uint64]recentEntry
}

// recentEntry has no pointer, so that the collector passes over all that is
// remembered.
type recentEntry struct {
	// buyer is a hash of the pseudonym: two that share a key must not share a
	// ticket. With the key these are 128 bits under seeds that nobody knows.
	buyer uint64
	hint  Hint
}

func newRecent(most int) *recent {
	r := &recent{seed: maphash.MakeSeed(), second: maphash.MakeSeed(), most: most}
	for n := range r.shards {
		r.shards[n].current = make(map[uint64]recentEntry)
		r.shards[n].previous = make(map[uint64]recentEntry)
	}
	return r
}

// key names a buyer in a sale. It costs less than the pseudonym.
func (r *recent) key(partition int32, of sale.Offset, buyer string) uint64 {
	const odd = 0x9E3779B97F4A7C15 // spreads what follows one another
	return maphash.String(r.seed, buyer) ^ (uint64(of)<<16^uint64(partition))*odd
}

func (r *recent) of(buyer sale.Buyer) uint64 { return maphash.String(r.second, string(buyer)) }

// has reports whether there is something under a key.
func (r *recent) has(key uint64) bool {
	s := r.turn(key, time.Now())
	defer s.mu.Unlock()
	_, ok := s.get(key)
	return ok
}

// find gives what is known of a buyer's request.
func (r *recent) find(key uint64, buyer sale.Buyer) (Hint, bool) {
	s := r.turn(key, time.Now())
	defer s.mu.Unlock()
	e, ok := s.get(key)
	if !ok || e.buyer != r.of(buyer) {
		return Hint{}, false
	}
	return e.hint, true
}

// put remembers a buyer's request, in place of an earlier one.
func (r *recent) put(key uint64, buyer sale.Buyer, hint Hint) {
	s := r.turn(key, time.Now())
	defer s.mu.Unlock()
	if _, ok := s.current[key]; !ok && len(s.current) >= r.most {
		delete(s.previous, key) // it is not the latest any more
		return
	}
	s.current[key] = recentEntry{r.of(buyer), hint}
}

// drop forgets a buyer's request.
func (r *recent) drop(key uint64) {
	s := r.turn(key, time.Now())
	defer s.mu.Unlock()
	delete(s.current, key)
	delete(s.previous, key)
}

// turn locks the key's shard and lets go of what is too old.
func (r *recent) turn(key uint64, now time.Time) *recentShard {
	s := &r.shards[key%recentShards]
	s.mu.Lock()
	if since := now.Sub(s.turned); since >= recentPeriod {
		s.current, s.previous = make(map[uint64]recentEntry), s.current
		if since >= 2*recentPeriod {
			s.previous = make(map[uint64]recentEntry)
		}
		s.turned = now
	}
	return s
}

func (s *recentShard) get(key uint64) (recentEntry, bool) {
	e, ok := s.current[key]
	if !ok {
		e, ok = s.previous[key]
	}
	return e, ok
}
