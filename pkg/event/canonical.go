package event

import "github.com/anteroomhq/anteroom/pkg/sale"

// canonical reads the records that make up nearly all of a log, byte for byte as
// Encode writes them: members in their order, no space, text of printable ASCII
// that needs no escape, integers of at most 18 digits. It gives nil for
// everything else, be it well written in another way or malformed.
//
// It is there because an owner that works off a backlog does little but decode.
// It decides nothing: strict gives the same body for whatever is read here. So
// what a record means is said in one place, and this one can be taken out.
//
// The body keeps nothing of the value's memory: a value is a slice of a large
// fetch, which a buyer who is remembered must not keep alive.
func canonical(value []byte) sale.Body {
	c := cursor{rest: value}
	switch {
	case c.skip(`{"type":"` + typeBuy + `","sale":`):
		return c.buy()
	case c.skip(`{"type":"` + typeTick + `"`):
		return c.tick()
	case c.skip(`{"type":"` + typeConfirm + `","request":`):
		return c.confirm()
	case c.skip(`{"type":"` + typeRelease + `","request":`):
		return c.release()
	}
	return nil
}

// cursor reads a value from left to right. Once something is not as expected it
// has failed, and what it gave is worth nothing.
type cursor struct {
	rest   []byte
	failed bool
}

func (c *cursor) buy() sale.Body {
	of := c.integer()
	c.expect(`,"buyer":"`)
	buyer := c.text()
	c.expect(`,"quantity":`)
	quantity := c.integer()
	c.expect(`,"accepted_at":`)
	acceptedAt := c.integer()
	var lease []byte
	if c.skip(`,"lease":"`) {
		lease = c.text()
		c.failed = c.failed || len(lease) == 0 // as malformed as it is strictly
	}
	if !c.ended() {
		return nil
	}
	return sale.Buy{
		Sale: sale.Offset(of), Buyer: sale.Buyer(buyer), Quantity: quantity, AcceptedAt: sale.Time(acceptedAt), Lease: string(lease),
	}
}

func (c *cursor) tick() sale.Body {
	var committed int64
	if c.skip(`,"committed":`) {
		committed = c.integer()
		c.failed = c.failed || committed == 0 // Encode leaves it out
	}
	if !c.ended() {
		return nil
	}
	return sale.Tick{Committed: sale.Offset(committed)}
}

func (c *cursor) confirm() sale.Body {
	request := c.integer()
	c.expect(`,"payment_reference":"`)
	reference := c.text()
	if !c.ended() {
		return nil
	}
	return sale.Confirm{Request: sale.Offset(request), PaymentReference: string(reference)}
}

func (c *cursor) release() sale.Body {
	request := c.integer()
	c.expect(`,"by":"`)
	by := c.text()
	if !c.ended() {
		return nil
	}
	return sale.Release{Request: sale.Offset(request), By: sale.Party(by)}
}

// skip goes past the literal if it comes next, and reports whether it does.
func (c *cursor) skip(literal string) bool {
	if len(c.rest) < len(literal) || string(c.rest[:len(literal)]) != literal {
		return false
	}
	c.rest = c.rest[len(literal):]
	return true
}

func (c *cursor) expect(literal string) {
	if !c.skip(literal) {
		c.failed = true
	}
}

// ended reports whether all was as expected, and the object ends with the value.
func (c *cursor) ended() bool {
	return !c.failed && len(c.rest) == 1 && c.rest[0] == '}'
}

// maxDigits is how many digits always fit an int64. Some numbers of one digit
// more do too; no time or offset gets there, and they are read strictly.
const maxDigits = 18

func (c *cursor) integer() int64 {
	negative := c.skip("-")
	var n int64
	digits := 0
	for _, b := range c.rest {
		digit := b - '0'
		if digit > 9 {
			break
		}
		n = n*10 + int64(digit) // may overflow, where there are too many
		digits++
	}
	switch {
	case digits == 0 || digits > maxDigits:
		c.failed = true
	case c.rest[0] == '0' && (digits > 1 || negative):
		c.failed = true
	}
	c.rest = c.rest[digits:]
	if negative {
		return -n
	}
	return n
}

// text reads up to the closing quote, and past it. What it gives is still the
// value's memory.
func (c *cursor) text() []byte {
	for i, b := range c.rest {
		switch {
		case b == '"':
			text := c.rest[:i]
			c.rest = c.rest[i+1:]
			return text
		case b < ' ' || b > '~' || b == '\\':
			c.failed = true
			return nil
		}
	}
	c.failed = true
	return nil
}
