package verify_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// fataler is a test or a property's.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

var topic = audittest.Topic

// memoryLedger is a ledger in memory, folded from decisions as an owner does.
type memoryLedger struct {
	partitions []audit.PartitionRow
	bindings   map[sale.Product]int32
	sales      []map[sale.Offset]sale.Sale // by partition, as all below
	requests   []map[sale.Offset]sale.Request
	results    []map[sale.Offset]sale.Result
	starts     [][]sale.Start
	batches    [][]audit.BatchRow
}

// fold makes the ledger of a log whose one partition's records are cut into
// batches after those for which cut says so, and decided below end.
func fold(t fataler, entries []event.Entry, end sale.Offset, cut func(i int) bool) *memoryLedger {
	t.Helper()
	return foldUpgraded(t, entries, end, 0, cut)
}

// foldUpgraded makes the ledger of an older program, which has kept chains and
// batches only since it was upgraded at an offset.
func foldUpgraded(t fataler, entries []event.Entry, end, upgraded sale.Offset, cut func(i int) bool) *memoryLedger {
	t.Helper()
	l := &memoryLedger{
		bindings: map[sale.Product]int32{},
		sales:    []map[sale.Offset]sale.Sale{{}}, requests: []map[sale.Offset]sale.Request{{}},
		results: []map[sale.Offset]sale.Result{{}}, starts: make([][]sale.Start, 1), batches: make([][]audit.BatchRow, 1),
	}
	begun := audit.Beginning()
	begun.ChainStart = upgraded
	replay, chain := audit.NewReplay(0, begun), event.NewChain(event.Digest{})
	row := audit.PartitionRow{Topic: topic, ChainStart: upgraded}
	batch := audit.BatchRow{From: upgraded}
	for i := range entries[:end] {
		record := entries[i].Record()
		if sale.Offset(i) >= upgraded {
			chain.AddEntry(&entries[i])
		}
		step, err := replay.Apply(&entries[i], &record, chain.Head())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range step.Decisions {
			switch {
			case d.Kind == sale.OfRequest && !d.Default:
				l.requests[0][d.Request.Offset] = d.Request
			case d.Kind == sale.OfCommand:
				l.results[0][d.Result.Command] = d.Result
			case d.Kind == sale.OfStart:
				l.starts[0] = append(l.starts[0], d.Start)
			}
		}
		if sale.Offset(i) < upgraded {
			continue
		}
		batch.Marks = chain.AppendMark(batch.Marks)
		if i+1 == int(end) || cut(i) {
			batch.To, batch.RecordChain, batch.DecisionChain = sale.Offset(i+1), chain.Head(), replay.DecisionChain()
			l.batches[0] = append(l.batches[0], batch)
			batch = audit.BatchRow{From: batch.To}
		}
	}
	core := replay.Core()
	for _, s := range core.Sales() {
		l.sales[0][s.ID] = s
		l.bindings[s.Product] = 0
	}
	row.Next, row.Now, row.Schema, row.Malformed, row.OldestStart = core.Next(), core.Now(), core.Schema(), core.Malformed(), core.OldestStart()
	row.RecordChain, row.DecisionChain = chain.Head(), replay.DecisionChain()
	if end > 0 {
		row.Last = entries[end-1].Digest()
	}
	l.partitions = []audit.PartitionRow{row}
	return l
}

// copied gives a ledger whose rows can be changed.
func (l *memoryLedger) copied() *memoryLedger {
	c := &memoryLedger{partitions: slices.Clone(l.partitions), bindings: maps.Clone(l.bindings)}
	for p := range l.sales {
		c.sales = append(c.sales, maps.Clone(l.sales[p]))
		c.requests = append(c.requests, maps.Clone(l.requests[p]))
		c.results = append(c.results, maps.Clone(l.results[p]))
		c.starts = append(c.starts, slices.Clone(l.starts[p]))
		batches := slices.Clone(l.batches[p])
		for i := range batches {
			batches[i].Marks = slices.Clone(batches[i].Marks)
		}
		c.batches = append(c.batches, batches)
	}
	return c
}

func (l *memoryLedger) Cut(ctx context.Context, read func(context.Context, audit.Cut) error) error {
	return read(ctx, l)
}

func (l *memoryLedger) Partitions(context.Context) ([]audit.PartitionRow, error) {
	return l.partitions, nil
}

func (l *memoryLedger) Bindings(context.Context) (map[sale.Product]int32, error) {
	return l.bindings, nil
}

func (l *memoryLedger) Sales(_ context.Context, partition int32) ([]sale.Sale, error) {
	return slices.Collect(maps.Values(l.sales[partition])), nil
}

func (l *memoryLedger) Starts(_ context.Context, partition int32, oldest sale.Offset) ([]sale.Start, error) {
	return slices.DeleteFunc(slices.Clone(l.starts[partition]), func(s sale.Start) bool { return s.Below < oldest }), nil
}

func (l *memoryLedger) Requests(_ context.Context, partition int32) (audit.Rows[sale.Request], error) {
	return sorted(l.requests[partition], func(a, b sale.Request) int {
		return cmp.Or(cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Offset, b.Offset))
	}), nil
}

func (l *memoryLedger) Results(_ context.Context, partition int32) (audit.Rows[sale.Result], error) {
	return sorted(l.results[partition], func(a, b sale.Result) int { return cmp.Compare(a.Command, b.Command) }), nil
}

func (l *memoryLedger) Batches(_ context.Context, partition int32) (audit.Rows[audit.BatchRow], error) {
	return &memoryRows[audit.BatchRow]{rest: slices.Clone(l.batches[partition])}, nil
}

func sorted[Row any](rows map[sale.Offset]Row, order func(a, b Row) int) *memoryRows[Row] {
	return &memoryRows[Row]{rest: slices.SortedFunc(maps.Values(rows), order)}
}

// memoryRows gives its rows three at a time. After the last it is not asked
// again.
type memoryRows[Row any] struct {
	rest []Row
	over bool
}

func (r *memoryRows[Row]) Page(context.Context) ([]Row, error) {
	if r.over {
		return nil, errors.New("there are no more rows, which was told before")
	}
	n := min(3, len(r.rest))
	page := r.rest[:n]
	r.rest, r.over = r.rest[n:], n == 0
	return page, nil
}

// verify compares a log's one partition with a ledger.
func verdictOf(t fataler, entries []event.Entry, ledger *memoryLedger) verify.Verdict {
	t.Helper()
	found, err := verify.Run(context.Background(), verify.Config{
		History: &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}, Portion: 5}},
		Ledger:  ledger,
	})
	if err != nil {
		t.Fatal(err)
	}
	verdict := found.Partitions[0]
	if found.Equal != verdict.Equal || verdict.Equal != (verdict.FirstDifference == nil) || verdict.Equal != (verdict.Differences == 0) {
		t.Fatalf("one verdict contradicts another: %+v", found)
	}
	return verdict
}

func publicID(request sale.Offset) string { return ticket.PublicID(0, int64(request)) }

// golden reads one of the golden logs.
func golden(t *testing.T, name string) []event.Entry {
	t.Helper()
	return audittest.File(t, filepath.Join("..", "..", "..", "testdata", "logs", name+".jsonl"))
}
