// Package allocator is the role that decides: one loop for each partition that
// the consumer group assigns to this process.
//
// A loop claims its partition, checks that the log and the ledger belong
// together, and then reads records in order, applies them to the core, and
// commits what they changed, batch by batch: what arrives while a batch is
// being committed forms the next one. After each commit it tells the boards,
// and appends the ticks that start holds and let log time pass.
//
// What always holds: memory is thrown away after any doubt (a commit that
// failed or may have failed, a gap, a lost assignment) and read again from the
// ledger with a new claim; whatever a loop does without owning the partition
// has no effect, since the ledger accepts a batch only under the current
// epoch, at the offset that it has reached.
//
// Goroutines: [Allocator.Run] owns one per assigned partition; each of those
// owns one that reads, one that publishes, and one for the commit in hand, and
// ends after them.
//
// The package imports no adapter, no driver and no other role.
package allocator
