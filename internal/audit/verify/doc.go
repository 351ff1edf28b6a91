// Package verify compares the ledger with what the log decides: every row, and
// the chains of digests, at one moment of a service that goes on.
//
// Rows are met in the order of their causes while the log is decided again, so
// memory is bounded by the requests that are live.
package verify
