package allocator

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	decisions            *prometheus.CounterVec
	batchRecords         prometheus.Histogram
	commitDuration       prometheus.Histogram
	epoch                *prometheus.GaugeVec
	fenceLost            prometheus.Counter
	skew                 *prometheus.GaugeVec
	announcementsDropped prometheus.Counter
	creditsFailed        prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	factory := promauto.With(r)
	return &metrics{
		decisions: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "anteroom_decisions_total", Help: "Decisions about requests, committed.",
		}, []string{"product", "outcome"}),
		batchRecords: factory.NewHistogram(prometheus.HistogramOpts{
			Name: "anteroom_batch_records", Help: "Records per committed batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 9),
		}),
		commitDuration: factory.NewHistogram(prometheus.HistogramOpts{
			Name: "anteroom_commit_duration_seconds", Help: "Time that a batch's transaction took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		epoch: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "anteroom_partition_epoch", Help: "Epoch under which this process owns the partition.",
		}, []string{"partition"}),
		fenceLost: factory.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_fence_lost_total", Help: "Batches refused because the partition had moved on.",
		}),
		skew: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "anteroom_log_clock_skew_seconds", Help: "How far the broker's clock was ahead of this process's at the last tick.",
		}, []string{"partition"}),
		announcementsDropped: factory.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_announcements_dropped_total", Help: "Messages to boards that were not published; boards heal from the ledger.",
		}),
		creditsFailed: factory.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_credits_failed_total", Help: "Times that the gate could not be told what can still be sold; it is told again within a second.",
		}),
	}
}

// forget drops what only a partition's owner can say.
func (m *metrics) forget(partition int32) {
	m.epoch.DeleteLabelValues(label(partition))
	m.skew.DeleteLabelValues(label(partition))
}

func label(partition int32) string { return strconv.Itoa(int(partition)) }
