// Package snapshot keeps states of replays in files, so that a replay need not
// begin at the log's first record, and records that a snapshot stands for may go
// by retention.
//
// A file holds the rows of a partition's ledger as they were at an offset, and
// the rest of its state, as JSON lines that are compressed as a whole:
//
//	FOLDER/TOPIC-ID/PARTITION-OFFSET.jsonl.zst
//
// Whoever keeps a state has found it to be what the log decides. A file that is
// damaged is an error, never a state.
package snapshot
