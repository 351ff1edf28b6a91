package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var (
	// ErrOutOfRange means that the log does not have the offset: retention has
	// removed it, or the log ends before it.
	ErrOutOfRange = errors.New("the log does not have the offset")
	// ErrGap means that the record that came is not the one that follows.
	ErrGap = errors.New("the log has a gap")
)

const (
	// A Read gives at most this many records. One fetch brings about as many
	// buys.
	maxReadRecords = 20_000
	maxFetchBytes  = 4 << 20
	// How long the broker holds a fetch to which it has nothing to say. It
	// answers at once when a record arrives.
	fetchWait = 500 * time.Millisecond
	// Entry's limit, unless its context ends earlier.
	entryTimeout = 10 * time.Second
)

// reader reads one partition with a client of its own, so that a slow owner
// holds up no other. Its methods are called from one goroutine.
type reader struct {
	log       *Log
	partition int32
	next      sale.Offset
	client    *kgo.Client
	gap       error // that was come upon; nil: none
}

// Open reads partition from offset on. Nothing is read from elsewhere: an
// offset that the log does not have is ErrOutOfRange, of Read. While no broker
// answers, Read waits.
func (l *Log) Open(partition int32, from sale.Offset) (allocator.Reader, error) {
	return l.read(partition, from, maxFetchBytes)
}

func (l *Log) read(partition int32, from sale.Offset, fetchBytes int32) (*reader, error) {
	if partition < 0 || from < 0 {
		return nil, fmt.Errorf("reading partition %d from %d: %w", partition, from, ErrOutOfRange)
	}
	client, err := newClient(l.config, slices.Concat(l.metered, []kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			l.config.Topic: {partition: kgo.NewOffset().At(int64(from))},
		}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMinBytes(1),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchBytes),
		kgo.DisableFetchSessions(), // one partition: nothing to save, and no farewell to wait for
	})...)
	if err != nil {
		return nil, err
	}
	return &reader{log: l, partition: partition, next: from, client: client}, nil
}

// Read waits for records and gives at least one and at most about 20,000, with
// the log's end as the broker last told it. The entries are the caller's. After
// an error the reader is of no more use, unless the error is ctx's.
func (r *reader) Read(ctx context.Context) ([]event.Entry, sale.Offset, error) {
	for {
		if r.gap != nil {
			return nil, 0, fmt.Errorf("reading partition %d at %d: %w", r.partition, r.next, r.gap)
		}
		fetches := r.client.PollRecords(ctx, maxReadRecords)
		if fetches.IsClientClosed() {
			return nil, 0, ErrClosed
		}
		entries, end, err := r.entries(fetches)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, 0, fmt.Errorf("reading partition %d at %d: %w", r.partition, r.next, err)
		}
		if len(entries) > 0 {
			r.next = entries[len(entries)-1].Offset + 1
			return entries, max(end, r.next), nil
		}
	}
}

// entries takes out of a poll what follows, and only that.
func (r *reader) entries(fetches kgo.Fetches) ([]event.Entry, sale.Offset, error) {
	entries := make([]event.Entry, 0, fetches.NumRecords())
	next := r.next
	var end sale.Offset
	for _, fetch := range fetches {
		for _, topic := range fetch.Topics {
			for _, partition := range topic.Partitions {
				switch {
				case errors.Is(partition.Err, kerr.OffsetOutOfRange):
					return nil, 0, ErrOutOfRange
				case errors.Is(partition.Err, kerr.UnknownTopicID):
					return nil, 0, r.log.recreated()
				case partition.Err != nil:
					return nil, 0, partition.Err
				}
				if len(partition.Records) > 0 && event.TopicID(topic.TopicID) != r.log.id {
					return nil, 0, r.log.recreated()
				}
				end = max(end, sale.Offset(partition.HighWatermark))
				for _, record := range partition.Records {
					if sale.Offset(record.Offset) != next {
						r.gap = fmt.Errorf("%w: offset %d came where %d was due", ErrGap, record.Offset, next)
						if len(entries) > 0 {
							return entries, end, nil // what comes before it comes first
						}
						return nil, 0, r.gap
					}
					entries = append(entries, event.Entry{
						Offset: next,
						// Where the broker sets the time, this is the batch's
						// append time, as the broker wrote it.
						Time:  sale.Time(record.Timestamp.UnixMilli()),
						Key:   record.Key,
						Value: record.Value,
					})
					next++
				}
			}
		}
	}
	return entries, end, nil
}

// Close ends the reader. A Read underway returns ErrClosed.
func (r *reader) Close() { r.client.Close() }

// Bounds gives the offset of the first record that the partition still has and
// the offset that its next one will get.
func (l *Log) Bounds(ctx context.Context, partition int32) (start, end sale.Offset, err error) {
	const first, next = -2, -1 // in place of a time
	if start, err = l.offset(ctx, partition, first); err != nil {
		return 0, 0, fmt.Errorf("asking where partition %d starts: %w", partition, err)
	}
	if end, err = l.offset(ctx, partition, next); err != nil {
		return 0, 0, fmt.Errorf("asking where partition %d ends: %w", partition, err)
	}
	if err := l.confirm(ctx); err != nil {
		return 0, 0, err
	}
	return start, end, nil
}

func (l *Log) offset(ctx context.Context, partition int32, which int64) (sale.Offset, error) {
	asked := kmsg.NewListOffsetsRequestTopicPartition()
	asked.Partition = partition
	asked.Timestamp = which
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = l.config.Topic
	topic.Partitions = append(topic.Partitions, asked)
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, l.client)
	if err != nil {
		return 0, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, errors.New("the broker's answer is not about one partition")
	}
	answer := response.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return 0, err
	}
	return sale.Offset(answer.Offset), nil
}

// Entry reads the one record at offset, within 10 s.
func (l *Log) Entry(ctx context.Context, partition int32, offset sale.Offset) (event.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, entryTimeout)
	defer cancel()
	// A read at the end would wait for a record to come.
	start, end, err := l.Bounds(ctx, partition)
	if err != nil {
		return event.Entry{}, err
	}
	if offset < start || offset >= end {
		return event.Entry{}, fmt.Errorf("reading record %d of partition %d, which has [%d, %d): %w", offset, partition, start, end, ErrOutOfRange)
	}
	reader, err := l.read(partition, offset, 64<<10)
	if err != nil {
		return event.Entry{}, err
	}
	defer reader.Close()
	entries, _, err := reader.Read(ctx)
	if err != nil {
		return event.Entry{}, err
	}
	return entries[0], nil
}
