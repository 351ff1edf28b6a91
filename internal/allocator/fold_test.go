package allocator

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// folded is what the core alone makes of a log, or what a ledger holds of it.
type folded struct {
	Next        sale.Offset
	Now         sale.Time
	Schema      int
	Malformed   int64
	Last        event.Digest
	OldestStart sale.Offset
	Sales       []sale.Sale
	Requests    []sale.Request
	Results     []sale.Result
	Starts      []sale.Start
}

// fold applies a log's records, one by one.
func fold(t *testing.T, entries []event.Entry) folded {
	t.Helper()
	p := sale.New()
	var f folded
	sales, requests := make(map[sale.Offset]sale.Sale), make(map[sale.Offset]sale.Request)
	for _, entry := range entries {
		var changes sale.Changes
		if err := p.Apply(entry.Record(), &changes); err != nil {
			t.Fatalf("folding the log: %v", err)
		}
		for _, d := range changes.Decisions {
			switch {
			case d.Kind == sale.OfRequest && !d.Default:
				requests[d.Request.Offset] = d.Request
			case d.Kind == sale.OfCommand:
				f.Results = append(f.Results, d.Result)
			}
		}
		for _, s := range changes.Sales() {
			sales[s.ID] = s
		}
		f.Last = entry.Digest()
	}
	f.Next, f.Now, f.Schema, f.Malformed = p.Next(), p.Now(), p.Schema(), p.Malformed()
	f.OldestStart, f.Starts = p.OldestStart(), p.Snapshot().Starts
	f.Sales = slices.Collect(maps.Values(sales))
	f.Requests = slices.Collect(maps.Values(requests))
	return f
}

// checkFold holds the ledger against the log: the whole of it, which must be
// decided.
func (w *world) checkFold(partition int32) {
	w.t.Helper()
	row := w.ledger.row(partition)
	has := folded{
		Next: row.next, Now: row.now, Schema: row.schema, Malformed: row.malformed, Last: row.last,
		OldestStart: row.oldestStart, Starts: row.snapshot().Starts,
		Sales: slices.Collect(maps.Values(row.sales)), Requests: slices.Collect(maps.Values(row.requests)),
		Results: slices.Collect(maps.Values(row.results)),
	}
	entries := w.log.all(partition)
	expected := fold(w.t, entries)
	if diff := gocmp.Diff(expected, has, inOrder, cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("partition %d: the ledger is not the fold of the log (-log +ledger):\n%s", partition, diff)
	}
	w.checkChains(partition, entries)
}

// checkChains holds the ledger's batches against chains over the whole log and
// all that it decides: batches follow each other without gaps, whatever cut
// them, and each has the heads after it and a mark of each of its records.
func (w *world) checkChains(partition int32, entries []event.Entry) {
	w.t.Helper()
	row := w.ledger.row(partition)
	core := sale.New()
	var changes sale.Changes
	records, decisions := event.NewChain(event.Digest{}), event.NewChain(event.Digest{})
	next := sale.Offset(0)
	for _, batch := range row.batches {
		if batch.from != next || batch.to <= next || batch.to > sale.Offset(len(entries)) {
			w.t.Errorf("partition %d: after %d of %d records comes the batch [%d, %d)", partition, next, len(entries), batch.from, batch.to)
			return
		}
		var marks []byte
		for ; next < batch.to; next++ {
			records.AddEntry(&entries[next])
			marks = records.AppendMark(marks)
			changes.Reset()
			if err := core.Apply(entries[next].Record(), &changes); err != nil {
				w.t.Fatal(err)
			}
			for i := range changes.Decisions {
				decisions.AddDecision(&changes.Decisions[i])
			}
		}
		if batch.recordChain != records.Head() || batch.decisionChain != decisions.Head() {
			w.t.Errorf("partition %d: the heads after the batch [%d, %d) are %v and %v, the log's %v and %v",
				partition, batch.from, batch.to, batch.recordChain, batch.decisionChain, records.Head(), decisions.Head())
		}
		if !bytes.Equal(batch.marks, marks) {
			w.t.Errorf("partition %d: the marks of the batch [%d, %d) are %x, the log's %x", partition, batch.from, batch.to, batch.marks, marks)
		}
	}
	if next != row.next || row.recordChain != records.Head() || row.decisionChain != decisions.Head() {
		w.t.Errorf("partition %d: batches lead to %d, the ledger is at %d; its heads are %v and %v, the log's %v and %v",
			partition, next, row.next, row.recordChain, row.decisionChain, records.Head(), decisions.Head())
	}
}

var inOrder = gocmp.Options{
	cmpopts.SortSlices(func(a, b sale.Sale) bool { return cmp.Less(a.ID, b.ID) }),
	cmpopts.SortSlices(func(a, b sale.Request) bool { return cmp.Less(a.Offset, b.Offset) }),
	cmpopts.SortSlices(func(a, b sale.Result) bool { return cmp.Less(a.Command, b.Command) }),
}

// checkStarted fails for a hold whose clock has not begun.
func (w *world) checkStarted(partition int32) {
	w.t.Helper()
	row := w.ledger.row(partition)
	starts := row.snapshot().Starts
	for _, r := range row.requests {
		if _, begun := starts.Of(r.HeldSince); r.State == sale.Held && !begun {
			w.t.Errorf("partition %d: the hold of request %d never began", partition, r.Offset)
		}
	}
}

// checkMessages: those of one ownership that bring something connect, in
// order, and what they bring was committed as they say.
func (w *world) checkMessages() {
	w.t.Helper()
	type ownership struct {
		partition int32
		epoch     int64
	}
	last := make(map[ownership]sale.Offset)
	for _, m := range w.feed.heard {
		of := ownership{m.Partition, m.Epoch}
		if m.From > m.To || m.To < last[of] || m.End < m.To || m.Log != w.log.topic.String() && w.ledger.rows[m.Partition].topic == w.log.topic {
			w.t.Errorf("after %d came the message %+v", last[of], m.Message)
		}
		if m.From < m.To && m.From < last[of] {
			w.t.Errorf("the message of [%d, %d) repeats what is below %d", m.From, m.To, last[of])
		}
		last[of] = m.To
		row := w.ledger.rows[m.Partition]
		if m.From < m.To && !slices.ContainsFunc(row.batches, func(b batchSeen) bool { return b.from == m.From && b.to == m.To && b.epoch == m.Epoch }) {
			w.t.Errorf("a message of [%d, %d) under epoch %d, which was not committed", m.From, m.To, m.Epoch)
		}
	}
}
