package sale_test

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// create makes a sale. The first two schemas brought the rules of their number.
func (m *reference) create(product string, c sale.Create) {
	latest := m.saleOf(product)
	switch {
	case c.Rules < 1 || c.Rules > min(m.schema, 2) || !validTerms(c.Settings, c.Rules):
		m.tell("result invalid sale -1 request -1")
	case latest != nil && latest.stage != "closed":
		m.tell("result already_open sale %d request -1", latest.id)
	default:
		s := &referenceSale{
			id: m.own, product: product, key: c.BuyerKey, rules: c.Rules, terms: c.Settings, stage: "scheduled", version: 1, created: m.now,
		}
		s.bucketAt = m.now - 1_000_000 // it is full
		m.sales = append(m.sales, s)
		if int64(s.terms.OpensAt) <= m.now {
			m.open(s)
		} else {
			m.outcome(s, "rejected", "not_open")
		}
		m.tell("result  sale %d request -1", s.id)
	}
}

// validTerms says what a sale can be, in the words of the interface.
func validTerms(s sale.Settings, rules int) bool {
	const most, week, lastTime = 1_000_000_000, 604_800, 253_402_300_799_999 - 604_800_000
	between := func(number, from, to int64) bool { return number >= from && number <= to }
	good := between(s.Quantity, 1, most) && between(s.HoldSeconds, 1, week) &&
		between(s.PerBuyerLimit, 1, most) && between(s.MaxQuantityPerRequest, 1, s.PerBuyerLimit)
	if rules == 1 {
		return good && s.Policy == "queue" && s.MaxHoldSeconds == 0 && s.WaitlistCapacity == 0 &&
			s.OpensAt == 0 && s.ClosesAt == 0 && s.AdmitPerSecond == 0 && s.MaxActiveHolds == 0 && s.CheckoutURL == ""
	}
	for _, c := range s.CheckoutURL {
		good = good && c > ' ' && c <= '~'
	}
	return good && between(s.MaxHoldSeconds, s.HoldSeconds, week) && between(s.WaitlistCapacity, 0, most) &&
		between(s.AdmitPerSecond, 0, 1_000_000) && between(s.MaxActiveHolds, 0, most) &&
		between(int64(s.OpensAt), 0, lastTime) && between(int64(s.ClosesAt), 0, lastTime) && (s.ClosesAt == 0 || s.ClosesAt > s.OpensAt) &&
		slices.Contains([]sale.Policy{"waitlist", "queue", "reject"}, s.Policy) && len(s.CheckoutURL) <= 2048
}

func (m *reference) open(s *referenceSale) {
	s.stage, s.opened = "open", m.now
	m.outcome(s, "sold_out", "sold_out")
}

// close ends the waitlist and refuses those whom a pause kept.
func (m *reference) close(s *referenceSale) {
	if s.stage == "paused" {
		s.bucket, s.bucketAt = 0, m.now
	}
	s.stage, s.closed = "closed", m.now
	for _, q := range m.in(s, "waitlisted") {
		q.state = "sold_out"
		s.soldOut++
		m.tell("request %d sold_out closed", q.at)
	}
	for _, q := range m.in(s, "queued") {
		q.state = "rejected"
		s.rejected++
		m.tell("request %d rejected closed", q.at)
	}
	m.outcome(s, "rejected", "closed")
}

// outcome is what requests from this record on have, unless they are told
// something else.
func (m *reference) outcome(s *referenceSale, state, reason string) {
	s.defaults = slices.DeleteFunc(s.defaults, func(d sale.Default) bool { return int64(d.From) == m.own })
	s.defaults = append(s.defaults, sale.Default{From: sale.Offset(m.own), State: sale.State(state), Reason: sale.Reason(reason)})
}

