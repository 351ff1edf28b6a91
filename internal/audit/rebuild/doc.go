// Package rebuild fills an empty ledger from the log: the recovery from losing
// Postgres, while the service goes on waiting for it.
package rebuild
