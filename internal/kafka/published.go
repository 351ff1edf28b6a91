package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/audit/rebuild"
	"github.com/anteroomhq/anteroom/pkg/event"
)

var _ rebuild.Published = (*Published)(nil)

const (
	lastDecisions  = 1000
	publishedLimit = 30 * time.Second // of one call
)

// Published is the topic of decisions, open for looking at its end.
type Published struct {
	config Config
	admin  *kgo.Client
}

// OpenPublished opens the topic of decisions that config names, of a log with so
// many partitions.
func OpenPublished(ctx context.Context, config Config, partitions int32) (*Published, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	client, err := newClient(config)
	if err != nil {
		return nil, err
	}
	described, err := describe(ctx, client, config.Topic)
	if err == nil && len(described.Partitions) < int(partitions) {
		err = fmt.Errorf("topic %s: %w", config.Topic, ErrTooFewPartitions)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return &Published{config: config, admin: client}, nil
}

// Last implements [rebuild.Published].
func (p *Published) Last(ctx context.Context, partition int32) ([]*event.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, publishedLimit)
	defer cancel()
	start, end, err := p.bounds(ctx, partition)
	if err != nil || start == end {
		return nil, err
	}
	start = max(start, end-lastDecisions)
	reader, err := newClient(p.config,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.config.Topic: {partition: kgo.NewOffset().At(start)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchWait),
	)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var last []*event.Decision
	for next := start; next < end; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("reading topic %s, partition %d at %d: %w", p.config.Topic, partition, next, err)
		}
		for _, record := range fetches.Records() {
			decision, err := event.DecodeDecision(record.Value)
			if err != nil {
				return nil, fmt.Errorf("record %d of topic %s, partition %d: %w", record.Offset, p.config.Topic, partition, err)
			}
			last, next = append(last, decision), record.Offset+1
		}
	}
	return last, nil
}

func (p *Published) bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	admin := kadm.NewClient(p.admin)
	starts, err := admin.ListStartOffsets(ctx, p.config.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("asking where topic %s starts: %w", p.config.Topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, p.config.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("asking where topic %s ends: %w", p.config.Topic, err)
	}
	first, known := starts.Lookup(p.config.Topic, partition)
	next, alsoKnown := ends.Lookup(p.config.Topic, partition)
	if !known || !alsoKnown {
		return 0, 0, fmt.Errorf("asking for the bounds of topic %s: no answer for partition %d", p.config.Topic, partition)
	}
	return first.Offset, next.Offset, nil
}

// Close ends the connections.
func (p *Published) Close() { p.admin.Close() }
