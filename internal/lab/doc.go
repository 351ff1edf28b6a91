// Package lab measures anteroom from outside: it sends a crowd of shoppers over
// real HTTP and notes what each of them was told.
//
// [Run] is meant for a process of its own, so that its work is not mistaken
// for the service's. What it reports is computed from the answers alone;
// whoever started it compares that with the ledger.
//
// Memory is bounded by the shoppers who wait at the same time
// ([Config].MaxWaiting), not by the size of the crowd.
//
// Goroutines: Run owns one worker per connection, one per WebSocket follower
// and one that reports progress; it ends after all of them.
package lab