func (m *reference) confirm(product string, request int64, payment string) {
	q := m.find(product, &request)
	switch {
	case m.forgotten(product, request):
		m.result("sale_retired", nil, request)
	case q != nil && q.state == "expired":
		m.result("hold_expired", q, request)
	case q != nil && q.state == "confirmed" && q.payment != payment:
		m.result("other_payment", q, request)
	case q != nil && q.state == "confirmed":
		m.result("", q, request)
	case q == nil || q.state != "held":
		m.result("not_held", q, request)
	default:
		q.payment = payment
		m.end(q, "confirmed", "") // serves: there is less hope for those who wait for more
		m.result("", q, request)
	}
}

func (m *reference) release(product string, request int64, by string) {
	q := m.find(product, &request)
	switch {
	case m.forgotten(product, request):
		m.result("sale_retired", nil, request)
	case q != nil && q.state == "expired":
		m.result("hold_expired", q, request)
	case q != nil && q.state == "released":
		m.result("", q, request)
	case q == nil || !slices.Contains([]string{"queued", "held", "reserved", "waitlisted"}, q.state):
		m.result("not_held", q, request)
	default:
		m.end(q, "released", "by_"+by)
		m.tell("result  sale %d request %d", q.of.id, request)
	}
}

// extend makes the hold's end the later of what it is and so many seconds from
// now, and no later than the longest that a hold may last.
func (m *reference) extend(product string, request, seconds int64) {
	q := m.find(product, &request)
	switch {
	case m.forgotten(product, request):
		m.result("sale_retired", nil, request)
		return
	case q != nil && q.state == "expired":
		m.result("hold_expired", q, request)
		return
	case q == nil || q.state != "held":
		m.result("not_held", q, request)
		return
	}
	used := q.lasts - q.left
	left := min(seconds*1000, q.of.terms.MaxHoldSeconds*1000-used)
	switch {
	case seconds*1000 <= q.left:
		m.result("", q, request)
	case left <= q.left:
		m.result("hold_limit", q, request)
	default:
		q.left, q.lasts = left, used+left
		m.tell("request %d held", q.at)
		m.result("", q, request)
	}
}

func (m *reference) giveBack(product string, request int64) {
	q := m.find(product, &request)
	switch {
	case m.forgotten(product, request):
		m.result("sale_retired", nil, request)
	case q != nil && q.state == "returned":
		m.result("", q, request)
	case q == nil || q.state != "confirmed":
		m.result("not_confirmed", q, request)
	default:
		m.end(q, "returned", "")
		m.tell("result  sale %d request %d", q.of.id, request)
	}
}

// result names the sale only where the request is live or has bought.
func (m *reference) result(code string, q *referenceRequest, request int64) {
	of := int64(-1)
	if q != nil && slices.Contains([]string{"queued", "held", "reserved", "waitlisted", "confirmed"}, q.state) {
		of = q.of.id
	}
	m.tell("result %s sale %d request %d", code, of, request)
}

// find gives the request that a command is about, and makes of a duplicate's
// name the first one's. Another product's request has no hold here; of one
// that is over, the core remembers how it ended but not whose it was.
func (m *reference) find(product string, request *int64) *referenceRequest {
	for _, q := range m.requests {
		if q.at != *request || q.of.retired != 0 {
			continue
		}
		if q.first != nil {
			q, *request = q.first, q.first.at
		}
		if q.product == product || slices.Contains([]string{"expired", "released", "returned"}, q.state) {
			return q
		}
	}
	return nil
}

// retires gives when a sale leaves memory if nothing happens before: 30 days
// after its closing, when nothing of it is live.
func (m *reference) retires(s *referenceSale) (int64, bool) {
	_, live := m.count(s, "queued", "held", "reserved", "waitlisted")
	return s.closed + 30*24*60*60*1000, m.schema >= 3 && s.stage == "closed" && s.retired == 0 && live == 0
}

