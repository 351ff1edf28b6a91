// Package saletest makes random logs of one partition, for property tests of
// whatever applies, keeps or replays records.
//
// The logs are meant to be unpleasant: few buyers and few units, so that
// duplicates, limits, waitlists and sold-out sales are common; sales of both
// rules under every schema, of every policy, paced, scheduled, paused, changed,
// closed, retired and made again; records that are aimed at requests which exist, do not
// exist or are another product's; values outside every bound; timestamps that
// go back, stand still, jump, leap over a month, and fall exactly on the time at
// which something is due. To aim, a log is applied by the core while it is made; what the core
// answers never says what is right. Shrinking leaves records out, so a failing
// log is short.
//
// The package has no goroutines.
package saletest
