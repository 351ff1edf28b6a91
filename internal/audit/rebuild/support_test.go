package rebuild

import (
	"context"
	"slices"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// rebuildLog is a log of one partition, in memory.
type rebuildLog struct {
	entries []event.Entry
}

func (l *rebuildLog) Topic() event.TopicID { return event.TopicID{7} }
func (l *rebuildLog) Partitions() int32    { return 1 }

func (l *rebuildLog) Bounds(context.Context, int32) (start, end sale.Offset, err error) {
	return 0, sale.Offset(len(l.entries)), nil
}

func (l *rebuildLog) Open(_ int32, from sale.Offset) (audit.Reader, error) {
	return &rebuildReader{rest: l.entries[from:]}, nil
}

type rebuildReader struct{ rest []event.Entry }

func (r *rebuildReader) Read(ctx context.Context) ([]event.Entry, error) {
	if len(r.rest) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	some := r.rest[:min(9, len(r.rest))]
	r.rest = r.rest[len(some):]
	return slices.Clone(some), nil
}

func (r *rebuildReader) Close() {}

// rebuildLedger keeps what is written.
type rebuildLedger struct {
	batches  []Batch
	finished bool
	failing  error // of a Write; nil: none
}

func (l *rebuildLedger) Begin(_ context.Context, _ event.TopicID, extents []audit.Extent) ([]audit.Extent, error) {
	return extents, nil
}

func (l *rebuildLedger) Clear(context.Context, int32) error {
	l.batches = nil
	return nil
}

func (l *rebuildLedger) Seat(context.Context, int32, *audit.State) error { return nil }

func (l *rebuildLedger) Write(_ context.Context, b *Batch) error {
	if l.failing != nil {
		return l.failing
	}
	kept := *b
	kept.Marks, kept.Sales = slices.Clone(b.Marks), slices.Clone(b.Sales)
	kept.Requests, kept.Results, kept.Starts = slices.Clone(b.Requests), slices.Clone(b.Results), slices.Clone(b.Starts)
	l.batches = append(l.batches, kept)
	return nil
}

func (l *rebuildLedger) Finish(ctx context.Context, b *Batch) ([]BoundTwice, error) {
	if err := l.Write(ctx, b); err != nil {
		return nil, err
	}
	l.finished = true
	return nil, nil
}

// rebuildPublished is a topic of decisions.
type rebuildPublished []*event.Decision

func (p rebuildPublished) Last(context.Context, int32) ([]*event.Decision, error) {
	return slices.Clone(p), nil
}