// forgotten reports whether a request is one of a sale that has retired, for all
// that can be known by then: its offset, and the product of who asks.
func (m *reference) forgotten(product string, request int64) bool {
	for _, q := range m.requests {
		if q.at == request && q.of.retired == 0 && q.state != "sold_out" && q.state != "rejected" {
			return false
		}
	}
	var of *referenceSale
	for _, s := range m.sales {
		if s.product == product && s.id < request {
			of = s
		}
	}
	return of != nil && of.retired != 0 && request < m.own
}

// target finds the sale that an operator means.
func (m *reference) target(product string, id int64) *referenceSale {
	for _, s := range m.sales {
		if s.id == id && s.product == product {
			return s
		}
	}
	return nil
}

func (m *reference) update(product string, u sale.Update) {
	s := m.target(product, int64(u.Sale))
	if s == nil {
		m.tell("result unknown_sale sale -1 request -1")
		return
	}
	wish := s.terms
	change(&wish.Quantity, u.Change.Quantity)
	change(&wish.HoldSeconds, u.Change.HoldSeconds)
	change(&wish.MaxHoldSeconds, u.Change.MaxHoldSeconds)
	change(&wish.PerBuyerLimit, u.Change.PerBuyerLimit)
	change(&wish.MaxQuantityPerRequest, u.Change.MaxQuantityPerRequest)
	change(&wish.Policy, u.Change.Policy)
	change(&wish.WaitlistCapacity, u.Change.WaitlistCapacity)
	change(&wish.OpensAt, u.Change.OpensAt)
	change(&wish.ClosesAt, u.Change.ClosesAt)
	change(&wish.AdmitPerSecond, u.Change.AdmitPerSecond)
	change(&wish.MaxActiveHolds, u.Change.MaxActiveHolds)
	change(&wish.CheckoutURL, u.Change.CheckoutURL)

	taken, _ := m.count(s, "held", "reserved", "confirmed")
	code := ""
	switch {
	case s.retired != 0:
		code = "sale_retired"
	case wish == s.terms: // it is so already
	case s.stage == "closed":
		code = "sale_closed"
	case u.Version != s.version:
		code = "stale_version"
	case !validTerms(wish, s.rules), s.rules == 1 && wish.HoldSeconds != s.terms.HoldSeconds:
		code = "invalid"
	case wish.OpensAt != s.terms.OpensAt && s.stage != "scheduled":
		code = "already_open"
	case wish.Quantity < taken:
		code = "quantity_in_use"
	default:
		s.terms = wish
		s.version++
		m.serve(s)
	}
	m.tell("result %s sale %d request -1", code, s.id)
}

func change[T any](setting *T, wish *T) {
	if wish != nil {
		*setting = *wish
	}
}

// steer brings a sale to a stage.
func (m *reference) steer(product string, id int64, to string) {
	s := m.target(product, id)
	code := ""
	switch {
	case s == nil:
		m.tell("result unknown_sale sale -1 request -1")
		return
	case s.retired != 0:
		code = "sale_retired"
	case s.stage == to:
	case to == "closed":
		m.close(s)
	case s.stage == "closed":
		code = "sale_closed"
	case s.stage == "scheduled":
		code = "not_open"
	case to == "paused":
		s.stage = to
	default:
		m.resume(s)
	}
	m.tell("result %s sale %d request -1", code, s.id)
}

// resume serves those who wait, and then decides those whom the pause kept by
// the terms that the sale has now.
func (m *reference) resume(s *referenceSale) {
	s.stage, s.bucket, s.bucketAt = "open", 0, m.now
	m.serve(s)
	for _, q := range m.in(s, "queued") {
		switch {
		case q.quantity > s.terms.MaxQuantityPerRequest:
			q.state = "rejected"
			s.rejected++
			m.tell("request %d rejected invalid_quantity", q.at)
		case m.bought(s, q.buyer)+q.quantity > s.terms.PerBuyerLimit:
			q.state = "rejected"
			s.rejected++
			m.tell("request %d rejected buyer_limit", q.at)
		default:
			m.allot(q)
		}
	}
}

