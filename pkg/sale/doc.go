// Package sale is the core of anteroom: it decides who gets a unit.
//
// A [Partition] is the state that the records of one partition of the log
// have made. [Partition.Apply] takes the next record and appends what it
// decided to a [Changes]. The package is a pure function of the log: it has
// no clock, randomness, I/O, context, logger or map-iteration order in it,
// and imports only the standard library, so that the allocator, an audit and
// a test that read the same records make the same decisions, byte for byte,
// however the records are cut into batches.
//
// Time is a number in a record. Before a record acts, everything that fell
// due at or before its time happens first, in the order (due time, kind,
// offset).
//
// Nothing here starts a goroutine, and a Partition is not safe for use by
// several.
package sale
