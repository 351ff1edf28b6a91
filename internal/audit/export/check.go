package export

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Report is what came of deciding an export again.
type Report struct {
	Log        string            `json:"log"`
	Program    string            `json:"program"` // the version that exported
	Equal      bool              `json:"equal"`
	Records    int64             `json:"records"`
	Decisions  int64             `json:"decisions"`
	Partitions []PartitionReport `json:"partitions"`

	// FirstDifference is the first of the export; nothing where it is equal.
	FirstDifference *Difference `json:"first_difference,omitzero"`
}

// PartitionReport is a partition of an export, as far as it was decided again.
type PartitionReport struct {
	Partition       int32       `json:"partition"`
	From            sale.Offset `json:"from"`
	To              sale.Offset `json:"to"`   // as the export announces it
	Next            sale.Offset `json:"next"` // the first one that was not decided
	Records         int64       `json:"records"`
	Decisions       int64       `json:"decisions"`
	RecordDigest    string      `json:"record_digest"` // as computed
	DecisionDigest  string      `json:"decision_digest"`
	Equal           bool        `json:"equal"`
	FirstDifference *Difference `json:"first_difference,omitzero"`
}

// Difference is where an export departs from what it must be.
type Difference struct {
	Partition int32       `json:"partition"` // -1: of the file as a whole
	Offset    sale.Offset `json:"offset"`    // of the record where it is; -1: none
	Line      int64       `json:"line"`      // of the file, from 1
	What      string      `json:"what"`
	Expected  string      `json:"expected"`
	Found     string      `json:"found"`
}

// Observer sees what an export is decided as.
type Observer interface {
	// ObserveBegin comes before a partition's first record. position is where
	// that record's line begins in the export, in bytes.
	ObserveBegin(r *audit.Replay, position int64)
	// ObserveStep comes after each record; position is where the next line
	// begins.
	ObserveStep(r *audit.Replay, s audit.Step, position int64)
}

// Check decides the records of an export again and compares each decision,
// each mark, the counts and the digests with what the export says. It holds one
// line of it at a time, and what is live. What cannot be read or is not there is
// a difference; an error says that the text is no export, or that this program is
// too old for it, or that reading it failed.
//
// A partition is decided up to the first record that is missing or not in its
// place; the ones after it are.
func Check(ctx context.Context, from io.Reader, observer Observer) (*Report, error) {
	c := &checking{lines: newLineReader(from, 0), sum: sha256.New(), observer: observer}
	text, err := c.lines.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if c.head, err = readHead(text); err != nil {
		return nil, err
	}
	c.sum.Write(text)
	c.report.Log, c.report.Program = c.head.Log, c.head.Program
	for ctx.Err() == nil {
		text, err := c.lines.next()
		if errors.Is(err, io.EOF) {
			c.finish()
			return &c.report, nil
		}
		if err != nil {
			return nil, err
		}
		if err := c.line(text); err != nil {
			return nil, err
		}
		c.sum.Write(text)
	}
	return nil, ctx.Err()
}

// checking is a check under way.
type checking struct {
	lines    *lineReader
	sum      hash.Hash // over the lines before
	observer Observer
	head     *headLine
	report   Report
	current  *checkedPartition // nil between partitions
	done     bool
}

// checkedPartition is the partition whose lines are read.
type checkedPartition struct {
	PartitionReport
	replay  *audit.Replay
	chain   *event.Chain // over the records
	sales   []sale.Sale  // that are still to be compared, after the last record
	counted bool         // there was a sale
	unknown bool         // a mark has differed: those after it cannot be compared
	stopped bool         // it cannot be decided any further
}

// line takes the next line. An error means that the check cannot go on.
func (c *checking) line(text []byte) error {
	if c.done {
		c.differs("the end of the export", "nothing after the line \"done\"", "another line")
		return nil
	}
	line, err := readLine(text)
	if err != nil {
		c.differs("a line that cannot be read", "one that an export writes", err.Error())
		c.stop()
		return nil
	}
	switch {
	case line.Begin != nil:
		c.begin(line.Begin)
	case line.Done != nil:
		c.complete(line.Done)
	case line.Export != nil:
		c.differs("a second first line", "one", "another")
	case c.current == nil:
		c.differs("a line outside of a partition", "\"begin\" or \"done\"", "another line")
	case line.Record != nil:
		return c.record(line.Record)
	case line.Sale != nil:
		c.sale(line.Sale)
	case line.End != nil:
		c.end(line.End)
	}
	return nil
}

