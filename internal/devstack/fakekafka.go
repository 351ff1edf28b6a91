package devstack

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// FakeKafkaConfig says how an in-process Kafka runs.
type FakeKafkaConfig struct {
	Port int    // 0: a free one
	Dir  string // where topics are kept; empty: in memory only
}

// FakeKafka is an in-process Kafka of one broker (kfake), which speaks the real
// protocol on a loopback port. It differs from Apache Kafka in these ways, read
// from its source at the version in go.mod:
//
//   - It stores the topic setting message.timestamp.type and answers with it
//     when asked, but does not act on it: a produced batch gets the broker's
//     time only when the client itself has set the batch's LogAppendTime
//     attribute (00_produce.go), which clients do not do. So a record's time is
//     the producer's clock, and only on this backend that clock serves as the
//     log's. Records are fetched with the type CreateTime.
//   - With Dir it writes every batch to disk and reads topics, their ids,
//     records, groups and producers back at the next start. Batches are synced
//     to the disk when a segment is rolled and at Close, so a crash of this
//     process keeps them and a crash of the machine may lose the last ones.
//   - Without Dir everything is in this process's memory, records included,
//     until Close.
type FakeKafka struct {
	Address string // host:port of the one broker

	config FakeKafkaConfig

	mu      sync.Mutex // held while the cluster is started or ended
	cluster *kfake.Cluster
}

// StartFakeKafka starts an in-process Kafka. Topics are never created by use.
func StartFakeKafka(config FakeKafkaConfig) (*FakeKafka, error) {
	k := &FakeKafka{config: config}
	err := withPort(config.Port, func(port int) error {
		k.config.Port = port
		return k.start()
	})
	if err != nil {
		return nil, err
	}
	k.Address = loopback(k.config.Port)
	return k, nil
}

// Stop ends the broker. With a Dir, Restart brings it back with its data.
func (k *FakeKafka) Stop() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster != nil {
		k.cluster.Close()
		k.cluster = nil
	}
	return nil
}

// Restart starts the broker again on the same port with the same data, which
// needs a Dir.
func (k *FakeKafka) Restart(context.Context) error {
	if k.config.Dir == "" {
		return errors.New("restarting the in-process kafka: it keeps no data without a folder")
	}
	if err := k.Stop(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.start()
}

// Close ends the broker for good.
func (k *FakeKafka) Close() error { return k.Stop() }

func (k *FakeKafka) start() error {
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(k.config.Port),
		kfake.ClusterID("anteroom-embedded"),
	}
	if k.config.Dir != "" {
		options = append(options, kfake.DataDir(k.config.Dir))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return fmt.Errorf("starting the in-process kafka: %w", err)
	}
	k.cluster = cluster
	return nil
}
