package sale_test

import (
	"fmt"
	"math"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// reference decides a log as the design's words say it, and in no other way:
// it keeps a plain list of what was asked for and looks through all of it for
// every question, so that it shares neither structure nor shortcuts with the
// core. It knows nothing of schemas that are too new.
type reference struct {
	now      int64
	open     bool // a schema record was seen
	sales    []*referenceSale
	requests []*referenceRequest
}

type referenceSale struct {
	id, quantity, hold, limit, most int64
	product                         string
}

type referenceRequest struct {
	at       int64 // offset
	of       *referenceSale
	product  string
	buyer    string
	quantity int64
	state    string
	begun    bool
	end      int64 // once begun
	payment  string
	first    *referenceRequest // for a duplicate
}

// decide gives what the record causes, one line a decision.
func (m *reference) decide(r sale.Record) []string {
	if int64(r.Time) > m.now {
		m.now = int64(r.Time)
	}
	lines := m.expire()
	if _, isSchema := r.Body.(sale.Schema); !m.understands(r) || !m.open && !isSchema {
		return append(lines, fmt.Sprintf("request %d rejected malformed", r.Offset))
	}
	switch body := r.Body.(type) {
	case sale.Schema:
		m.open = true
		return lines
	case sale.Create:
		return append(lines, m.create(int64(r.Offset), string(r.Product), body))
	case sale.Buy:
		return append(lines, m.buy(int64(r.Offset), string(r.Product), body))
	case sale.Confirm:
		return append(lines, m.confirm(string(r.Product), int64(body.Request), body.PaymentReference)...)
	case sale.Release:
		return append(lines, m.release(string(r.Product), int64(body.Request), string(body.By))...)
	case sale.Tick:
		return append(lines, m.tick(int64(body.Committed))...)
	}
	panic("an unknown body was understood")
}

// expire ends, one after the other, the hold that ends first, and of several
// the one whose request came first.
func (m *reference) expire() []string {
	var lines []string
	for {
		var next *referenceRequest
		for _, q := range m.requests {
			if q.state == "held" && q.begun && q.end <= m.now && (next == nil || q.end < next.end) {
				next = q
			}
		}
		if next == nil {
			return lines
		}
		next.state = "expired"
		lines = append(lines, fmt.Sprintf("request %d expired", next.at))
	}
}

func (m *reference) create(at int64, product string, c sale.Create) string {
	s := c.Settings
	valid := c.Rules == 1 && s.Policy == "queue" &&
		s.Quantity >= 1 && s.Quantity <= 1_000_000_000 &&
		s.HoldSeconds >= 1 && s.HoldSeconds <= 604_800 &&
		s.PerBuyerLimit >= 1 && s.PerBuyerLimit <= 1_000_000_000 &&
		s.MaxQuantityPerRequest >= 1 && s.MaxQuantityPerRequest <= s.PerBuyerLimit
	if !valid {
		return "result invalid sale -1 request -1"
	}
	if open := m.saleOf(product); open != nil {
		return fmt.Sprintf("result already_open sale %d request -1", open.id)
	}
	m.sales = append(m.sales, &referenceSale{
		id: at, quantity: s.Quantity, hold: s.HoldSeconds * 1000, limit: s.PerBuyerLimit, most: s.MaxQuantityPerRequest, product: product,
	})
	return fmt.Sprintf("result  sale %d request -1", at)
}

func (m *reference) buy(at int64, product string, b sale.Buy) string {
	s := m.saleOf(product)
	if s == nil || s.id != int64(b.Sale) {
		return fmt.Sprintf("request %d rejected unknown_sale", at)
	}
	q := &referenceRequest{at: at, of: s, product: product, buyer: string(b.Buyer), quantity: b.Quantity}
	defer func() { m.requests = append(m.requests, q) }()

	free, has := s.quantity, int64(0)
	var live *referenceRequest
	for _, other := range m.requests {
		if other.of != s || other.state != "held" && other.state != "confirmed" {
			continue
		}
		free -= other.quantity
		if other.buyer == q.buyer {
			has += other.quantity
			if other.state == "held" {
				live = other
			}
		}
	}
	switch {
	case q.quantity < 1 || q.quantity > s.most:
		q.state = "rejected"
		return fmt.Sprintf("request %d rejected invalid_quantity", at)
	case live != nil:
		q.state, q.first = "rejected", live
		return fmt.Sprintf("request %d rejected duplicate of %d", at, live.at)
	case has+q.quantity > s.limit:
		q.state = "rejected"
		return fmt.Sprintf("request %d rejected buyer_limit", at)
	case q.quantity > free:
		q.state = "sold_out"
		return fmt.Sprintf("request %d sold_out", at)
	}
	q.state = "held"
	return fmt.Sprintf("request %d held", at)
}

func (m *reference) confirm(product string, request int64, payment string) []string {
	q := m.find(product, &request)
	switch {
	case q == nil || q.state == "released" || q.state == "rejected" || q.state == "sold_out":
		return []string{m.refusal("not_held", q, request)}
	case q.state == "expired":
		return []string{m.refusal("hold_expired", q, request)}
	case q.state == "confirmed" && q.payment != payment:
		return []string{m.refusal("other_payment", q, request)}
	case q.state == "confirmed":
		return []string{m.refusal("", q, request)}
	}
	q.state, q.payment = "confirmed", payment
	return []string{fmt.Sprintf("request %d confirmed", q.at), m.refusal("", q, request)}
}

func (m *reference) release(product string, request int64, by string) []string {
	q := m.find(product, &request)
	switch {
	case q == nil || q.state == "rejected" || q.state == "sold_out" || q.state == "confirmed":
		return []string{m.refusal("not_held", q, request)}
	case q.state == "expired":
		return []string{m.refusal("hold_expired", q, request)}
	case q.state == "released":
		return []string{m.refusal("", q, request)}
	}
	q.state = "released"
	return []string{fmt.Sprintf("request %d released by_%s", q.at, by), fmt.Sprintf("result  sale %d request %d", q.of.id, request)}
}

// refusal names the sale only where the request has a unit.
func (m *reference) refusal(code string, q *referenceRequest, request int64) string {
	of := int64(-1)
	if q != nil && (q.state == "held" || q.state == "confirmed") {
		of = q.of.id
	}
	return fmt.Sprintf("result %s sale %d request %d", code, of, request)
}

func (m *reference) tick(below int64) []string {
	begun := 0
	for _, q := range m.requests {
		if q.state == "held" && !q.begun && q.at < below {
			q.begun, q.end = true, m.now+q.of.hold
			begun++
		}
	}
	if begun == 0 {
		return nil
	}
	return []string{fmt.Sprintf("start below %d at %d", below, m.now)}
}

// find gives the request that a command is about, and makes of a duplicate's
// name the first one's. Another product's request has no hold here; of one
// that is over, the core remembers how it ended but not whose it was.
func (m *reference) find(product string, request *int64) *referenceRequest {
	for _, q := range m.requests {
		if q.at != *request {
			continue
		}
		if q.first != nil {
			q, *request = q.first, q.first.at
		}
		if q.product == product || q.state == "expired" || q.state == "released" {
			return q
		}
	}
	return nil
}

// saleOf gives the product's open sale.
func (m *reference) saleOf(product string) *referenceSale {
	for _, s := range m.sales {
		if s.product == product {
			return s
		}
	}
	return nil
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
	switch body := r.Body.(type) {
	case sale.Schema:
		return body.Version >= 1
	case sale.Create:
		return product && visible(body.BuyerKey)
	case sale.Buy:
		return product && visible(string(body.Buyer)) && body.AcceptedAt >= 0 && body.AcceptedAt <= 253_402_300_799_999
	case sale.Confirm:
		return product && visible(body.PaymentReference)
	case sale.Release:
		return product && (body.By == "shopper" || body.By == "merchant")
	case sale.Tick:
		return body.Committed >= 0 && body.Committed <= r.Offset
	}
	return false
}

// told writes a decision of the core in the reference's form.
func told(d sale.Decision) string {
	switch d.Kind {
	case sale.OfRequest:
		line := fmt.Sprintf("request %d %s", d.Request.Offset, d.Request.State)
		if d.Request.Reason != "" && d.Request.State != sale.SoldOut {
			line += " " + string(d.Request.Reason)
		}
		if d.Request.First != sale.None {
			line += fmt.Sprintf(" of %d", d.Request.First)
		}
		return line
	case sale.OfCommand:
		return fmt.Sprintf("result %s sale %d request %d", d.Result.Code, d.Result.Sale, d.Result.Request)
	case sale.OfStart:
		return fmt.Sprintf("start below %d at %d", d.Start.Below, d.Start.At)
	}
	return fmt.Sprintf("a decision of unknown kind %d", d.Kind)
}

// endOf gives the end of a request's hold, or math.MaxInt64 if it has not
// begun, and false if the request has no hold.
func (m *reference) endOf(request sale.Offset) (int64, bool) {
	for _, q := range m.requests {
		if q.at == int64(request) && q.state == "held" {
			if !q.begun {
				return math.MaxInt64, true
			}
			return q.end, true
		}
	}
	return 0, false
}