func (c *checking) begin(b *beginLine) {
	c.leave()
	place := len(c.report.Partitions)
	if place >= len(c.head.Partitions) || c.head.Partitions[place].Partition != b.Partition {
		c.differs("a partition", "the ones that the first line names, in its order", fmt.Sprintf("partition %d", b.Partition))
		return
	}
	p := &checkedPartition{PartitionReport: PartitionReport{Partition: b.Partition, From: b.From, To: c.head.Partitions[place].To, Next: b.From, Equal: true}}
	c.current = p
	state, err := b.begun()
	if err != nil {
		c.differs("the state that partition "+number(b.Partition)+" begins with", "one that the core can go on from", err.Error())
		c.stop()
		return
	}
	p.replay, p.chain = audit.NewReplay(b.Partition, state), event.NewChain(state.RecordChain)
	if c.observer != nil {
		c.observer.ObserveBegin(p.replay, c.lines.position)
	}
}

// begun gives the state that a partition's replay begins with.
func (b *beginLine) begun() (audit.State, error) {
	if b.From == 0 {
		if b.State != nil || b.ChainStart != 0 || b.RecordDigest != (hexDigest{}) || b.DecisionDigest != (hexDigest{}) {
			return audit.State{}, errors.New("something before the first record")
		}
		return audit.Beginning(), nil
	}
	switch {
	case b.State == nil:
		return audit.State{}, errors.New("no state")
	case b.State.Next != b.From || b.ChainStart < 0 || b.ChainStart > b.From:
		return audit.State{}, fmt.Errorf("the state before offset %d, with chains from %d on", b.State.Next, b.ChainStart)
	}
	core, err := b.State.restore()
	if err != nil {
		return audit.State{}, err
	}
	return audit.State{Core: core, RecordChain: event.Digest(b.RecordDigest), DecisionChain: event.Digest(b.DecisionDigest), ChainStart: b.ChainStart}, nil
}

func (c *checking) record(x *recordLine) error {
	p := c.current
	if p.stopped {
		return nil
	}
	if x.Partition != p.Partition || x.Offset != p.Next || x.Offset >= p.To {
		expected := "record " + number(p.Next)
		if p.Next >= p.To {
			expected = "no further record"
		}
		c.differs("a record that is missing or not in its place", expected, fmt.Sprintf("record %d of partition %d", x.Offset, x.Partition))
		c.stop()
		return nil
	}
	entry, err := x.entry()
	if err != nil {
		c.differs("a record", "key and value", err.Error())
		c.stop()
		return nil
	}
	p.chain.AddEntry(&entry)
	if mark := markOf(p.chain.Head()); mark != x.Mark && !p.unknown {
		c.differs("a record that is not the one that was exported", "one with the mark "+strconv.Quote(x.Mark), "one with the mark "+strconv.Quote(mark))
		p.unknown = true
	}
	record := entry.Record()
	step, err := p.replay.Apply(&entry, &record, p.chain.Head())
	switch {
	case errors.Is(err, sale.ErrSchemaTooNew) && p.FirstDifference == nil:
		return fmt.Errorf("deciding the export again: %w", err)
	case err != nil:
		c.differs("a record that cannot be decided", "a decision", err.Error())
		c.stop()
		return nil
	}
	c.compare(x.Decisions, step.Decisions)
	p.Next++
	p.Records++
	p.Decisions += int64(len(step.Decisions))
	c.report.Records++
	c.report.Decisions += int64(len(step.Decisions))
	if c.observer != nil {
		c.observer.ObserveStep(p.replay, step, c.lines.position)
	}
	return nil
}

// compare compares what a record has decided with what the export says.
func (c *checking) compare(exported []decision, decided []sale.Decision) {
	for i := range min(len(exported), len(decided)) {
		if !exported[i].is(&decided[i]) {
			expected, found := differing(decisionOf(&decided[i]), exported[i])
			c.differs("decision "+number(i), expected, found)
			return
		}
	}
	if len(exported) != len(decided) {
		c.differs("the decisions", number(len(decided))+" of them", number(len(exported)))
	}
}

