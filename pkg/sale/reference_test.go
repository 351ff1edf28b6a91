package sale_test

import (
	"fmt"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// reference decides a log as the design's words say it, and in no other way:
// it keeps a plain list of what was asked for and looks through all of it for
// every question, so that it shares neither structure nor shortcuts with the
// core. Units are counted, never kept; a hold's time is counted down. It knows
// nothing of schemas that are too new.
type reference struct {
	now      int64
	schema   int
	sales    []*referenceSale
	requests []*referenceRequest
	own      int64    // offset of the record in hand
	told     []string // what it caused, one line a decision
}

type referenceSale struct {
	id             int64
	product, key   string
	rules          int
	terms          sale.Settings
	stage          string
	version        int64
	created        int64
	opened, closed int64
	retired        int64
	bucketAt       int64 // when the bucket of windows was last taken from
	bucket         int64 // what it held then, in thousandths of a window
	defaults       []sale.Default

	asked, soldOut, rejected int64
}

type referenceRequest struct {
	at       int64 // offset
	of       *referenceSale
	product  string
	buyer    string
	quantity int64
	state    string
	granted  int64
	since    int64
	lasts    int64 // how long the hold is, in all
	begun    bool
	left     int64 // what the hold still has, once begun
	payment  string
	first    *referenceRequest // for a duplicate
}

// decide gives what the record causes, one line a decision.
func (m *reference) decide(r sale.Record) []string {
	m.own, m.told = int64(r.Offset), nil
	const yearEnd, week = 253_402_300_799_999, 7 * 24 * 3600 * 1000
	m.pass(max(m.now, min(int64(r.Time), yearEnd-week)))

	product := string(r.Product)
	if _, isSchema := r.Body.(sale.Schema); !m.understands(r) || m.schema == 0 && !isSchema {
		m.tell("request %d rejected malformed", m.own)
		return m.told
	}
	switch body := r.Body.(type) {
	case sale.Schema:
		m.schema = max(m.schema, body.Version)
	case sale.Create:
		m.create(product, body)
	case sale.Buy:
		m.buy(product, body)
	case sale.Confirm:
		m.confirm(product, int64(body.Request), body.PaymentReference)
	case sale.Release:
		m.release(product, int64(body.Request), string(body.By))
	case sale.Extend:
		m.extend(product, int64(body.Request), body.Seconds)
	case sale.Return:
		m.giveBack(product, int64(body.Request))
	case sale.Update:
		m.update(product, body)
	case sale.Pause:
		m.steer(product, int64(body.Sale), "paused")
	case sale.Resume:
		m.steer(product, int64(body.Sale), "open")
	case sale.Close:
		m.steer(product, int64(body.Sale), "closed")
	case sale.Tick:
		m.start(int64(body.Committed))
		m.openWindows()
	default:
		panic("an unknown body was understood")
	}
	for _, s := range m.sales {
		if at, ok := m.retires(s); ok && at <= m.now {
			s.retired = m.now
		}
	}
	return m.told
}

func (m *reference) tell(format string, args ...any) {
	m.told = append(m.told, fmt.Sprintf(format, args...))
}

// happening is something that happens by itself.
type happening struct {
	at, kind, offset int64
	do               func()
}

// pass lets time pass: whatever falls due happens one after the other, the
// earliest first; at the same time holds end first, then sales open, then
// sales close, then sales retire; and then by offset. It happens at the new time. No hold of a
// sale that was paused all the while has lost any of its time.
func (m *reference) pass(to int64) {
	from := m.now
	m.now = to
	stood := map[*referenceSale]bool{}
	for _, s := range m.sales {
		stood[s] = s.stage == "paused"
	}
	for {
		next, ok := m.next(from, to, stood)
		if !ok {
			break
		}
		next.do()
	}
	for _, q := range m.requests {
		if q.state == "held" && q.begun && !stood[q.of] {
			q.left -= to - from
		}
	}
}

// next gives the first thing that falls due until a time.
func (m *reference) next(from, to int64, stood map[*referenceSale]bool) (happening, bool) {
	var events []happening
	for _, q := range m.requests {
		if q.state == "held" && q.begun && !stood[q.of] {
			events = append(events, happening{from + q.left, 0, q.at, func() { m.end(q, "expired", "") }})
		}
	}
	for _, s := range m.sales {
		if s.stage == "scheduled" {
			events = append(events, happening{int64(s.terms.OpensAt), 1, s.id, func() { m.open(s) }})
		}
		if s.stage != "closed" && s.terms.ClosesAt != 0 {
			events = append(events, happening{int64(s.terms.ClosesAt), 2, s.id, func() { m.close(s) }})
		}
		if at, ok := m.retires(s); ok {
			events = append(events, happening{at, 3, s.id, func() { s.retired = m.now }})
		}
	}
	var first happening
	found := false
	for _, e := range events {
		if e.at > to {
			continue
		}
		earlier := e.at < first.at || e.at == first.at && (e.kind < first.kind || e.kind == first.kind && e.offset < first.offset)
		if !found || earlier {
			first, found = e, true
		}
	}
	return first, found
}

// due gives when the next thing happens by itself, a window among them, but
// not before now.
func (m *reference) due() (int64, bool) {
	const never = 1 << 62
	next := int64(never)
	paused := map[*referenceSale]bool{}
	for _, s := range m.sales {
		paused[s] = s.stage == "paused"
		if at, ok := m.nextWindow(s); ok {
			next = min(next, at)
		}
	}
	if e, ok := m.next(m.now, never-1, paused); ok {
		next = min(next, e.at)
	}
	return max(next, m.now), next != never
}

// count adds up what a sale's requests in some states have.
func (m *reference) count(s *referenceSale, states ...string) (units, requests int64) {
	for _, q := range m.requests {
		if q.of == s && slices.Contains(states, q.state) {
			units += q.quantity
			requests++
		}
	}
	return units, requests
}

func (m *reference) free(s *referenceSale) int64 {
	taken, _ := m.count(s, "held", "reserved", "confirmed")
	return s.terms.Quantity - taken
}

// hope is how many units a sale has that nobody has paid for.
func (m *reference) hope(s *referenceSale) int64 {
	sold, _ := m.count(s, "confirmed")
	return s.terms.Quantity - sold
}

// in gives a sale's requests in a state, in the order of the log.
func (m *reference) in(s *referenceSale, state string) []*referenceRequest {
	var found []*referenceRequest
	for _, q := range m.requests {
		if q.of == s && q.state == state {
			found = append(found, q)
		}
	}
	return found
}

// serve gives free units to those who wait, one after the other. Somebody who
// waits for more than is free keeps those behind waiting as long as there is
// hope for as much.
func (m *reference) serve(s *referenceSale) {
	if s.stage != "open" {
		return
	}
	for _, q := range m.in(s, "waitlisted") {
		if q.quantity <= m.free(s) {
			m.give(q)
		} else if m.free(s) > 0 && q.quantity <= m.hope(s) {
			return
		}
	}
}

// allot decides a request that may have what it asks for.
func (m *reference) allot(q *referenceRequest) {
	s := q.of
	kept := false
	for _, other := range m.in(s, "waitlisted") {
		kept = kept || other.quantity <= m.hope(s)
	}
	_, waiting := m.count(s, "waitlisted")
	switch {
	case q.quantity <= m.free(s) && !kept:
		m.give(q)
	case s.terms.Policy == "waitlist" && q.quantity <= m.hope(s) && waiting < s.terms.WaitlistCapacity:
		q.state = "waitlisted"
		m.tell("request %d waitlisted", q.at)
	default:
		q.state = "sold_out"
		s.soldOut++
		m.tell("request %d sold_out", q.at)
	}
}

// give sets units aside: with a hold, or with a turn where windows open at a
// pace or others still have theirs before them.
func (m *reference) give(q *referenceRequest) {
	if _, before := m.count(q.of, "reserved"); q.of.terms.AdmitPerSecond > 0 || q.of.terms.MaxActiveHolds > 0 || before > 0 {
		q.state, q.granted = "reserved", m.own
		m.tell("request %d reserved", q.at)
		return
	}
	m.hold(q)
}

func (m *reference) hold(q *referenceRequest) {
	q.state, q.since = "held", m.own
	q.lasts = q.of.terms.HoldSeconds * 1000
	q.left = q.lasts
	m.tell("request %d held", q.at)
}

// end takes everything from a request; what that frees goes on at once.
func (m *reference) end(q *referenceRequest, state, reason string) {
	q.state = state
	if reason != "" {
		reason = " " + reason
	}
	m.tell("request %d %s%s", q.at, state, reason)
	m.serve(q.of)
}

func (m *reference) buy(product string, b sale.Buy) {
	at := m.own
	s := m.saleOf(product)
	if s == nil || s.id != int64(b.Sale) {
		m.tell("request %d rejected unknown_sale", at)
		return
	}
	s.asked++
	q := &referenceRequest{at: at, of: s, product: product, buyer: string(b.Buyer), quantity: b.Quantity, since: -1}
	defer func() { m.requests = append(m.requests, q) }()

	reject := func(why string) {
		s.rejected++
		q.state = "rejected"
		m.tell("request %d rejected %s", at, why)
	}
	var live *referenceRequest
	for _, other := range m.requests {
		if other.of == s && other.buyer == q.buyer && slices.Contains([]string{"queued", "held", "reserved", "waitlisted"}, other.state) {
			live = other
		}
	}
	switch {
	case s.stage == "scheduled":
		reject("not_open")
	case s.stage == "closed":
		reject("closed")
	case q.quantity < 1 || q.quantity > s.terms.MaxQuantityPerRequest:
		reject("invalid_quantity")
	case live != nil:
		q.first = live
		reject(fmt.Sprintf("duplicate of %d", live.at))
	case m.bought(s, q.buyer)+q.quantity > s.terms.PerBuyerLimit:
		reject("buyer_limit")
	case s.stage == "paused":
		q.state = "queued"
		m.tell("request %d queued", at)
	default:
		m.allot(q)
	}
}

// bought counts a buyer's units that are paid for.
func (m *reference) bought(s *referenceSale, buyer string) int64 {
	units := int64(0)
	for _, q := range m.requests {
		if q.of == s && q.buyer == buyer && q.state == "confirmed" {
			units += q.quantity
		}
	}
	return units
}

// saleOf gives the product's latest sale.
func (m *reference) saleOf(product string) *referenceSale {
	var latest *referenceSale
	for _, s := range m.sales {
		if s.product == product {
			latest = s
		}
	}
	return latest
}
