// Package report says what a run of the measuring lab found. A [Report] is
// filled by whoever measures; this package computes its medians and intervals,
// and gives it four faces: text for a terminal, JSON for programs, markdown for
// a repository, and one HTML page with charts.
//
// What always holds: nothing is hidden. A ratio that misses its reach, a
// promise that a round broke and a warning stand in every face, before the
// figures that look well. No face invents a figure: one that was not measured
// is a dash. A report and its JSON give the same faces to the byte, so a page
// can be made again from what was kept.
//
// Goroutines: none.
package report
