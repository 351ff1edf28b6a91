package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/webhook"
	"github.com/anteroomhq/anteroom/pkg/event"
)

var (
	_ allocator.Decisions = (*Decisions)(nil)
	_ webhook.Source      = (*DecisionReader)(nil)
)

// ErrTooFewPartitions means that the topic of decisions does not have a
// partition for each of the log's.
var ErrTooFewPartitions = errors.New("the topic of decisions has fewer partitions than the log: run anteroom migrate")

// maxDecisionsBuffered bounds, in bytes, what all partitions together have
// waiting for acknowledgements. What does not fit waits for room.
const maxDecisionsBuffered = 64 << 20

// Decisions is the topic of decisions, open for appending. Its producer is its
// own, so that neither buys nor ticks wait for decisions. Its methods may be
// called from several goroutines.
type Decisions struct {
	config Config
	client *kgo.Client
}

// CheckDecisions looks at the topic of decisions, and refuses one that could
// lose them, or has fewer partitions than the log.
func CheckDecisions(ctx context.Context, config Config, log Topic) error {
	config, err := config.complete()
	if err != nil {
		return err
	}
	client, err := newClient(config)
	if err != nil {
		return err
	}
	defer client.Close()
	config.decisions = true
	topic, err := check(ctx, client, config)
	if err == nil && len(topic.Partitions) < len(log.Partitions) {
		err = fmt.Errorf("topic %s: %w", config.Topic, ErrTooFewPartitions)
	}
	return err
}

// OpenDecisions makes a producer for the topic that config names.
func OpenDecisions(config Config) (*Decisions, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	client, err := newClient(config, slices.Concat(measured(config), []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), // and idempotent, which is the default
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.ProduceRequestTimeout(replicaTimeout),
		kgo.UnknownTopicRetries(-1),
		kgo.MaxBufferedRecords(1 << 20),
		kgo.MaxBufferedBytes(maxDecisionsBuffered),
		// A publication that is given up is repeated as a whole, by whoever owns
		// the partition then, so what is on its way need not be waited for.
		kgo.AllowIdempotentProduceCancellation(),
	})...)
	if err != nil {
		return nil, err
	}
	return &Decisions{config: config, client: client}, nil
}

// Publish implements [allocator.Decisions]. One partition's calls come one
// after the other.
func (d *Decisions) Publish(ctx context.Context, partition int32, lines []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var first error
	var once sync.Once
	for key, value := range event.DecisionLines(lines) {
		if len(key) == 0 {
			key = nil
		}
		all.Add(1)
		d.client.Produce(ctx, &kgo.Record{Topic: d.config.Topic, Partition: partition, Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() {
					first = err
					cancel() // nothing is to come after what is missing
				})
			}
			all.Done()
		})
	}
	all.Wait()
	if first != nil {
		d.client.ForceMetadataRefresh() // it may be that the partition is new
		return fmt.Errorf("appending to topic %s, partition %d: %w", d.config.Topic, partition, first)
	}
	return nil
}

// Close ends the producer; a Publish underway fails.
func (d *Decisions) Close() { d.client.Close() }

// Bounds of what a DecisionReader takes in at once.
const (
	maxDecisionsPolled = 500
	commitTimeout      = 5 * time.Second
)

// DecisionReader reads the topic of decisions as a member of a consumer group,
// from where the group has got to, or else from the beginning.
type DecisionReader struct {
	config Config
	client *kgo.Client
}

// ReadDecisions takes part in config's group on config's topic. A group that
// never read it begins with what comes from now on: nobody wants to hear of last
// week's holds.
func ReadDecisions(ctx context.Context, config Config) (*DecisionReader, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	if err := beginAtEnd(ctx, config); err != nil {
		return nil, err
	}
	client, err := newClient(config, slices.Concat(measured(config), []kgo.Opt{
		kgo.ConsumerGroup(config.Group),
		kgo.ConsumeTopics(config.Topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatEvery),
		// For partitions that came later, and where retention was faster.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxBytes(maxFetchBytes),
	})...)
	if err != nil {
		return nil, err
	}
	return &DecisionReader{config: config, client: client}, nil
}

// beginAtEnd stores the topic's end as what a group that stored nothing yet has
// read. Otherwise what is appended while nobody is in the group, before it has
// stored anything of that partition, would be passed over. The coordinator of a
// cluster's first group takes a moment to be there.
func beginAtEnd(ctx context.Context, config Config) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	client, err := newClient(config)
	if err != nil {
		return err
	}
	defer client.Close()
	for attempt := 1; ; attempt++ {
		err := tryBeginAtEnd(ctx, kadm.NewClient(client), config)
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the coordinator of group %s: %w; last: %w", config.Group, ctx.Err(), err)
		case <-time.After(retryBackoff(attempt)):
		}
	}
}

func tryBeginAtEnd(ctx context.Context, admin *kadm.Client, config Config) error {
	stored, err := admin.FetchOffsets(ctx, config.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("asking how far group %s has read: %w", config.Group, err)
	}
	if len(stored[config.Topic]) > 0 {
		return nil
	}
	ends, err := admin.ListEndOffsets(ctx, config.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("asking where topic %s ends: %w", config.Topic, err)
	}
	err = admin.CommitAllOffsets(ctx, config.Group, ends.Offsets())
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) {
		return nil // another has just begun
	}
	if err != nil {
		return fmt.Errorf("beginning at the end of topic %s: %w", config.Topic, err)
	}
	return nil
}

// Poll implements [webhook.Source].
func (r *DecisionReader) Poll(ctx context.Context) ([]webhook.Record, error) {
	for {
		fetches := r.client.PollRecords(ctx, maxDecisionsPolled)
		if fetches.IsClientClosed() {
			return nil, ErrClosed
		}
		records := make([]webhook.Record, 0, fetches.NumRecords())
		fetches.EachRecord(func(record *kgo.Record) {
			records = append(records, webhook.Record{
				Place: webhook.Place{Partition: record.Partition, Offset: record.Offset, Epoch: record.LeaderEpoch}, Value: record.Value,
			})
		})
		if len(records) > 0 {
			return records, nil
		}
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("reading topic %s: %w", r.config.Topic, err)
		}
	}
}

// Commit implements [webhook.Source].
func (r *DecisionReader) Commit(ctx context.Context, done []webhook.Place) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	records := make([]*kgo.Record, len(done))
	for i, at := range done {
		records[i] = &kgo.Record{Topic: r.config.Topic, Partition: at.Partition, Offset: at.Offset, LeaderEpoch: at.Epoch}
	}
	if err := r.client.CommitRecords(ctx, records...); err != nil {
		return fmt.Errorf("noting how far topic %s is read: %w", r.config.Topic, err)
	}
	return nil
}

// Close leaves the group and ends the reader.
func (r *DecisionReader) Close() { r.client.Close() }
