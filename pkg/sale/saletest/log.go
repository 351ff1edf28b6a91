package saletest

import (
	"math"
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Epoch is about the time at which the logs begin.
const Epoch sale.Time = 1_750_000_000_000

// Log draws a log of at most 150 records, with offsets from 0 on. Nearly all
// begin with a schema record, some with garbage before it; some begin with an
// earlier schema, and are raised in their midst or never.
func Log(t *rapid.T) []sale.Record {
	return rapid.Custom(drawLog).Draw(t, "log")
}

func drawLog(t *rapid.T) []sale.Record {
	l := newLog()
	for place := range rapid.SampledFrom([]int{150, 100, 50, 10}).Draw(t, "steps") {
		// One number makes a whole step, evenly spread over what a step can be:
		// rapid's own generators prefer small values, with which few sales would
		// sell anything. What shrinks to 0 is left out.
		number := rapid.Uint32().Draw(t, "step")
		if number == 0 {
			continue
		}
		l.append(l.worthwhile(drawStep(rand.New(rand.NewPCG(uint64(number), uint64(place))))))
	}
	return l.records
}

// Entries gives the records as they lie in a log. A record without a body
// gets a value that cannot be read.
func Entries(records []sale.Record) []event.Entry {
	entries := make([]event.Entry, len(records))
	for i, r := range records {
		value := []byte(`{"type":"garbage"`)
		if r.Body != nil {
			encoded, err := event.Encode(r.Body)
			if err != nil {
				panic(err) // Log draws no text that cannot be encoded
			}
			value = encoded
		}
		entries[i] = event.Entry{Offset: r.Offset, Time: r.Time, Key: []byte(r.Product), Value: value}
	}
	return entries
}

type kind int

const (
	kindBuy kind = iota
	kindConfirm
	kindRelease
	kindExtend
	kindReturn
	kindTick
	kindCreate
	kindUpdate
	kindPause
	kindResume
	kindClose
	kindSchema
	kindGarbage
)

// kinds holds each kind as often as it is to be drawn.
var kinds = []kind{
	kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy, kindBuy,
	kindTick, kindTick, kindTick, kindTick, kindTick, kindTick, kindTick,
	kindConfirm, kindConfirm, kindConfirm, kindConfirm,
	kindRelease, kindRelease, kindRelease,
	kindExtend, kindExtend, kindExtend,
	kindReturn, kindReturn,
	kindUpdate, kindUpdate, kindUpdate,
	kindPause,
	kindResume, kindResume, kindResume,
	kindClose,
	kindCreate, kindCreate,
	kindSchema, kindSchema,
	kindGarbage,
}

// laterSchema is the second one.
const laterSchema = 2

// laterKinds came with it.
var laterKinds = []kind{kindExtend, kindReturn, kindUpdate, kindPause, kindResume, kindClose}

var (
	products   = []sale.Product{"ring", "ring", "ring", "ring", "ring", "lamp", "lamp", "cup.2", "", "Ring", "ring\x00", ".ring"}
	buyers     = []sale.Buyer{"ann", "ann", "bob", "cid", "dee", "eve", "fay", "gus", "hal", "ivy", "joe", "kim", "", "a b", "\u00e4nn"}
	references = []string{"pay-1", "pay-1", "pay-2", "", "pay\n1"}
	parties    = []sale.Party{sale.ByShopper, sale.ByMerchant, sale.ByMerchant, "nobody", ""}
	quantities = []int64{1, 1, 1, 1, 2, 2, 2, 3, 0, -1, sale.MaxQuantity, math.MaxInt64, math.MinInt64}
	elapsed    = []sale.Time{0, 0, 0, 1, 1, 10, 99, 100, 499, 500, 500, 999, 1000, 1000, 1001, 2000, 7000, -1, -1000, -60_000}
	offsets    = []sale.Offset{-1, math.MinInt64, math.MaxInt64, 1 << 40}
)

// step is a record in the making: numbers that find their meaning from what
// was appended before it, so that leaving steps out still makes a log.
type step struct {
	kind    kind
	product sale.Product
	elapsed sale.Time
	atDue   bool // rather so long from when the next thing falls due
	leap    bool // or from when a closed sale may retire
	oddity  int  // 0 in a small share of the steps: something unusual
	choice  int
	draw    *rand.Rand // the rest
}

func drawStep(draw *rand.Rand) step {
	s := step{
		kind:    evenly(draw, kinds),
		product: evenly(draw, products[:8]),
		elapsed: evenly(draw, elapsed),
		atDue:   draw.IntN(4) == 0,
		leap:    draw.IntN(12) == 0,
		oddity:  draw.IntN(32),
		choice:  draw.IntN(32),
		draw:    draw,
	}
	if s.oddity == 0 {
		s.product = evenly(draw, products)
	}
	if s.atDue || s.leap {
		s.elapsed = sale.Time(draw.IntN(4)+1)/2 - 1 // -1, 0, 0, 1
	}
	return s
}

func evenly[T any](draw *rand.Rand, from []T) T { return from[draw.IntN(len(from))] }

// log is what has been appended so far, and what the core has made of it: that
// is only taken to aim well, never to say what is right.
type log struct {
	records []sale.Record
	now     sale.Time

	state   *sale.Partition // nil after the core has broken down
	sales   map[sale.Offset]sale.Sale
	current map[sale.Product]sale.Offset
	rows    map[sale.Offset]sale.Request
	asked   []sale.Offset // those with rows, in the order of the log
}

func newLog() *log {
	return &log{
		now: Epoch, state: sale.New(),
		sales: map[sale.Offset]sale.Sale{}, current: map[sale.Product]sale.Offset{}, rows: map[sale.Offset]sale.Request{},
	}
}

// worthwhile makes of most steps that could change nothing one that can.
func (l *log) worthwhile(s step) step {
	if len(l.records) == 0 && s.oddity != 0 {
		s.kind = kindSchema
		return s
	}
	if s.oddity <= 8 {
		return s
	}
	if l.state != nil && l.state.Schema() == 0 {
		s.kind = kindSchema
		return s
	}
	if s.product == "cup.2" && s.choice < 24 {
		s.product = "ring"
	}
	current, exists := l.sales[l.current[s.product]]
	switch {
	case !exists:
		s.kind = kindCreate
	case current.Stage == sale.StageClosed && s.choice%2 == 0:
		s.kind = kindCreate
	case s.kind == kindCreate:
		s.kind = kindBuy
	case current.Stage == sale.StageScheduled && s.choice < 6:
		s.kind = []kind{kindPause, kindResume, kindBuy}[s.choice%3] // which comes too early
	case s.kind == kindResume && current.Stage != sale.StagePaused:
		s.kind = kindBuy
	case s.kind == kindPause && current.Stage != sale.StageOpen, s.kind == kindClose && current.Stage == sale.StageClosed:
		s.kind = kindTick
	case s.kind == kindSchema && l.state != nil && (l.state.Schema() == sale.NewestSchema || l.state.Schema() == laterSchema && s.choice%4 != 0):
		s.kind = kindBuy
	case s.choice < 24 && l.state != nil && l.state.Schema() == sale.FirstSchema && slices.Contains(laterKinds, s.kind):
		s.kind = kindBuy
	case s.kind == kindReturn && len(l.inState(s.product, sale.Confirmed)) == 0:
		s.kind = kindConfirm
	}
	return s
}

func (l *log) append(s step) {
	at := l.now + s.elapsed
	if s.atDue && l.state != nil {
		if due, ok := l.state.Due(); ok && due > l.now && due < l.now+20_000 {
			at = due + s.elapsed
		}
	}
	if retires, ok := l.retirement(); s.leap && ok {
		at = retires + s.elapsed
	}
	l.now = max(l.now, at) // a timestamp that goes back is one record's
	if s.oddity == 3 && s.choice == 0 {
		at = []sale.Time{1, -1, math.MinInt64}[len(l.records)%3]
	}
	r := sale.Record{Offset: sale.Offset(len(l.records)), Time: at, Product: s.product, Body: l.body(s)}
	l.records = append(l.records, r)
	l.follow(r)
}

// retirement gives the first time to come at which a closed sale may retire,
// whether or not the log's schema knows that.
func (l *log) retirement() (sale.Time, bool) {
	const month = 30 * 24 * 3600 * 1000
	var first sale.Time
	for _, s := range l.sales {
		at := s.ClosedAt + month
		if s.Stage == sale.StageClosed && at > l.now && (first == 0 || at < first) {
			first = at
		}
	}
	return first, first != 0
}

// follow notes what the core made of the record.
func (l *log) follow(r sale.Record) {
	if l.state == nil {
		return
	}
	var changes sale.Changes
	if err := l.state.Apply(r, &changes); err != nil {
		l.state = nil
		return
	}
	for _, d := range changes.Decisions {
		if d.Kind != sale.OfRequest || d.Default {
			continue
		}
		if _, known := l.rows[d.Request.Offset]; !known {
			l.asked = append(l.asked, d.Request.Offset)
		}
		l.rows[d.Request.Offset] = d.Request
	}
	for _, s := range changes.Sales() {
		l.sales[s.ID] = s
		if s.ID == r.Offset {
			l.current[s.Product] = s.ID
		}
	}
}

func (l *log) body(s step) sale.Body {
	switch s.kind {
	case kindBuy:
		return l.buy(s)
	case kindConfirm:
		return sale.Confirm{Request: l.requestFor(s, sale.Held), PaymentReference: pick(references[:3], references, s)}
	case kindRelease:
		return sale.Release{Request: l.requestFor(s, sale.Held, sale.Reserved, sale.Waitlisted, sale.Queued), By: pick(parties[:3], parties, s)}
	case kindExtend:
		seconds := evenly(s.draw, []int64{1, 1, 2, 3, 4, 5})
		if s.oddity == 1 {
			seconds = evenly(s.draw, []int64{0, -1, sale.MaxHoldSeconds, sale.MaxHoldSeconds + 1, math.MaxInt64, math.MinInt64})
		}
		return sale.Extend{Request: l.requestFor(s, sale.Held), Seconds: seconds}
	case kindReturn:
		return sale.Return{Request: l.requestFor(s, sale.Confirmed)}
	case kindTick:
		return sale.Tick{Committed: l.committedFor(s)}
	case kindCreate:
		return l.create(s)
	case kindUpdate:
		return l.update(s)
	case kindPause:
		return sale.Pause{Sale: l.saleFor(s), Actor: "olga", Reason: "a break"}
	case kindResume:
		return sale.Resume{Sale: l.saleFor(s), Actor: "olga"}
	case kindClose:
		return sale.Close{Sale: l.saleFor(s), Reason: "enough"}
	case kindSchema:
		return l.schema(s)
	case kindGarbage:
		return nil
	}
	return nil
}

func (l *log) schema(s step) sale.Body {
	switch {
	case s.oddity == 1:
		return sale.Schema{Version: -s.choice}
	case len(l.records) == 0 && s.choice < 8:
		return sale.Schema{Version: sale.FirstSchema}
	case s.choice < 16:
		return sale.Schema{Version: laterSchema}
	}
	return sale.Schema{Version: sale.NewestSchema}
}
