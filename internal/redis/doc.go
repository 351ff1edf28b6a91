// Package redis is anteroom's use of Redis: the [Gate], which limits how often
// a buyer buys, remembers each buyer's latest request and leases what can be
// sold of sales that reject; [Credits], by which owners tell gates what that is;
// and the [Feed], which carries owners' messages to boards. It is the only
// importer of go-redis.
//
// What always holds:
//   - Redis decides nothing. All that is here may be lost, late or wrong, and no
//     outcome changes: the gate only spares the log repeated clicks and requests
//     that would be refused, the feed only spares boards a look into Postgres.
//   - A lease is given only on units that its sale's owner said last can be sold
//     and that are not leased yet, and keeps them from sale for leaseLife at
//     most, by Redis's clock. What Redis has lost is unknown, not sold out, until
//     the owner says it again.
//   - Nobody waits long for Redis. A call ends within [callTimeout], and after a
//     failure calls fail at once until a probe has succeeded.
//   - A key carries its product as hash tag, and no script call has keys of two
//     products, so that the gate works on a Redis Cluster.
//   - A key names its buyer by a digest, and holds nothing else of a person.
//
// [Gate.Run] and [Feed.Run] own the goroutines of their type and return when
// these have ended. Beside them there are only go-redis's own, which dial
// connections and end with [Client.Close].
package redis
