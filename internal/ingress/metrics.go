package ingress

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// metrics are what an ingress counts. No label holds a buyer, a ticket, or
// anything else that a client can make up.
type metrics struct {
	buys    *prometheus.CounterVec
	buy     prometheus.Histogram
	gate    prometheus.Histogram
	produce prometheus.Histogram

	latest atomic.Pointer[counted] // a crowd buys one product, and most hear the same
}

// counted is one of buys.
type counted struct {
	product sale.Product
	code    string
	counter prometheus.Counter
}

// Values of the label code of a buy that was not refused; of the others it is
// the problem's code.
const (
	buyAccepted = "accepted" // 202
	buyRepeated = "repeated" // 200
)

func newMetrics(registry *prometheus.Registry, open *streams, line *overload) (*metrics, error) {
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 14) // to 4 s
	m := &metrics{
		buys: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anteroom_buys_total", Help: "Buys answered, by product (empty if unknown) and code.",
		}, []string{"product", "code"}),
		buy: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "anteroom_buy_duration_seconds", Help: "From a buy's arrival to its answer.", Buckets: seconds,
		}),
		gate: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "anteroom_gate_duration_seconds", Help: "One question to the gate.", Buckets: seconds,
		}),
		produce: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "anteroom_produce_duration_seconds", Help: "From a record's append to its acknowledgement.", Buckets: seconds,
		}),
	}
	collectors := []prometheus.Collector{
		m.buys, m.buy, m.gate, m.produce,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "anteroom_buys_under_way", Help: "New buys that wait for the gate or the log.",
		}, func() float64 { return float64(line.underWay()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "anteroom_buys_shed_total", Help: "New buys turned away since more come than can be taken. They are among the buys with the code unavailable.",
		}, func() float64 { return float64(line.refused.Load()) }),
	}
	for t, name := range transports {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "anteroom_streams", Help: "Clients that are being followed.",
			ConstLabels: prometheus.Labels{"transport": name},
		}, func() float64 { return float64(open.of(transport(t))) }))
	}
	for _, collector := range collectors {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("registering the ingress's metrics: %w", err)
		}
	}
	return m, nil
}

// answered counts a buy. product is empty unless it is one that is on sale.
func (m *metrics) answered(product sale.Product, code string, started time.Time) {
	latest := m.latest.Load()
	if latest == nil || latest.product != product || latest.code != code {
		latest = &counted{product, code, m.buys.WithLabelValues(string(product), code)}
		m.latest.Store(latest)
	}
	latest.counter.Inc()
	m.buy.Observe(time.Since(started).Seconds())
}
