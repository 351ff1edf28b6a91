package rebuild

import (
	"context"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// A rebuilt batch is closed when it has so many records, or so many rows: one
// record can make many.
const (
	maxRecords = 20_000
	maxRows    = 20_000
)

// filling fills one partition of a ledger.
type filling struct {
	FilledPartition
	ledger Ledger
	topic  event.TopicID
	end    sale.Offset // of the log
	most   int         // records in a batch
	done   *Result

	batch     Batch
	last      *event.Entry                // of the batch
	places    map[sale.Offset]int         // of requests in the batch
	changed   map[sale.Offset]int         // of sales in the batch
	revisions map[sale.Offset]sale.Offset // that the ledger has the sales at

	standings map[sale.Offset]event.Standing // before the batch; nil where nothing is published
	announced map[sale.Offset]event.Standing // those that were published last
	told      []sale.Offset                  // sales that were published at the record Publishes, in order
	decisions []sale.Decision                // of the batch, to be published
}

// open begins a batch at the replay's next record.
func (f *filling) open(p *audit.Replay) {
	next := p.Core().Next()
	f.batch = Batch{
		Partition: f.Partition, From: next, To: next,
		EarlierRows: EarlierRows{
			Requests: f.batch.Requests[:0], Results: f.batch.Results[:0], Starts: f.batch.Starts[:0],
		},
		Sales: f.batch.Sales[:0], Marks: f.batch.Marks[:0],
	}
	f.places, f.changed = make(map[sale.Offset]int), make(map[sale.Offset]int)
	clear(f.decisions)
	f.decisions = f.decisions[:0]
}

// step takes a record that was decided. A batch is written when the next record
// is there, so that the last one is left for finish.
func (f *filling) step(ctx context.Context, p *audit.Replay, s audit.Step) error {
	f.take(p, s)
	next := s.Entry.Offset + 1
	rows := len(f.batch.Requests) + len(f.batch.Results)
	// What is to be published begins with a batch of its own, and so does what
	// comes after the first record of it: see publishing.
	cut := next == f.Publishes || next == f.Publishes+1
	if next == f.end || (!cut && int64(next-f.batch.From) < int64(f.most) && rows < maxRows) {
		return nil
	}
	f.seal(p)
	if err := f.encode(); err != nil {
		return err
	}
	if err := f.ledger.Write(ctx, &f.batch); err != nil {
		return fmt.Errorf("writing records [%d, %d) of partition %d: %w", f.batch.From, f.batch.To, f.Partition, err)
	}
	f.open(p)
	return nil
}

// take gathers what a record changed.
func (f *filling) take(p *audit.Replay, s audit.Step) {
	f.last = s.Entry
	f.batch.To = s.Entry.Offset + 1
	f.batch.Marks = event.NewChain(s.RecordChain).AppendMark(f.batch.Marks)
	for i := range s.Decisions {
		f.decide(&s.Decisions[i])
	}
	for _, changed := range p.Changed() {
		at, known := f.changed[changed.ID]
		if known {
			f.batch.Sales[at].Sale = changed
			continue
		}
		was, known := f.revisions[changed.ID]
		if !known {
			was = sale.None
			f.Sales++
		}
		f.changed[changed.ID] = len(f.batch.Sales)
		f.batch.Sales = append(f.batch.Sales, Sale{Sale: changed, Was: was})
	}
}

func (f *filling) decide(d *sale.Decision) {
	if d.Cause >= f.Publishes {
		f.decisions = append(f.decisions, *d)
	}
	switch d.Kind {
	case sale.OfRequest:
		if d.Default {
			return
		}
		if at, known := f.places[d.Request.Offset]; known {
			f.batch.Requests[at] = d.Request
			return
		}
		if d.Request.Offset == d.Cause {
			f.Requests++
		}
		f.places[d.Request.Offset] = len(f.batch.Requests)
		f.batch.Requests = append(f.batch.Requests, d.Request)
	case sale.OfCommand:
		f.Results++
		f.batch.Results = append(f.batch.Results, d.Result)
	case sale.OfStart:
		f.batch.Starts = append(f.batch.Starts, d.Start)
	}
}

// seal completes the batch after its last record.
func (f *filling) seal(p *audit.Replay) {
	state, b := p.State(), &f.batch
	core := state.Core
	b.Now, b.Schema, b.Malformed, b.OldestStart = core.Now(), core.Schema(), core.Malformed(), core.OldestStart()
	b.Last, b.RecordChain, b.DecisionChain = state.Last, state.RecordChain, state.DecisionChain
	if b.To > b.From {
		b.Last = f.last.Digest() // the replay's own is that of what was read last
	}
	for i := range b.Sales {
		f.revisions[b.Sales[i].Sale.ID] = b.Sales[i].Sale.Revision
	}
}

// finish writes what is left, and with it ends the partition's rebuilding.
func (f *filling) finish(ctx context.Context, p *audit.Replay) error {
	f.seal(p)
	if err := f.encode(); err != nil {
		return err
	}
	twice, err := f.ledger.Finish(ctx, &f.batch)
	if err != nil {
		return fmt.Errorf("finishing partition %d with records [%d, %d): %w", f.Partition, f.batch.From, f.batch.To, err)
	}
	f.done.Partitions = append(f.done.Partitions, f.FilledPartition)
	f.done.Records += int64(f.To - f.From)
	f.done.BoundTwice = append(f.done.BoundTwice, twice...)
	return nil
}
