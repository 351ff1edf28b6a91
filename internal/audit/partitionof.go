package audit

import (
	"context"
	"fmt"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// PartitionOf finds the partition that a product belongs to, by the log alone:
// it is the only one that has records of it which can be read. It is false where
// no partition has any. The log may have to be read to its end for it.
func (h *History) PartitionOf(ctx context.Context, product sale.Product) (int32, bool, error) {
	for partition := range h.Log.Partitions() {
		found, err := h.mentions(ctx, partition, product)
		if err != nil {
			return 0, false, fmt.Errorf("looking for product %q in partition %d: %w", product, partition, err)
		}
		if found {
			return partition, true, nil
		}
	}
	return 0, false, nil
}

// mentions reports whether a partition has a record of the product.
func (h *History) mentions(ctx context.Context, partition int32, product sale.Product) (bool, error) {
	start, end, err := h.Log.Bounds(ctx, partition)
	if err != nil || start >= end {
		return false, err
	}
	reader, err := h.Log.Open(partition, start)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	for next := start; next < end; {
		entries, err := readSoon(ctx, reader, next)
		if err != nil {
			return false, err
		}
		for i := range entries {
			if string(entries[i].Key) == string(product) && event.Decode(entries[i].Value) != nil {
				return true, nil
			}
		}
		next = entries[len(entries)-1].Offset + 1
	}
	return false, nil
}
