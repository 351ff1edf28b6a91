package ingress

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	limiterShards  = 64
	limiterEntries = 1 << 13     // per shard and period, 16 bytes each and the map's overhead
	limiterPeriod  = time.Second // between two buys of a buyer
)

// limiter lets a buyer pass once a second while the gate cannot tell. It knows
// only the clicks that this ingress saw. Its memory is bounded: a shard that
// has let limiterEntries buyers pass within a period, which is far beyond what
// an ingress can take, makes the others wait for the next one.
type limiter struct {
	seed   maphash.Seed
	most   int // entries of a shard and period
	shards [limiterShards]limiterShard
}

type limiterShard struct {
	mu       sync.Mutex
	turned   time.Time            // when current began
	current  map[uint64]time.Time // when a buyer was last let pass
	previous map[uint64]time.Time // those before turned
}

func newLimiter(most int) *limiter {
	l := &limiter{seed: maphash.MakeSeed(), most: most}
	for i := range l.shards {
		l.shards[i].current = make(map[uint64]time.Time)
		l.shards[i].previous = make(map[uint64]time.Time)
	}
	return l
}

// admit gives 0 for a buyer who may pass, else how long there is to wait.
func (l *limiter) admit(buyer sale.Buyer, now time.Time) time.Duration {
	// A pseudonym belongs to one sale, so it is key enough. Two that share a
	// hash of 64 bits share a second.
	key := maphash.String(l.seed, string(buyer))
	s := &l.shards[key%limiterShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := now.Sub(s.turned); since >= limiterPeriod {
		s.current, s.previous = s.previous, s.current
		clear(s.current)
		if since >= 2*limiterPeriod {
			clear(s.previous)
		}
		s.turned = now
	}
	last, passed := s.current[key]
	if !passed {
		last, passed = s.previous[key]
	}
	if wait := last.Add(limiterPeriod).Sub(now); passed && wait > 0 {
		return wait
	}
	if len(s.current) >= l.most {
		return s.turned.Add(limiterPeriod).Sub(now)
	}
	s.current[key] = now
	return 0
}
