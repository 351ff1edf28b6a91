// Package board is an ingress's memory of decisions: it answers what became
// of a request, and where it is in the line, without asking any backend.
//
// For each partition it holds the watermark W, and the partition's state as
// the log's records below W made it: all sales whole, the starts of holds, and
// the rows of requests and results of commands that the records of
// [complete, W) caused. It answers right or not at all, because of four
// promises that every change of it keeps:
//
//   - State moves from one W to a later one only, and as a whole. A message
//     about [from, to) is taken if from <= W < to, and from it what was caused
//     at or after W: the rest of it is known. A row's latest cause in [W, to)
//     is in the message, so the result is the state at to. What does not
//     connect is kept aside until something does, or the ledger is read.
//     Nothing lowers W, so within one board no position rises (a position is
//     offset - W), and a request's state only goes forward.
//   - A request of offset o has no row that was caused before o. So for
//     complete <= o < W, a request without a row in memory has none at W, and
//     its sale's default at o is its outcome.
//   - A row in memory is the latest one: a later one would have been caused at
//     or after complete, and would be here in its place. When memory is full,
//     the oldest-caused rows go, and complete rises above their causes.
//   - The places of all requests that wait are in memory, whatever became of
//     their rows: 16 bytes each, as many as the allocator has in memory too. A
//     change of place is a change of its request's row, and a row names the
//     place that it leaves; where rows are skipped, the ledger tells all places.
//   - What the ledger says of one request at its watermark F is remembered
//     only if complete <= F <= W, where what changed it in [F, W) would be in
//     memory; where F > W, the reader first waits for the board to reach F.
//     From then on, every change that the board takes replaces it, and a read
//     that does not tell all changes drops it.
//
// An answer that depends on several things (a duplicate's first request, a
// hold's start) is made under one lock, at one W, which it names.
//
// An ETA is no part of that state: it is made of rates that the board measures,
// and left out where it measured none. See [View.ETA].
//
// [Board.Run] owns all goroutines: the feed's, and one for each partition,
// which is the only one that heals it, so that no two reads of a partition are
// in flight at once. Calls for an answer work in their caller's goroutine. The
// package imports pkg and nothing else of anteroom.
package board
