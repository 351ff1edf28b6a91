package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// newHistogram counts microseconds, to three digits.
func newHistogram() *hdrhistogram.Histogram {
	const longest = int64(10 * time.Minute / time.Microsecond)
	return hdrhistogram.New(1, longest, 3)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue())) // cannot fail within its bounds
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	at := func(percent float64) float64 { return float64(h.ValueAtQuantile(percent)) / 1000 }
	return Quantiles{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000}
}

// curve gives the points of a latency curve, closer together towards the end,
// where a curve is looked at.
func curve(h *hdrhistogram.Histogram) []LatencyPoint {
	if h.TotalCount() == 0 {
		return nil
	}
	var points []LatencyPoint
	for _, q := range [...]float64{
		0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985,
		0.99, 0.9925, 0.995, 0.9975, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 1,
	} {
		ms := float64(h.ValueAtQuantile(q*100)) / 1000
		if q == 1 {
			ms = float64(h.Max()) / 1000
		}
		points = append(points, LatencyPoint{Quantile: q, MS: ms})
	}
	return points
}
