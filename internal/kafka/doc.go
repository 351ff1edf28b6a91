// Package kafka is the log: it makes and checks the topic, appends records to
// it, reads them back, and takes part in the consumer group that assigns
// partitions. It is the only importer of franz-go.
//
// What always holds:
//   - everything speaks of one topic id. A topic that is deleted and made again
//     under the same name is another log: reads of it fail with ErrRecreated,
//     and nothing is appended to it;
//   - a record that was accepted is in its partition once, in the order of
//     acceptance as far as one caller can tell: the producer is idempotent,
//     waits for all in-sync replicas and tries for as long as the process
//     lives. Only data loss in the brokers, and Close, end that;
//   - nothing here waits for room. What does not fit is refused at once;
//   - reading starts at the offset that was asked for and gives every offset
//     after it, or an error. There is no automatic reset;
//   - the consumer group assigns and proves. It never fetches and stores no
//     offsets.
//
// Goroutines: a Log, its Readers and a running Membership own those of their
// franz-go clients; they end with Close, Close and Run. A Log's acknowledgements
// come one at a time from one of them.
package kafka
