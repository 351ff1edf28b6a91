package rebuild

import (
	"context"
	"slices"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
)

// memoryLedger keeps what is written.
type memoryLedger struct {
	batches  []Batch
	finished bool
	failing  error // of a Write; nil: none
}

func (l *memoryLedger) Begin(_ context.Context, _ event.TopicID, extents []audit.Extent) ([]audit.Extent, error) {
	return extents, nil
}

func (l *memoryLedger) Clear(context.Context, int32) error {
	l.batches = nil
	return nil
}

func (l *memoryLedger) Seat(context.Context, int32, *audit.State) error { return nil }

func (l *memoryLedger) Write(_ context.Context, b *Batch) error {
	if l.failing != nil {
		return l.failing
	}
	kept := *b
	kept.Marks, kept.Sales = slices.Clone(b.Marks), slices.Clone(b.Sales)
	kept.Requests, kept.Results, kept.Starts = slices.Clone(b.Requests), slices.Clone(b.Results), slices.Clone(b.Starts)
	l.batches = append(l.batches, kept)
	return nil
}

func (l *memoryLedger) Finish(ctx context.Context, b *Batch) ([]BoundTwice, error) {
	if err := l.Write(ctx, b); err != nil {
		return nil, err
	}
	l.finished = true
	return nil, nil
}

// publishedDecisions is a topic of decisions.
type publishedDecisions []*event.Decision

func (p publishedDecisions) Last(context.Context, int32) ([]*event.Decision, error) {
	return slices.Clone(p), nil
}