// start begins the holds that were decided below an offset.
func (m *reference) start(below int64) {
	begun := 0
	for _, q := range m.requests {
		if q.state == "held" && !q.begun && q.since < below {
			q.begun = true
			begun++
		}
	}
	if begun > 0 {
		m.tell("start below %d at %d", below, m.now)
	}
}

// turns are those who have their units and no window yet, the longest first.
func (m *reference) turns(s *referenceSale) []*referenceRequest {
	turns := m.in(s, "reserved")
	slices.SortFunc(turns, func(a, b *referenceRequest) int {
		return cmp.Or(cmp.Compare(a.granted, b.granted), cmp.Compare(a.at, b.at))
	})
	return turns
}

// filled is what is in a sale's bucket of windows, in thousandths: it fills by
// the pace in force, up to one second's worth.
func (m *reference) filled(s *referenceSale) int64 {
	pace := s.terms.AdmitPerSecond
	return min(s.bucket+min(m.now-s.bucketAt, 1000)*pace, pace*1000)
}

func (m *reference) room(s *referenceSale) bool {
	_, active := m.count(s, "held")
	return s.stage != "paused" && (s.terms.MaxActiveHolds == 0 || active < s.terms.MaxActiveHolds)
}

func (m *reference) openWindows() {
	for _, s := range m.sales {
		bucket, opened := m.filled(s), false
		for _, q := range m.turns(s) {
			if !m.room(s) || s.terms.AdmitPerSecond > 0 && bucket < 1000 {
				break
			}
			m.hold(q)
			bucket, opened = max(0, bucket-1000), true
		}
		if opened {
			s.bucket, s.bucketAt = bucket, m.now
		}
	}
}

// nextWindow looks for the first millisecond at which a tick opens a window.
func (m *reference) nextWindow(s *referenceSale) (int64, bool) {
	if len(m.turns(s)) == 0 || !m.room(s) {
		return 0, false
	}
	if s.terms.AdmitPerSecond == 0 {
		return m.now, true
	}
	later := *m
	for later.filled(s) < 1000 {
		later.now++
	}
	return later.now, true
}

// understands reports whether the record is well formed.
func (m *reference) understands(r sale.Record) bool {
	visible := func(s string) bool {
		for _, c := range s {
			if c < 0x21 || c > 0x7e {
				return false
			}
		}
		return len(s) >= 1 && len(s) <= 128
	}
	product := len(r.Product) >= 1 && len(r.Product) <= 64
	for i, c := range string(r.Product) {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		product = product && (letter || i > 0 && (c == '.' || c == '_' || c == '-'))
	}
	later := m.schema >= 2 // what came with the second schema
	switch body := r.Body.(type) {
	case sale.Schema:
		return body.Version >= 1
	case sale.Create:
		s := body.Settings
		first := sale.Settings{
			Quantity: s.Quantity, HoldSeconds: s.HoldSeconds, PerBuyerLimit: s.PerBuyerLimit,
			MaxQuantityPerRequest: s.MaxQuantityPerRequest, Policy: s.Policy,
		}
		return product && visible(body.BuyerKey) && (later || s == first)
	case sale.Buy:
		return product && visible(string(body.Buyer)) && body.AcceptedAt >= 0 && body.AcceptedAt <= 253_402_300_799_999 &&
			(body.Lease == "" || later && visible(body.Lease))
	case sale.Confirm:
		return product && visible(body.PaymentReference)
	case sale.Release:
		return product && (body.By == "shopper" || body.By == "merchant")
	case sale.Extend:
		return product && later && body.Seconds >= 1 && body.Seconds <= 604_800
	case sale.Return, sale.Update, sale.Pause, sale.Resume, sale.Close:
		return product && later
	case sale.Tick:
		return body.Committed >= 0 && body.Committed <= r.Offset
	}
	return false
}
