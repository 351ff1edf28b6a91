package export

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Timeline lets one look at any offset of an export. While the export is checked
// it keeps the core's state now and then, and how each sale's counts went; what
// was between two such states is decided again when it is asked for. So its
// memory is bounded, however long the export is.
//
// It is used from one goroutine.
type Timeline struct {
	export     io.ReaderAt
	size       int64
	partitions []*partitionTimeline
	gap        int64 // records between two states that are kept, at first
	most       int   // of a partition's states
}

// NewTimeline makes the timeline of an export of so many bytes, to be filled by
// [Check].
func NewTimeline(export io.ReaderAt, size int64) *Timeline {
	return &Timeline{export: export, size: size, gap: checkpointGap, most: maxCheckpoints}
}

// Bounds of what a timeline keeps.
const (
	maxCheckpoints    = 128     // of a partition
	maxCheckpointRows = 400_000 // of all of these
	checkpointGap     = 512     // records
	toldDecisions     = 12      // the last ones, at an offset
	maxCourse         = 1024    // points of a sale
	maxShownBytes     = 2000    // of a key or a value
)

type partitionTimeline struct {
	partition   int32
	from, next  sale.Offset
	checkpoints []checkpoint // the first one at from
	rows        int64        // of all of them
	gap         int64        // records between two of them, at least
	most        int          // of them
	since       int64        // records since the last one
	told        []told
	courses     map[sale.Offset]*course
	cursor      *cursor // what was looked at last; nil for nothing
}

// checkpoint is the state at an offset.
type checkpoint struct {
	position int64 // of the line of the next record
	state    sale.Snapshot
	told     []told
}

func (c *checkpoint) rows() int64 {
	return int64(1 + len(c.state.Sales) + len(c.state.Requests) + len(c.state.Starts))
}

// told is a decision and the record that caused it.
type told struct {
	decision sale.Decision
	body     sale.Body
}

// cursor is a core that goes through the export.
type cursor struct {
	core   *sale.Partition
	lines  *lineReader
	told   []told
	record recordLine // the last one; Mark is empty where there was none
	body   sale.Body
}

// ObserveBegin implements [Observer].
func (t *Timeline) ObserveBegin(r *audit.Replay, position int64) {
	p := &partitionTimeline{
		partition: r.Partition(), from: r.Core().Next(), next: r.Core().Next(),
		gap: t.gap, most: t.most, courses: make(map[sale.Offset]*course),
	}
	p.keep(r.Core(), position)
	t.partitions = append(t.partitions, p)
}

// ObserveStep implements [Observer].
func (t *Timeline) ObserveStep(r *audit.Replay, s audit.Step, position int64) {
	p := t.partitions[len(t.partitions)-1]
	p.next = r.Core().Next()
	p.told = tell(p.told, s.Decisions, s.Record.Body)
	for _, changed := range r.Changed() {
		c := p.courses[changed.ID]
		if c == nil {
			c = &course{product: changed.Product, stride: 1}
			p.courses[changed.ID] = c
		}
		c.add(&changed, s.Record.Offset, r.Core().Now())
	}
	p.since++
	// A state is kept no oftener than it is large, so that keeping costs no more
	// than deciding.
	if last := &p.checkpoints[len(p.checkpoints)-1]; p.since >= p.gap && p.since >= last.rows() {
		p.keep(r.Core(), position)
	}
}

// keep makes a checkpoint, and thins them out where there are too many.
func (p *partitionTimeline) keep(core *sale.Partition, position int64) {
	c := checkpoint{position: position, state: core.Snapshot(), told: slices.Clone(p.told)}
	p.checkpoints = append(p.checkpoints, c)
	p.rows += c.rows()
	p.since = 0
	for len(p.checkpoints) > 2 && (len(p.checkpoints) > p.most || p.rows > maxCheckpointRows) {
		kept := p.checkpoints[:0]
		p.rows = 0
		for i := range p.checkpoints {
			if i%2 == 0 {
				kept = append(kept, p.checkpoints[i])
				p.rows += p.checkpoints[i].rows()
			}
		}
		clear(p.checkpoints[len(kept):])
		p.checkpoints = kept
		p.gap *= 2
	}
}

