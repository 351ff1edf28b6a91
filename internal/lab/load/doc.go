// Package load is the load generator of measurements. It runs in a process of
// its own ([Run]), so that its work is not mistaken for the service's, and is
// told what to do phase by phase by whoever measures ([Driver]).
//
// What always holds: every arrival of a phase is counted exactly once, as an
// answer, as a refusal or as an error; where arrivals follow a schedule,
// latency counts from the time that the schedule names, however late the click
// was sent; each buyer of a phase is another one. What is reported is computed
// from answers alone. Tickets are kept in memory between phases.
//
// It must be cheap, for it shares the machine with what it measures: requests
// are written by hand, of an answer only what is asked for is read, and what each
// goroutine has seen is added up in batches. BenchmarkClick says what a click
// costs; most of it is the kernel's.
//
// Goroutines: Run owns all of the process's: one per connection, one per stream
// or waiting follower, one that reports progress. Those of a phase end with it;
// streams live until the phase that closes them, or until Run returns.
package load
