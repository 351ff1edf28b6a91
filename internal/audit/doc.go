// Package audit replays the log and holds what comes out against what was told:
// verify compares it with the ledger, explain tells one request's story, rebuild
// fills an empty ledger, and so on, a file each.
//
// All of it stands on [Replay], which runs the core that made the decisions and
// keeps the chains of digests. Memory is bounded by what the core keeps, which
// is what is live, and never by the length of the log. Only rebuild writes.
//
// The package imports pkg alone; log and ledger are ports. What it starts has
// ended when a call returns.
package audit
