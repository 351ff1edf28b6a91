// Package fairness reports from the log alone how a sale went: its order, waits,
// outcomes, pauses. Whoever has the same log gets the same report.
package fairness
