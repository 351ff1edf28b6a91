package verify

import (
	"bytes"
	"context"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// chainCheck compares the chains of digests with the heads that were kept with
// each batch. The batches follow each other without gaps.
//
// A log that departs from what was decided differs from there on in every head
// and every mark. A row of batches that was changed differs alone: the next
// head is right again.
type chainCheck struct {
	findings *findings
	rows     pages[audit.BatchRow]
	next     sale.Offset     // where the next batch has to begin
	present  *audit.BatchRow // that the next record is in; nil: none is

	unlike sale.Offset // the first record of the present batch with another mark, or None

	records, decisions departure
}

// departure is a chain's difference, which may yet turn out to be one batch's.
type departure struct {
	open  bool
	log   Difference
	batch Difference // what it is if the chain is right again
}

// settle notes the difference: as the batch's if the chain is right again.
func (d *departure) settle(f *findings, right bool) {
	if !d.open {
		return
	}
	d.open = false
	if right {
		f.add(d.batch)
	} else {
		f.add(d.log)
	}
}

// begin passes over the batches of what a snapshot stands for, of which nothing
// can be compared but that none is missing, and the last heads.
func (c *chainCheck) begin(ctx context.Context, state audit.State) error {
	begun := state.Core.Next()
	c.unlike, c.next = sale.None, state.ChainStart
	for c.next < begun {
		row, err := c.followBelow(ctx, begun)
		if err != nil || row == nil {
			return err
		}
		if row.To > begun { // the snapshot was taken in its midst
			c.present = row
			return nil
		}
		if row.To == begun && (row.RecordChain != state.RecordChain || row.DecisionChain != state.DecisionChain) {
			c.findings.row(row.From, OfBatch, batchName(row),
				heads(state.RecordChain, state.DecisionChain), heads(row.RecordChain, row.DecisionChain))
		}
	}
	return nil
}

// follow takes the batch that begins at c.next. It is nil where there is none
// that begins below an offset.
func (c *chainCheck) follow(ctx context.Context, below sale.Offset) (*audit.BatchRow, error) {
	for {
		row, err := c.rows.head(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger's batches: %w", err)
		}
		switch {
		case row == nil || row.From >= below:
			c.findings.row(c.next, OfBatch, "", fmt.Sprintf("a batch that begins at %d", c.next), "no such row")
			return nil, nil
		case row.From < c.next:
			c.findings.row(row.From, OfBatch, batchName(row), nothing, "a row among others")
			c.rows.take()
			continue
		case row.From > c.next:
			c.findings.row(c.next, OfBatch, "", fmt.Sprintf("a batch that begins at %d", c.next), "no such row")
		}
		taken := *row
		c.rows.take()
		c.next = taken.To
		if kept := int64(len(taken.Marks)); kept != 0 && kept != event.MarkBytes*int64(taken.To-taken.From) {
			c.findings.row(taken.From, OfBatch, batchName(&taken), "a mark for each record", fmt.Sprintf("%d bytes of marks", kept))
			taken.Marks = nil
		}
		return &taken, nil
	}
}

func batchName(row *audit.BatchRow) string { return fmt.Sprintf("[%d, %d)", row.From, row.To) }

func heads(records, decisions event.Digest) string {
	return fmt.Sprintf("heads %x... and %x...", records[:8], decisions[:8])
}

// step compares one record's mark, and the heads after the last of a batch.
func (c *chainCheck) step(ctx context.Context, r *audit.Replay, s audit.Step) error {
	if err := c.compareMark(ctx, s); err != nil || c.present == nil {
		return err
	}
	if s.Record.Offset+1 == c.present.To {
		c.closeBatch(s.RecordChain, r.DecisionChain())
	}
	return nil
}

// compareMark finds the batch that the record is in, and compares its mark.
func (c *chainCheck) compareMark(ctx context.Context, s audit.Step) error {
	offset := s.Record.Offset
	if c.present == nil {
		if offset < c.next {
			return nil // no batch is there, which has been noted; or the chains begin later
		}
		row, err := c.followBelow(ctx, offset+1)
		if err != nil || row == nil {
			return err
		}
		c.present = row
	}
	row := c.present
	if at := event.MarkBytes * int64(offset-row.From); c.unlike == sale.None && len(row.Marks) > 0 &&
		!bytes.Equal(row.Marks[at:at+event.MarkBytes], s.RecordChain[:event.MarkBytes]) {
		c.unlike = offset
	}
	return nil
}

// another reports whether a record, or one before it, is not what was decided.
func (c *chainCheck) another(ctx context.Context, s audit.Step) (bool, error) {
	err := c.compareMark(ctx, s)
	return c.records.open || c.unlike != sale.None, err
}

// followBelow takes the batch that has to begin below an offset. Where it is
// missing, the next one is awaited.
func (c *chainCheck) followBelow(ctx context.Context, below sale.Offset) (*audit.BatchRow, error) {
	row, err := c.follow(ctx, below)
	if err != nil || row != nil {
		return row, err
	}
	head, err := c.rows.head(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's batches: %w", err)
	}
	c.next = sale.Offset(1<<63 - 1) // there are no more
	if head != nil {
		c.next = head.From
	}
	return nil, nil
}

// closeBatch compares the heads after the present batch.
func (c *chainCheck) closeBatch(records, decisions event.Digest) {
	row := c.present
	c.present = nil
	marks := Difference{Offset: row.From, Subject: OfBatch, Name: batchName(row), Expected: "the marks of its records", Found: "others"}
	changed := Difference{
		Offset: row.From, Subject: OfBatch, Name: batchName(row),
		Expected: heads(records, decisions), Found: heads(row.RecordChain, row.DecisionChain),
	}
	if records == row.RecordChain {
		c.records.settle(c.findings, true)
		if c.unlike != sale.None {
			c.findings.add(marks)
		}
	} else if !c.records.open {
		c.records = departure{open: true, batch: changed, log: changed}
		switch {
		case c.unlike != sale.None:
			c.records.log = Difference{
				Offset: c.unlike, Subject: OfRecord, Expected: "the record that was decided",
				Found: fmt.Sprintf("another one, or in another place: the chain's head after the batch %s is %x..., not %x...", batchName(row), records[:8], row.RecordChain[:8]),
			}
		case len(row.Marks) == 0:
			c.records.log.Subject, c.records.log.Expected, c.records.log.Found = OfRecord, "the records that were decided", "another one among those of batch "+batchName(row)
		}
	}
	switch {
	case decisions == row.DecisionChain:
		c.decisions.settle(c.findings, true)
	case !c.decisions.open && !c.records.open:
		c.decisions = departure{open: true, batch: changed, log: Difference{
			Offset: row.From, Subject: OfDecisions, Name: batchName(row),
			Expected: fmt.Sprintf("the chain's head %x...", decisions[:8]), Found: fmt.Sprintf("%x...", row.DecisionChain[:8]),
		}}
	}
	c.unlike = sale.None
}

// cutShort is the end where the log has no more records to compare with.
func (c *chainCheck) cutShort() {
	if c.unlike != sale.None && !c.records.open {
		c.records = departure{open: true, log: Difference{
			Offset: c.unlike, Subject: OfRecord, Expected: "the record that was decided", Found: "another one, or in another place",
		}}
	}
	c.records.settle(c.findings, false)
	c.decisions.settle(c.findings, false)
}

// end compares the partition's own heads, and notes the batches that are left.
func (c *chainCheck) end(ctx context.Context, r *audit.Replay, row audit.PartitionRow) error {
	if c.present != nil {
		c.findings.row(c.present.From, OfBatch, batchName(c.present), fmt.Sprintf("a batch that ends at %d or before", row.Next), "one that goes on")
	}
	for {
		head, err := c.rows.head(ctx)
		if err != nil {
			return fmt.Errorf("reading the ledger's batches: %w", err)
		}
		if head == nil {
			break
		}
		c.findings.row(head.From, OfBatch, batchName(head), nothing, "a row beyond what is decided")
		c.rows.take()
	}
	state := r.State()
	c.records.settle(c.findings, state.RecordChain == row.RecordChain)
	c.decisions.settle(c.findings, state.DecisionChain == row.DecisionChain)
	return nil
}
