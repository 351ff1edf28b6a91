package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// metrics is one set of kprom's for a Log's producer and all its readers
// together. With a set each, series would come and go with every reader. The
// gauges of what is buffered are the producer's.
type metrics struct {
	*kprom.Metrics
	first *kgo.Client // which outlives the others
}

// measured gives the option by which clients are measured; none without a
// registerer.
func measured(config Config) []kgo.Opt {
	if config.Registerer == nil {
		return nil
	}
	return []kgo.Opt{kgo.WithHooks(&metrics{Metrics: kprom.NewMetrics("anteroom_kafka",
		kprom.Registerer(config.Registerer),
		kprom.WithClientLabel(),
		kprom.FetchAndProduceDetail(kprom.ByNode, kprom.ByTopic, kprom.Batches, kprom.Records, kprom.UncompressedBytes),
	)})}
}

// OnNewClient registers the set with the first client.
func (m *metrics) OnNewClient(client *kgo.Client) {
	if m.first == nil {
		m.first = client
		m.Metrics.OnNewClient(client)
	}
}

// OnClientClosed drops the set with the first client.
func (m *metrics) OnClientClosed(client *kgo.Client) {
	if m.first == client {
		m.Metrics.OnClientClosed(client)
	}
}
