package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Spread is a median and an interval for it.
//
// The interval is taken from the sorted values themselves and assumes nothing
// about how they are distributed, only that rounds are alike and do not depend
// on each other: from the k-th least to the k-th greatest, with the largest k
// that still holds the true median in at least 95 of 100 runs. It misses where
// fewer than k of n values fall on one side of it, which happens as often as
// fewer than k of n fair coins show heads; so it is the set of medians that a
// two-sided sign test at 5 % would not refuse. Below 6 values no k holds 95 %:
// then it is the least and the greatest, and [Coverage] says how much that is
// worth.
//
// Sources: W. R. Thompson, "On confidence ranges for the median and other
// expectation distributions for populations of unknown distribution form",
// Annals of Mathematical Statistics 7 (1936), 122–128; H. A. David and
// H. N. Nagaraja, Order Statistics, 3rd edition, section 7.1.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// wanted is the least coverage of an interval.
const wanted = 0.95

// Of gives the median of values and its interval. It refuses none at all, and
// what is no finite number.
func Of(values []float64) (Spread, error) {
	if len(values) == 0 {
		return Spread{}, errors.New("a median of no values")
	}
	for i, v := range values {
		if !finite(v) {
			return Spread{}, fmt.Errorf("a median of values of which number %d is %v", i, v)
		}
	}
	sorted := slices.Sorted(slices.Values(values))
	n, skip := len(sorted), skipped(len(sorted))
	low, high := sorted[(n-1)/2], sorted[n/2]
	return Spread{
		// Halved first, so that the sum of the greatest numbers is one too.
		Median: min(max(low/2+high/2, low), high),
		Low:    sorted[skip], High: sorted[n-1-skip],
	}, nil
}

// Paired gives the median of a[i] / b[i] and its interval. The i-th rounds of
// two arms ran one after the other, so that what slowed the machine in one
// slowed it in both; the quotients are taken pair by pair, and are steadier
// than the quotient of two medians. It refuses unequal lengths, no pairs, what
// is negative or no finite number, and a divisor of 0.
func Paired(a, b []float64) (Ratio, error) {
	if len(a) != len(b) {
		return Ratio{}, fmt.Errorf("a ratio of %d rounds to %d, which are no pairs", len(a), len(b))
	}
	if len(a) == 0 {
		return Ratio{}, errors.New("a ratio of no rounds")
	}
	quotients := make([]float64, len(a))
	for i := range a {
		quotients[i] = a[i] / b[i]
		if !finite(a[i]) || !finite(b[i]) || a[i] < 0 || b[i] <= 0 || !finite(quotients[i]) {
			return Ratio{}, fmt.Errorf("a ratio of rounds of which number %d is %v to %v", i, a[i], b[i])
		}
	}
	spread, err := Of(quotients)
	return Ratio{Spread: spread}, err
}

// Coverage says how often an interval of n rounds holds the true median, from
// 0 for a single round on.
func Coverage(n int) float64 {
	if n < 1 {
		return 0
	}
	missed := 0.0
	for k := range skipped(n) + 1 {
		missed += 2 * heads(n, k)
	}
	return 1 - missed
}

// skipped is how many values lie outside of the interval on either side.
func skipped(n int) int {
	missed := 2 * heads(n, 0)
	for k := 1; ; k++ {
		missed += 2 * heads(n, k)
		if 1-missed < wanted {
			return k - 1
		}
	}
}

// heads is the probability that exactly k of n fair coins show heads. It goes
// by logarithms, since 2^n leaves a float64 at n = 1024.
func heads(n, k int) float64 {
	choose := logFactorial(n) - logFactorial(k) - logFactorial(n-k)
	return math.Exp(choose - float64(n)*math.Ln2)
}

func logFactorial(n int) float64 {
	log, _ := math.Lgamma(float64(n) + 1)
	return log
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
