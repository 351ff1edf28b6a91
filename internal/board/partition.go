package board

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// maxKept is how many messages that do not connect yet a partition keeps.
// Where there are more, the oldest go: a read of the ledger that is to come
// covers those first.
const maxKept = 32

// shared is what the partitions have in common.
type shared struct {
	board   *Board
	log     event.TopicID
	ledger  Ledger
	limit   int
	asking  chan struct{} // taken by each read of one request or result
	healing chan struct{} // taken by each read of a partition
}

// partition is the memory of one partition.
type partition struct {
	*shared
	number int32

	// at is the watermark, or sale.None before the first read. It is written
	// under mu, once the state is that of the new watermark, and read without
	// it: whoever finds an offset at or above it knows that the request was
	// undecided, which no lock could tell better.
	at  atomic.Int64
	end atomic.Int64

	asks asks

	// What an ETA in the line is made of; written under mu.
	speed  atomic.Pointer[rate] // of decisions; nil where it is not known
	paused atomic.Int32         // sales that are

	mu       sync.RWMutex
	complete sale.Offset
	rows     map[sale.Offset]*sale.Request // by request; a row is replaced, never written to
	results  map[sale.Offset]sale.Result   // by command
	order    []caused                      // of rows and results, by cause; some are replaced
	asked    map[sale.Offset]*sale.Request // below complete, from the ledger; nil for one without a row

	sales     map[sale.Offset]*sale.Sale // replaced, never written to
	current   map[sale.Product]*sale.Sale
	places    map[sale.Offset]*places // by sale
	touched   []*places               // by the change being made
	starts    sale.Starts
	unstarted map[sale.Offset]sale.Offset // requests whose hold has not begun, and what decided it
	now       sale.Time
	stopped   string
	decisions meter // of records, while there is a line

	watches map[sale.Offset][]*link
	woken   []*Watch // by the change being made; signalled once it is made

	heal heal
	kept []*event.Message // that did not connect when they came, oldest first
}

func newPartition(shared *shared, number int32) *partition {
	p := &partition{
		shared: shared, number: number,
		rows:      make(map[sale.Offset]*sale.Request),
		results:   make(map[sale.Offset]sale.Result),
		asked:     make(map[sale.Offset]*sale.Request),
		sales:     make(map[sale.Offset]*sale.Sale),
		current:   make(map[sale.Product]*sale.Sale),
		places:    make(map[sale.Offset]*places),
		unstarted: make(map[sale.Offset]sale.Offset),
		watches:   make(map[sale.Offset][]*link),
		heal:      newHeal(),
	}
	p.at.Store(int64(sale.None))
	return p
}

func (p *partition) watermark() sale.Offset { return sale.Offset(p.at.Load()) }

func (p *partition) line() int64 { return max(0, p.end.Load()-max(0, p.at.Load())) }

func (p *partition) raiseEnd(end sale.Offset) {
	for known := p.end.Load(); known < int64(end); known = p.end.Load() {
		if p.end.CompareAndSwap(known, int64(end)) {
			return
		}
	}
}

// hear takes a message, keeps it for later, or lets it go.
func (p *partition) hear(m *event.Message) {
	p.raiseEnd(max(m.End, m.To))
	p.mu.Lock()
	defer p.unlockAndWake()

	// A message from before what is known, late or of an owner that has lost
	// the partition, does not show that later ones would arrive.
	if m.To >= p.watermark() {
		p.heal.heard = time.Now()
	}
	switch {
	case m.To <= p.watermark(): // a sign of life and nothing more
	case m.Heal:
		p.needRead(m.To)
	case m.From <= p.watermark():
		before := p.watermark()
		p.takeMessage(m)
		p.takeKept()
		p.measure(before, false)
	default:
		p.keep(m)
		p.needRead(m.To)
	}
}

// keep puts a message aside that begins above the watermark. So messages that
// come while the ledger is being read connect to what it says; without that, a
// busy partition would need one read after the other.
func (p *partition) keep(m *event.Message) {
	if m.From == m.To {
		return
	}
	if len(p.kept) == maxKept {
		p.kept = slices.Delete(p.kept, 0, 1)
	}
	p.kept = append(p.kept, m)
}

// takeKept takes the messages that connect now.
func (p *partition) takeKept() {
	for again := true; again; {
		again = false
		p.kept = slices.DeleteFunc(p.kept, func(m *event.Message) bool {
			if m.From > p.watermark() {
				return false
			}
			if m.To > p.watermark() {
				p.takeMessage(m)
				again = true // for those that came before it
			}
			return true
		})
	}
}

