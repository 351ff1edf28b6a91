// Package audit replays the log. Each use of that is a package below it: verify
// holds what comes out against the ledger, explain tells one request's story,
// rebuild fills an empty ledger, and so on.
//
// All of it stands on [Replay], which runs the core that made the decisions and
// keeps the chains of digests. Memory is bounded by what the core keeps, which
// is what is live, and never by the length of the log. Only rebuild writes, but
// for the files of snapshots.
//
// The package imports pkg alone; log and ledger are ports. What it starts has
// ended when a call returns.
package audit
