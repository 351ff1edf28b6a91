// Package saletest makes random logs of one partition, for property tests of
// whatever applies, keeps or replays records.
//
// The logs are meant to be unpleasant: few buyers and few units, so that
// duplicates, limits and sold-out sales are common; records that are aimed at
// requests which exist, do not exist or are another product's; values outside
// every bound; timestamps that go back, stand still, jump, and fall exactly on
// the ends of holds. Shrinking leaves records out, so a failing log is short.
//
// The package has no goroutines.
package saletest
