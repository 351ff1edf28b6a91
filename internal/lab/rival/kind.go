package rival

import (
	"context"
	"fmt"
	"slices"
)

// Kind is a way to sell few units to a crowd.
type Kind string

// The kinds.
const (
	Naive          Kind = "naive"             // reads what is available, then writes one less
	CacheCheck     Kind = "cache_check"       // believes a count in Redis, which it corrects afterwards
	Optimistic     Kind = "optimistic"        // writes only if the version is still the one that it read
	ForUpdate      Kind = "for_update"        // locks the row, then decides
	Conditional    Kind = "conditional"       // one UPDATE, if any is available
	SkipLocked     Kind = "skip_locked"       // a row per unit, each click takes one that nobody else is taking
	RedisThenDB    Kind = "redis_then_db"     // DECR in Redis, then the row
	RedisLuaThenDB Kind = "redis_lua_then_db" // a script in Redis that knows the buyers too, then the row
	BareEcho       Kind = "bare_echo"         // answers given bytes: what the server alone can do
)

// about is what there is to know of a kind before it is made.
type about struct {
	kind     Kind
	pool     int // connections to Postgres: see kinds
	redis    int // connections to Redis, 0 where it is not used
	postgres bool
	make     func(context.Context, Config, *database, *stockCache) (seller, error)
}

// kinds are all, in the order of a report.
//
// The sizes of the pools are from BenchmarkContended over 1, 2, 4, 8, 16, 32 and
// 64 connections: three rounds of 8,000 buyers for 4,000 units, alone on 2
// cores that Postgres, Redis and the generator share, fdatasync 80 µs. Where all
// want one row, a second connection has its statement there when the row comes
// free, and each further one costs; whoever must not be overtaken is fastest
// alone. Where rows differ, commits share a sync, and from 8 connections on it
// is nearly flat. skip_locked has 8 because in eight runs of 20,000 buyers for
// 10,000 units 16 gave 6,100 to 15,000 answers/s, and 32, in six, 2,200 to
// 12,200, against a steady 9,900 to 11,400.
var kinds = []about{
	{kind: Naive, postgres: true, pool: 4, make: newNaive},
	{kind: CacheCheck, postgres: true, pool: 16, redis: 16, make: newCacheCheck},
	{kind: Optimistic, postgres: true, pool: 1, make: newOptimistic},
	{kind: ForUpdate, postgres: true, pool: 2, make: newForUpdate},
	{kind: Conditional, postgres: true, pool: 2, make: newConditional},
	{kind: SkipLocked, postgres: true, pool: 8, make: newSkipLocked},
	{kind: RedisThenDB, postgres: true, pool: 32, redis: 2, make: newRedisThenDB},
	{kind: RedisLuaThenDB, postgres: true, pool: 16, redis: 2, make: newRedisLuaThenDB},
	{kind: BareEcho},
}

// Kinds gives all kinds in the order of a report.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, a := range kinds {
		all[i] = a.kind
	}
	return all
}

// Oversells reports whether the kind is there to be seen selling more than
// there is.
func (k Kind) Oversells() bool { return k == Naive || k == CacheCheck }

// UsesRedis reports whether the kind needs a Redis.
func (k Kind) UsesRedis() bool {
	a, err := k.about()
	return err == nil && a.redis > 0
}

func (k Kind) about() (about, error) {
	i := slices.IndexFunc(kinds, func(a about) bool { return a.kind == k })
	if i < 0 {
		return about{}, fmt.Errorf("rival: unknown kind %q", k)
	}
	return kinds[i], nil
}
