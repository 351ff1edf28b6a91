// Package postgres is the ledger: layer 5, the final authority over stock. It
// is the only importer of pgx and goose.
//
// [Owner] is what an allocator claims partitions and commits batches with,
// [Reader] is what boards heal from, [Bindings] gives each product its
// partition for ever, and [Migrate], [CheckSchema] and [PartitionRows] are for
// setting up. Each of Owner, Reader and Bindings has a pool of connections of
// its own, so that none waits for another's.
//
// What always holds:
//   - Everything that is written of a partition is written in a transaction
//     that has moved (epoch, next_offset) in the partition's row, and so holds
//     that row's lock; nothing is committed by an owner that has been fenced.
//   - Constraints and revision checks refuse a batch that a correct core cannot
//     make, as a whole.
//   - No offset is stored as -1, [sale.None]; no column is ever NULL.
//   - A commit whose answer is lost is an error like any other: the caller
//     claims again and learns from the ledger where it stands.
//   - A connection that broke is thrown away, and the next call makes another.
//
// The goroutines here are those of the pools, which end with Close, one that a
// Claim starts for as long as it ends sessions, see frozen.go, and one in which a
// Commit compresses what a large batch has to be published. All methods may be
// called from several goroutines.
package postgres
