package board

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

type metrics struct {
	asks         prometheus.Counter
	heals        prometheus.Counter
	healFailures prometheus.Counter
	ignored      *prometheus.CounterVec

	lag   *prometheus.Desc
	line  *prometheus.Desc
	units *prometheus.Desc
}

func newMetrics() *metrics {
	return &metrics{
		asks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_board_asks_total", Help: "Reads of a single request or result from the ledger.",
		}),
		heals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_board_heals_total", Help: "Reads of a partition from the ledger.",
		}),
		healFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_board_heal_failures_total", Help: "Reads of a partition from the ledger that failed.",
		}),
		ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anteroom_board_ignored_messages_total", Help: "Messages that are not about this log, or could not be read.",
		}, []string{"reason"}),
		lag: prometheus.NewDesc("anteroom_board_lag_seconds",
			"Time since the board last heard of the partition, by a message or from the ledger.", []string{"partition"}, nil),
		line: prometheus.NewDesc("anteroom_line_records",
			"Records of the partition that are known to be undecided.", []string{"partition"}, nil),
		units: prometheus.NewDesc("anteroom_units",
			"Units of each product's latest sale.", []string{"product", "state"}, nil),
	}
}

// collector gives the board's metrics as they are when it is asked.
type collector struct{ board *Board }

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	m := c.board.metrics
	m.asks.Describe(to)
	m.heals.Describe(to)
	m.healFailures.Describe(to)
	m.ignored.Describe(to)
	to <- m.lag
	to <- m.line
	to <- m.units
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	m := c.board.metrics
	m.asks.Collect(to)
	m.heals.Collect(to)
	m.healFailures.Collect(to)
	m.ignored.Collect(to)
	for _, p := range c.board.partitions {
		number := strconv.Itoa(int(p.number))
		if last := p.lastKnown(); !last.IsZero() {
			to <- prometheus.MustNewConstMetric(m.lag, prometheus.GaugeValue, time.Since(last).Seconds(), number)
		}
		to <- prometheus.MustNewConstMetric(m.line, prometheus.GaugeValue, float64(p.line()), number)
	}
	c.board.products.Range(func(product, _ any) bool {
		of, ok := c.board.Sale(product.(sale.Product))
		if !ok {
			return true
		}
		for _, units := range []struct {
			state string
			count int64
		}{
			{"available", of.Available}, {"reserved", of.Reserved}, {"held", of.Held}, {"confirmed", of.Confirmed},
		} {
			to <- prometheus.MustNewConstMetric(m.units, prometheus.GaugeValue, float64(units.count), string(of.Product), units.state)
		}
		return true
	})
}