// takeMessage moves the state from W to m.To, where m.From <= W < m.To. What
// was caused before W is known already.
func (p *partition) takeMessage(m *event.Message) {
	watermark := p.watermark()
	p.takeRows(m.Requests, m.Results, watermark)
	for i := range m.Sales {
		p.takeSale(&m.Sales[i])
	}
	before := len(p.starts)
	for _, start := range m.Starts {
		if start.Cause >= watermark {
			p.starts = append(p.starts, start)
		}
	}
	if len(p.starts) > before {
		p.wakeStarted()
	}
	p.dropStarts(m.OldestStart)
	p.now = m.Now
	p.stopped = ""
	p.advance(m.To)
}

// takeExtract moves the state from W to what the ledger says, which the caller
// has found to be at or after W.
func (p *partition) takeExtract(e *Extract) {
	watermark := p.watermark()
	switch {
	case watermark == sale.None:
		p.complete = e.From
		p.replacePlaces(e.Waiting)
	case e.From > watermark:
		// Rows that were caused between are not told: of what is in memory
		// nobody knows whether it is still the latest.
		p.forgetAll()
		p.wake(0, watermark)
		p.complete = e.From
		p.replacePlaces(e.Waiting)
	}
	p.takeRows(e.Requests, e.Results, max(watermark, p.complete))
	p.replaceSales(e.Sales)
	p.starts = slices.Clone(e.Starts)
	p.wakeStarted()
	p.dropStarts(e.OldestStart)
	p.now, p.stopped = e.Now, e.Stopped
	p.raiseEnd(e.Watermark)
	p.advance(e.Watermark)
}

// takeRows takes the rows and results that were caused at or after from. What
// is in memory was caused before it, so each is newer than what it replaces.
func (p *partition) takeRows(rows []sale.Request, results []sale.Result, from sale.Offset) {
	first := len(p.order)
	for i := range rows {
		if rows[i].Cause >= from {
			p.takeRow(rows[i], from)
		}
	}
	for _, result := range results {
		if result.Command >= from {
			p.results[result.Command] = result
			p.order = append(p.order, caused{offset: result.Command, cause: result.Command, isResult: true})
		}
	}
	// All of it was caused after what was there before.
	slices.SortFunc(p.order[first:], func(a, b caused) int { return cmp.Compare(a.cause, b.cause) })
}

// takeRow takes a row that is newer than all that is known of its request. It
// was caused at or after from.
func (p *partition) takeRow(row sale.Request, from sale.Offset) {
	row.Buyer = "" // nobody asks a board for it
	p.rows[row.Offset] = &row
	p.order = append(p.order, caused{offset: row.Offset, cause: row.Cause})
	delete(p.asked, row.Offset)
	p.seat(&row, from)
	p.noteHold(&row)
	p.linkDuplicate(&row)
	p.wakeOne(row.Offset)
}

// dropStarts forgets the starts that no running hold needs. The ends of those
// that run do not depend on them.
func (p *partition) dropStarts(oldest sale.Offset) {
	p.starts = slices.DeleteFunc(p.starts, func(s sale.Start) bool { return s.Below < oldest })
}

// noteHold remembers a hold whose start is to come, so that the start finds it.
func (p *partition) noteHold(row *sale.Request) {
	if _, begun := p.starts.Of(row.HeldSince); row.State == sale.Held && !begun {
		p.unstarted[row.Offset] = row.HeldSince
	} else {
		delete(p.unstarted, row.Offset)
	}
}

// wakeStarted wakes those whose hold has begun.
func (p *partition) wakeStarted() {
	for request, heldSince := range p.unstarted {
		if _, begun := p.starts.Of(heldSince); begun {
			delete(p.unstarted, request)
			p.wakeOne(request)
		}
	}
}

// advance completes a change: the state is that of the watermark to.
func (p *partition) advance(to sale.Offset) {
	p.evict()
	from := p.watermark()
	p.at.Store(int64(to))
	p.wake(max(0, from), to)
	if from == sale.None && p.board.unread.Add(-1) == 0 {
		close(p.board.ready)
	}
}

// unlockAndWake ends a change and signals the watches that it concerns, which
// find the lock free.
func (p *partition) unlockAndWake() {
	woken := p.woken
	p.woken = nil
	p.mu.Unlock()
	for _, w := range woken {
		w.wake()
	}
}