func (c *checking) sale(x *saleLine) {
	p := c.current
	if !c.count() {
		return
	}
	if len(p.sales) == 0 || x.Partition != p.Partition || x.Counts.ID != p.sales[0].ID {
		expected := "no further sale"
		if len(p.sales) > 0 {
			expected = "sale " + number(p.sales[0].ID)
		}
		c.differs("the counts", expected, fmt.Sprintf("sale %d of partition %d", x.Counts.ID, x.Partition))
		c.stop()
		return
	}
	if expected, found := differing(p.sales[0], x.Counts); expected != found {
		c.differs("the counts of sale "+number(x.Counts.ID), expected, found)
	}
	p.sales = p.sales[1:]
}

// count comes before the first of the counts, and the end: all records have been
// there then. It reports whether it makes sense to go on.
func (c *checking) count() bool {
	p := c.current
	if !p.stopped && p.Next < p.To {
		c.differs("a record that is missing or not in its place", "record "+number(p.Next), "the end of the records")
		c.stop()
	}
	if !p.stopped && !p.counted {
		p.counted, p.sales = true, salesOf(p.replay.Core())
	}
	return !p.stopped
}

func (c *checking) end(x *endLine) {
	if p := c.current; c.count() {
		decided := endLine{
			Partition: p.Partition, Next: p.To, Records: p.Records, Decisions: p.Decisions,
			RecordDigest: hexDigest(p.chain.Head()), DecisionDigest: hexDigest(p.replay.DecisionChain()),
		}
		if len(p.sales) > 0 {
			c.differs("the counts", "sale "+number(p.sales[0].ID), "none of it")
		} else if *x != decided {
			expected, found := differing(decided, *x)
			c.differs("the end of partition "+number(p.Partition), expected, found)
		}
	}
	c.close()
}

func (c *checking) complete(x *doneLine) {
	c.leave()
	c.missing()
	c.done = true
	if sum := hexDigest(c.sum.Sum(nil)); sum != x.SHA256 {
		c.differs("the file", "bytes whose SHA-256 is "+x.SHA256.String(), "bytes whose SHA-256 is "+sum.String())
	}
}

// finish notes what is not there.
func (c *checking) finish() {
	c.lines.number++ // what is missed would stand there
	c.leave()
	c.missing()
	if !c.done {
		c.differs("the file", "its last line, \"done\"", "a file that is cut off")
	}
	c.report.Equal = c.report.FirstDifference == nil
}

// leave ends a partition whose end did not come.
func (c *checking) leave() {
	if c.current != nil {
		expected := "the partition's end"
		if c.current.Next < c.current.To {
			expected = "record " + number(c.current.Next)
		}
		c.differs("a partition that is cut off", expected, "no more of it")
		c.close()
	}
}

// missing notes partitions that were announced and are not there.
func (c *checking) missing() {
	for _, extent := range c.head.Partitions[len(c.report.Partitions):] {
		c.current = &checkedPartition{PartitionReport: PartitionReport{Partition: extent.Partition, To: extent.To}}
		c.differs("a partition that is missing", "partition "+number(extent.Partition), "nothing of it")
		c.close()
	}
}

// stop gives the partition up: what comes up to its end is not looked at.
func (c *checking) stop() {
	if c.current != nil {
		c.current.stopped = true
	}
}

func (c *checking) close() {
	p := c.current
	p.Equal = p.FirstDifference == nil
	if p.replay != nil {
		p.RecordDigest, p.DecisionDigest = hexDigest(p.chain.Head()).String(), hexDigest(p.replay.DecisionChain()).String()
	}
	c.report.Partitions = append(c.report.Partitions, p.PartitionReport)
	c.current = nil
}

// differs notes a difference, of the current partition if there is one.
func (c *checking) differs(what, expected, found string) {
	d := &Difference{Partition: -1, Offset: sale.None, Line: c.lines.number, What: what, Expected: expected, Found: found}
	if p := c.current; p != nil {
		d.Partition, d.Offset = p.Partition, p.Next
		if p.FirstDifference == nil {
			p.FirstDifference = d
		}
	}
	if c.report.FirstDifference == nil {
		c.report.FirstDifference = d
	}
}
