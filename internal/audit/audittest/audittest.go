// Package audittest gives tests of audits logs in memory, and what a plain
// replay of one says.
package audittest

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Topic is the id of every Log.
var Topic = event.TopicID{1: 7, 15: 9}

// Log is a log in memory.
type Log struct {
	Entries [][]event.Entry // by partition
	Start   sale.Offset     // what is before it is gone
	Portion int             // how many records one read gives at most; 0: 7
	Opened  int             // how often a partition was opened
}

// Of gives the log of one partition.
func Of(entries []event.Entry) *Log { return &Log{Entries: [][]event.Entry{entries}} }

// Topic implements [audit.Log].
func (l *Log) Topic() event.TopicID { return Topic }

// Partitions implements [audit.Log].
func (l *Log) Partitions() int32 { return int32(len(l.Entries)) }

// Bounds implements [audit.Log].
func (l *Log) Bounds(_ context.Context, partition int32) (start, end sale.Offset, err error) {
	entries := l.Entries[partition]
	if len(entries) == 0 {
		return 0, 0, nil
	}
	return l.Start, entries[len(entries)-1].Offset + 1, nil
}

// Open implements [audit.Log].
func (l *Log) Open(partition int32, from sale.Offset) (audit.Reader, error) {
	l.Opened++
	i, _ := slices.BinarySearchFunc(l.Entries[partition], from, func(e event.Entry, at sale.Offset) int { return cmp.Compare(e.Offset, at) })
	return &reader{rest: l.Entries[partition][i:], portion: cmp.Or(l.Portion, 7), next: from}, nil
}

type reader struct {
	rest    []event.Entry
	portion int
	next    sale.Offset
}

// Read gives what follows without a gap.
func (r *reader) Read(ctx context.Context) ([]event.Entry, error) {
	n := 0
	for n < min(r.portion, len(r.rest)) && r.rest[n].Offset == r.next {
		r.next++
		n++
	}
	switch {
	case n > 0:
		page := r.rest[:n:n]
		r.rest = r.rest[n:]
		return page, nil
	case len(r.rest) > 0:
		return nil, audit.ErrMissing
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (r *reader) Close() {}

// Golden is the folder of golden logs, as tests of the packages beside see it.
const Golden = "../../../testdata/logs"

// Files gives where the logs of folders are, by their names.
func Files(t testing.TB, folders ...string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d logs, %v", folder, len(paths), err)
		}
		for _, path := range paths {
			if name := strings.TrimSuffix(filepath.Base(path), ".jsonl"); !strings.HasSuffix(name, ".decisions") {
				files[name] = path
			}
		}
	}
	return files
}

// File reads a log as the golden ones are written.
func File(t testing.TB, path string) []event.Entry {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var entries []event.Entry
	for line := range bytes.Lines(text) {
		var record struct {
			Offset sale.Offset `json:"offset"`
			Time   sale.Time   `json:"time"`
			Key    string      `json:"key"`
			Value  string      `json:"value"`
		}
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		entries = append(entries, event.Entry{Offset: record.Offset, Time: record.Time, Key: []byte(record.Key), Value: []byte(record.Value)})
	}
	return entries
}

// Snapshot is one of a log's only partition, after so many records.
type Snapshot struct {
	Entries []event.Entry
	At      sale.Offset
}

// Newest implements [audit.Snapshots].
func (s Snapshot) Newest(_ event.TopicID, _ int32, least, most sale.Offset) (audit.State, bool, error) {
	if s.At < least || s.At > most {
		return audit.State{}, false, nil
	}
	core := sale.New()
	var changes sale.Changes
	for i := range s.Entries[:s.At] {
		if err := core.Apply(s.Entries[i].Record(), &changes); err != nil {
			return audit.State{}, false, err
		}
	}
	restored, err := sale.Restore(core.Snapshot())
	return audit.State{Core: restored}, true, err
}

// Plain is all that the core decides on a log, and how it stands.
type Plain struct {
	Records   []sale.Record
	Decisions []sale.Decision
	Sales     [][]sale.Sale // that each record changed, as they were after it
	Core      *sale.Partition
}

// Decide decides records, up to one that the core does not know.
func Decide(records []sale.Record) *Plain {
	p := &Plain{Core: sale.New()}
	var changes sale.Changes
	for _, r := range records {
		changes.Reset()
		if err := p.Core.Apply(r, &changes); err != nil {
			break
		}
		p.Records = append(p.Records, r)
		p.Decisions = append(p.Decisions, changes.Decisions...)
		p.Sales = append(p.Sales, changes.Sales())
	}
	return p
}
