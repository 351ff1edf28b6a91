package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var _ audit.Log = (*History)(nil)

// History is the topic, open for reading alone: it has no producer.
type History struct {
	log *Log
}

// OpenHistory opens the topic. Whether its settings would do for a service does
// not matter: what is in it can be read.
func OpenHistory(ctx context.Context, config Config) (*History, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	client, err := newClient(config)
	if err != nil {
		return nil, err
	}
	described, err := describe(ctx, client, config.Topic)
	if err != nil {
		client.Close()
		return nil, err
	}
	l := newLog(config)
	l.client, l.id = client, described.TopicID
	l.know(len(described.Partitions))
	return &History{log: l}, nil
}

// Topic implements [audit.Log].
func (h *History) Topic() event.TopicID { return h.log.Topic() }

// Partitions implements [audit.Log].
func (h *History) Partitions() int32 { return h.log.Partitions() }

// Bounds implements [audit.Log].
func (h *History) Bounds(ctx context.Context, partition int32) (start, end sale.Offset, err error) {
	return h.log.Bounds(ctx, partition)
}

// Open implements [audit.Log].
func (h *History) Open(partition int32, from sale.Offset) (audit.Reader, error) {
	r, err := h.log.read(partition, from, maxHistoryBytes)
	if err != nil {
		return nil, err
	}
	return historyReader{r}, nil
}

// maxHistoryBytes is how much one fetch of a history brings at most.
const maxHistoryBytes = 8 << 20

// historyReader is a reader that does not care for the log's end.
type historyReader struct{ *reader }

// Read implements [audit.Reader].
func (r historyReader) Read(ctx context.Context) ([]event.Entry, error) {
	entries, _, err := r.reader.Read(ctx)
	if errors.Is(err, ErrGap) {
		err = fmt.Errorf("%w: %w", audit.ErrMissing, err)
	}
	return entries, err
}

// Close ends the connections, after the readers have been closed.
func (h *History) Close() { h.log.client.Close() }
