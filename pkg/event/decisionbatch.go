package event

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strconv"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// Standing is what tells whether a sale has taken a step.
type Standing struct {
	Stage   sale.Stage // empty: not made
	Opened  bool
	SoldOut bool
	Retired bool
}

// StandingOf gives the sale's standing.
func StandingOf(s *sale.Sale) Standing {
	running := s.Stage == sale.StageOpen || s.Stage == sale.StagePaused
	return Standing{
		Stage:   s.Stage,
		Opened:  running || s.OpenedAt != 0,
		SoldOut: running && s.Available == 0,
		Retired: s.RetiredAt != 0,
	}
}

// steps says what brought a sale from one standing to another.
func steps(was, is Standing) []DecisionType {
	var taken []DecisionType
	step := func(is bool, t DecisionType) {
		if is {
			taken = append(taken, t)
		}
	}
	step(was.Stage == "", SaleCreated)
	step(is.Opened && !was.Opened, SaleOpened)
	step(is.Stage == sale.StagePaused && was.Stage != sale.StagePaused, SalePaused)
	step(is.Stage == sale.StageOpen && was.Stage == sale.StagePaused, SaleResumed)
	step(is.SoldOut && !was.SoldOut, SaleSoldOut)
	step(is.Stage == sale.StageClosed && was.Stage != sale.StageClosed, SaleClosed)
	step(is.Retired && !was.Retired, SaleRetired)
	if len(taken) == 0 {
		return []DecisionType{SaleChanged}
	}
	return taken
}

// DecisionBatch gathers what a batch of records decided, to be written for the
// topic of decisions.
type DecisionBatch struct {
	sales     []saleStep
	changes   map[sale.Offset]*change // by the record that changed a sale last
	decisions []*sale.Decision        // those with a row, and the first of each run
	runs      map[run]*extent
}

type saleStep struct {
	sale sale.Sale
	was  Standing
}

// change is what follows a record's decisions.
type change struct {
	index int // that comes next
	time  sale.Time
	timed bool
}

// run names the requests that share an outcome, and have no row.
type run struct {
	sale   sale.Offset
	state  sale.State
	reason sale.Reason
}

type extent struct {
	from, to sale.Offset
	count    int64
}

// NewDecisionBatch makes an empty one.
func NewDecisionBatch() *DecisionBatch {
	return &DecisionBatch{changes: make(map[sale.Offset]*change), runs: make(map[run]*extent)}
}

// AddSale adds a sale that the batch changed, as it is after it, and where it
// stood before. Sales are added before decisions.
func (b *DecisionBatch) AddSale(s sale.Sale, was Standing) {
	b.sales = append(b.sales, saleStep{sale: s, was: was})
	if b.changes[s.Revision] == nil {
		b.changes[s.Revision] = new(change)
	}
}

// Add adds a decision, which is to stay as it is until Encode has written it.
// Decisions come in their order.
func (b *DecisionBatch) Add(d *sale.Decision) {
	if c := b.changes[d.Cause]; c != nil {
		*c = change{index: d.Index + 1, time: d.Time, timed: true}
	}
	if d.Kind == sale.OfRequest && d.Default {
		of := runOf(d)
		if e := b.runs[of]; e != nil {
			e.to = d.Request.Offset + 1
			e.count++
			return
		}
		b.runs[of] = &extent{from: d.Request.Offset, to: d.Request.Offset + 1, count: 1}
	}
	b.decisions = append(b.decisions, d)
}

func runOf(d *sale.Decision) run {
	return run{sale: d.Request.Sale, state: d.Request.State, reason: d.Request.Reason}
}

// Empty reports whether there is nothing to tell.
func (b *DecisionBatch) Empty() bool { return len(b.decisions) == 0 && len(b.sales) == 0 }

// Encode writes the batch in the order of (cause, index): for each decision a
// line of its product, a tab, and its JSON. [DecisionLines] reads it. now is log
// time at the batch's end. It is called once.
func (b *DecisionBatch) Encode(log TopicID, partition int32, now sale.Time) ([]byte, error) {
	steps := b.steps(log, partition, now)
	w := newDecisionWriter(log, partition, len(b.decisions))
	for _, d := range b.decisions {
		for len(steps) > 0 && before(&steps[0], d) {
			if err := w.step(&steps[0]); err != nil {
				return nil, err
			}
			steps = steps[1:]
		}
		w.decision(d, b.extent(d))
	}
	for i := range steps {
		if err := w.step(&steps[i]); err != nil {
			return nil, err
		}
	}
	return w.encoded, nil
}

// extent gives the run that a decision stands for; nil for one with a row.
func (b *DecisionBatch) extent(d *sale.Decision) *extent {
	if d.Kind != sale.OfRequest || !d.Default {
		return nil
	}
	return b.runs[runOf(d)]
}

func before(step *Decision, d *sale.Decision) bool {
	return step.Cause < d.Cause || step.Cause == d.Cause && step.Index < d.Index
}

// steps are what the sales have done, in their order.
func (b *DecisionBatch) steps(log TopicID, partition int32, now sale.Time) []Decision {
	var all []Decision
	name := log.String()
	for i := range b.sales {
		s := &b.sales[i]
		at := b.changes[s.sale.Revision]
		if !at.timed {
			at.time = now
		}
		snapshot := snapshotOf(partition, &s.sale)
		for _, step := range steps(s.was, StandingOf(&s.sale)) {
			all = append(all, Decision{
				ID: decisionID(partition, s.sale.Revision, at.index), Log: name, Partition: partition,
				Type: step, Cause: s.sale.Revision, Index: at.index, Time: Instant(at.time),
				Product: s.sale.Product, Sale: snapshot.Sale, Snapshot: snapshot,
			})
			at.index++
		}
	}
	slices.SortFunc(all, func(x, y Decision) int {
		return cmp.Or(cmp.Compare(x.Cause, y.Cause), cmp.Compare(x.Index, y.Index))
	})
	return all
}

// publicID gives the public id of a sale, a request or a command; empty for
// none, and for what a command named that nothing can have.
func publicID(partition int32, offset sale.Offset) string {
	if offset < 0 {
		return ""
	}
	return ticket.PublicID(partition, int64(offset))
}

func decisionID(partition int32, cause sale.Offset, index int) string {
	id := strconv.AppendInt(nil, int64(partition), 10)
	id = strconv.AppendInt(append(id, '-'), int64(cause), 10)
	return string(strconv.AppendInt(append(id, '-'), int64(index), 10))
}

// DecisionLines gives the key and the value of each decision that
// [DecisionBatch.Encode] wrote. They share the memory of encoded.
func DecisionLines(encoded []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for line := range bytes.Lines(encoded) {
			key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"))
			if !yield(key, value) {
				return
			}
		}
	}
}
