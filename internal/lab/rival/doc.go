// Package rival has the usual answers to a crowd that wants few units, behind
// anteroom's own HTTP interface, so that the same generator measures them in
// the same way. Each is written as somebody who knows it well would write it,
// with the pool size that was fastest here; its settings are printed.
//
// What always holds, but for the two kinds that are wrong on purpose (see
// [Kind.Oversells]) and for [BareEcho], which sells nothing:
//   - a buyer has at most one unit, and a unit that is sold has a row in
//     Postgres, committed before its buyer hears of it;
//   - no more rows than units are written, whatever fails;
//   - while nothing fails and nobody leaves, no unit stays unsold, and "sold
//     out" is said when every unit has its row;
//   - an answer of 503 means "unknown", as anteroom's does: the next click of
//     the same buyer finds what there is.
//
// What is sold is counted from the rows, never from counters.
//
// A Rival serves on tables and keys that are its own, and makes them anew: one
// Rival at a time per Postgres database and per Redis database.
//
// Goroutines: each click runs in its server's goroutine. The kinds that take
// from Redis have one more, which writes down the units whose row is in doubt;
// [Rival.Close] ends it. Pools own theirs.
package rival