// tell keeps the last decisions.
func tell(last []told, decisions []sale.Decision, body sale.Body) []told {
	for _, d := range decisions[max(0, len(decisions)-toldDecisions):] {
		if len(last) == toldDecisions {
			copy(last, last[1:])
			last = last[:toldDecisions-1]
		}
		last = append(last, told{decision: d, body: body})
	}
	return last
}

// Moment is a partition after a record.
type Moment struct {
	Partition int32       `json:"partition"`
	Offset    sale.Offset `json:"offset"`
	Time      sale.Time   `json:"time"` // log time
	Type      string      `json:"type"` // of the record
	At        sale.Time   `json:"at"`   // the record's own timestamp
	Key       string      `json:"key"`
	Value     string      `json:"value"` // cut off where it is long
	Sales     []sale.Sale `json:"sales"`
	Decisions []Told      `json:"decisions"` // the last ones, up to and with the record's
}

// Told is a decision in words.
type Told struct {
	Cause sale.Offset `json:"cause"`
	Time  sale.Time   `json:"time"`
	Text  string      `json:"text"`
}

// ErrNoMoment means that an export was not decided at an offset.
var ErrNoMoment = errors.New("the export has no such offset")

// At gives the partition as it was after the record at an offset, which has to
// be one that was decided.
func (t *Timeline) At(partition int32, offset sale.Offset) (*Moment, error) {
	for _, p := range t.partitions {
		if p.partition != partition || offset < p.from || offset >= p.next {
			continue
		}
		c, err := t.reach(p, offset)
		if err != nil {
			p.cursor = nil
			return nil, fmt.Errorf("looking at offset %d of partition %d: %w", offset, partition, err)
		}
		return c.moment(p), nil
	}
	return nil, fmt.Errorf("offset %d of partition %d: %w", offset, partition, ErrNoMoment)
}

// reach brings the cursor to where the record at the offset is the last one.
func (t *Timeline) reach(p *partitionTimeline, offset sale.Offset) (*cursor, error) {
	i, exact := slices.BinarySearchFunc(p.checkpoints, offset, func(c checkpoint, to sale.Offset) int { return int(c.state.Next - to) })
	if !exact {
		i--
	}
	if from := &p.checkpoints[i]; p.cursor == nil || p.cursor.core.Next() > offset+1 || p.cursor.core.Next() < from.state.Next {
		core, err := sale.Restore(from.state)
		if err != nil {
			return nil, err
		}
		p.cursor = &cursor{
			core: core, told: slices.Clone(from.told),
			lines: newLineReader(io.NewSectionReader(t.export, from.position, t.size-from.position), from.position),
		}
	}
	for p.cursor.core.Next() <= offset {
		if err := p.cursor.step(); err != nil {
			return nil, err
		}
	}
	return p.cursor, nil
}

// step decides the next record.
func (c *cursor) step() error {
	text, err := c.lines.next()
	if err != nil {
		return err
	}
	line, err := readLine(text)
	if err != nil {
		return err
	}
	if line.Record == nil {
		return fmt.Errorf("the line of record %d is not there", c.core.Next())
	}
	entry, err := line.Record.entry()
	if err != nil {
		return err
	}
	var changes sale.Changes
	record := entry.Record()
	if err := c.core.Apply(record, &changes); err != nil {
		return err
	}
	c.record, c.body = *line.Record, record.Body
	c.told = tell(c.told, changes.Decisions, record.Body)
	return nil
}

func (c *cursor) moment(p *partitionTimeline) *Moment {
	entry, _ := c.record.entry() // it was read before
	m := &Moment{
		Partition: p.partition, Offset: c.record.Offset, Time: c.core.Now(),
		Type: recordType(c.body), At: c.record.Time, Key: shown(entry.Key), Value: shown(entry.Value),
		Sales: salesOf(c.core), Decisions: make([]Told, len(c.told)),
	}
	for i := range c.told {
		d := &c.told[i].decision
		m.Decisions[i] = Told{Cause: d.Cause, Time: d.Time, Text: inWords(p.partition, d, c.told[i].body)}
	}
	return m
}

// shown gives bytes of the log as text that can be shown.
func shown(raw []byte) string {
	end := ""
	if len(raw) > maxShownBytes {
		raw, end = raw[:maxShownBytes], "…"
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD") + end
}
