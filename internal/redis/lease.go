package redis

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// leaseLife is when a lease ends by itself: a unit is not kept from sale for
// longer by a request that never reached the log. It begins when the lease is
// given, by Redis's clock.
const leaseLife = 5 * time.Second

// leases makes names of leases: the gate's own 64 random bits and a number,
// both in base 36, and the units, in decimal, for the scripts to read. It is
// used from one goroutine.
type leases struct {
	gate   string
	number uint64
}

func newLeases() *leases {
	return &leases{gate: strconv.FormatUint(rand.Uint64(), 36)}
}

func (l *leases) next(units int64) string {
	l.number++
	name := make([]byte, 0, 32)
	name = append(name, l.gate...)
	name = append(name, '-')
	name = strconv.AppendUint(name, l.number, 36)
	name = append(name, '-')
	return string(strconv.AppendInt(name, units, 10))
}
