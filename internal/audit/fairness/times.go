package fairness

import (
	"maps"
	"math/bits"
	"slices"
)

// durations counts durations. It keeps one number for each that differs in its
// first 11 bits, so a sale with few requests needs little: a report has several
// of these for each sale, and a log may have thousands of sales.
type durations struct {
	count, negative, longest int64

	counts map[int64]int64 // by the duration, rounded up
	bins   [len(binStarts)]int64
}

const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// binStarts are where the bins of histograms begin, in milliseconds.
var binStarts = [...]int64{
	0, 1, 2, 5, 10, 20, 50, 100, 200, 500,
	second, 2 * second, 5 * second, 10 * second, 30 * second,
	minute, 2 * minute, 5 * minute, 10 * minute, 30 * minute,
	hour, 2 * hour, 6 * hour, 12 * hour,
	day, 2 * day, 7 * day, 30 * day,
}

// add counts a duration so many times.
func (t *durations) add(ms, times int64) {
	if ms < 0 {
		t.negative += times
		return
	}
	if t.counts == nil {
		t.counts = make(map[int64]int64)
	}
	t.count += times
	t.longest = max(t.longest, ms)
	t.counts[roundedUp(ms)] += times
	bin, found := slices.BinarySearch(binStarts[:], ms)
	if !found {
		bin--
	}
	t.bins[bin] += times
}

// roundedUp gives the greatest number that has the same first 11 significant
// bits: what HdrHistogram makes of it with three significant digits.
func roundedUp(ms int64) int64 {
	const significant = 11
	dropped := max(0, bits.Len64(uint64(ms))-significant)
	return ms | (1<<dropped - 1)
}

func (t *durations) report() Times {
	r := Times{Count: t.count, Negative: t.negative, Max: t.longest, Histogram: []Bin{}}
	if t.count == 0 {
		return r
	}
	percentiles := []struct {
		percent int64
		into    *int64
	}{{50, &r.P50}, {90, &r.P90}, {99, &r.P99}}
	seen := int64(0)
	for _, ms := range slices.Sorted(maps.Keys(t.counts)) {
		seen += t.counts[ms]
		for len(percentiles) > 0 && seen >= rank(percentiles[0].percent, t.count) {
			*percentiles[0].into = min(ms, t.longest)
			percentiles = percentiles[1:]
		}
	}
	last := len(t.bins) - 1
	for t.bins[last] == 0 {
		last--
	}
	for i, count := range t.bins[:last+1] {
		if count == 0 && len(r.Histogram) == 0 {
			continue
		}
		bin := Bin{From: binStarts[i], Count: count}
		if i+1 < len(binStarts) {
			bin.To = binStarts[i+1]
		}
		r.Histogram = append(r.Histogram, bin)
	}
	return r
}

// rank is the nearest rank of a percentile: the percentage of the count,
// rounded up.
func rank(percent, count int64) int64 {
	whole, rest := count/100, count%100 // the product may not fit
	return whole*percent + (rest*percent+99)/100
}
