// Package bench is the measuring lab: it sends the same crowds at anteroom and
// at the usual answers to the problem, on one machine, and says how they
// compare.
//
// What always holds:
//   - The arms of a scenario take turns, round by round, so that a machine whose
//     speed drifts drifts for all of them; ratios are of pairs within a round.
//   - Every arm of every round has processes, a log and a database of its own,
//     which are gone afterwards, also when the run is interrupted.
//   - What was sold is counted in the database, never believed of an answer.
//   - A figure that could not be measured is missing; none is made up.
//
// The package starts no process itself: a [Stack] does. It has no goroutine that
// outlives a call.
package bench
