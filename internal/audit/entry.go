package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// ErrNotThere means that there is no record at an offset, and has been none.
var ErrNotThere = errors.New("no such record")

// Entry reads one record. The error wraps ErrNotThere or ErrTruncated where the
// log does not have it.
func (h *History) Entry(ctx context.Context, partition int32, offset sale.Offset) (*event.Entry, error) {
	id := ticket.PublicID(partition, int64(offset))
	if partition < 0 || partition >= h.Log.Partitions() {
		return nil, fmt.Errorf("%s: the log has no partition %d, but 0 to %d: %w", id, partition, h.Log.Partitions()-1, ErrNotThere)
	}
	start, end, err := h.Log.Bounds(ctx, partition)
	if err != nil {
		return nil, fmt.Errorf("asking where partition %d ends: %w", partition, err)
	}
	switch {
	case offset >= end:
		return nil, fmt.Errorf("%s: partition %d ends before offset %d: %w", id, partition, end, ErrNotThere)
	case offset < start:
		return nil, fmt.Errorf("%s: partition %d starts at offset %d, its earlier records are gone: %w", id, partition, start, ErrTruncated)
	}
	reader, err := h.Log.Open(partition, offset)
	if err != nil {
		return nil, fmt.Errorf("opening partition %d: %w", partition, err)
	}
	defer reader.Close()
	one := newDecoding(reader, offset, offset+1)
	entries, err := one.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading partition %d: %w", partition, err)
	}
	return &entries[0], nil
}
