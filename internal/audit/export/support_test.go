package export

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// goldenEntries reads a golden log.
func goldenEntries(t testing.TB, name string) []event.Entry {
	t.Helper()
	return audittest.File(t, filepath.Join(audittest.Golden, name+".jsonl"))
}

// testLog is a log in memory, a slice for each partition.
type testLog [][]event.Entry

func (l testLog) Topic() event.TopicID { return audittest.Topic }
func (l testLog) Partitions() int32    { return int32(len(l)) }

func (l testLog) Bounds(ctx context.Context, partition int32) (start, end sale.Offset, err error) {
	return (&audittest.Log{Entries: l}).Bounds(ctx, partition)
}

func (l testLog) Open(partition int32, from sale.Offset) (audit.Reader, error) {
	return (&audittest.Log{Entries: l}).Open(partition, from)
}

// export exports the extents, or all.
func (l testLog) export(t testing.TB, extents ...audit.Extent) []byte {
	t.Helper()
	h := &audit.History{Log: l}
	if len(extents) == 0 {
		var err error
		if extents, err = h.Ends(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := Write(t.Context(), h, extents, "test", &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func check(t testing.TB, export []byte) *Report {
	t.Helper()
	report, err := Check(t.Context(), bytes.NewReader(export), nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}
