package kafka

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// unacknowledged knows since when each of a partition's records waits for its
// acknowledgement. Whether the oldest has waited too long is one atomic load;
// adding and removing hold the partition's lock for a few instructions, and
// never while the producer is called.
type unacknowledged struct {
	// oldest is when the oldest waiting record was appended, or nobody.
	oldest atomic.Int64

	mu   sync.Mutex
	ring []int64 // times by sequence number, gone where removed; its length is a power of two
	head uint64  // the oldest waiting record's sequence number, if there is one
	tail uint64  // the next record's
}

const (
	gone   = -1
	nobody = math.MaxInt64
)

func newUnacknowledged() *unacknowledged {
	u := &unacknowledged{ring: make([]int64, 64)}
	u.oldest.Store(nobody)
	return u
}

// add notes a record and gives the number by which it is removed. Times are on
// any clock that starts at 0 or later and never goes back.
func (u *unacknowledged) add(now time.Duration) uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tail-u.head == uint64(len(u.ring)) {
		u.grow()
	}
	sequence := u.tail
	u.ring[u.slot(sequence)] = int64(now)
	u.tail++
	if sequence == u.head {
		u.oldest.Store(int64(now))
	}
	return sequence
}

// remove notes that a record waits no longer. Any order is right; that of
// adding is the cheapest.
func (u *unacknowledged) remove(sequence uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ring[u.slot(sequence)] = gone
	if sequence != u.head {
		return
	}
	for u.head < u.tail && u.ring[u.slot(u.head)] == gone {
		u.head++
	}
	if u.head == u.tail {
		u.oldest.Store(nobody)
	} else {
		u.oldest.Store(u.ring[u.slot(u.head)])
	}
}

// age is how long the oldest record has waited; not above 0 if none waits.
func (u *unacknowledged) age(now time.Duration) time.Duration {
	return now - time.Duration(u.oldest.Load())
}

func (u *unacknowledged) slot(sequence uint64) uint64 {
	return sequence & uint64(len(u.ring)-1)
}

func (u *unacknowledged) grow() {
	larger := make([]int64, 2*len(u.ring))
	for sequence := u.head; sequence < u.tail; sequence++ {
		larger[sequence&uint64(len(larger)-1)] = u.ring[u.slot(sequence)]
	}
	u.ring = larger
}
