package board

import (
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// maxAsked is how many rows below complete a partition remembers.
const maxAsked = 1 << 16

// caused is a place in the order in which rows and results leave memory.
type caused struct {
	offset   sale.Offset
	cause    sale.Offset
	isResult bool
}

// row gives the request's latest row at the watermark, nil if it has none, or
// false where the ledger has to be asked.
func (p *partition) row(offset sale.Offset) (*sale.Request, bool) {
	if row := p.rows[offset]; row != nil {
		return row, true
	}
	if offset >= p.complete {
		return nil, true
	}
	row, known := p.asked[offset]
	return row, known
}

// remember keeps what the ledger said of a request at a watermark F, which the
// board has reached. What was caused in [F, W) has to be in memory, or the
// answer may be out of date: so complete <= F, and a row in memory is later
// than the one found. Every change from now on replaces it, or drops it: see
// takeRow and forgetAll.
func (p *partition) remember(offset sale.Offset, found Found) {
	if found.Watermark < p.complete {
		return
	}
	if _, known := p.row(offset); known {
		return
	}
	if len(p.asked) >= maxAsked {
		for any := range p.asked {
			p.forget(any)
			break
		}
	}
	p.asked[offset] = found.Row
	if found.Row != nil {
		found.Row.Buyer = ""
		p.noteHold(found.Row)
		p.linkDuplicate(found.Row)
	}
}

// evict makes room: the oldest-caused go first, and complete rises above them.
// A row that goes is of an offset at or below its cause, so from then on the
// ledger is asked for it, and no default is given.
func (p *partition) evict() {
	gone := 0
	for _, oldest := range p.order {
		if len(p.rows)+len(p.results) <= 2*p.limit && oldest.cause >= p.complete {
			break
		}
		gone++
		if !p.holds(oldest) {
			continue // a later one is in its place
		}
		p.complete = max(p.complete, oldest.cause+1)
		if oldest.isResult {
			delete(p.results, oldest.offset)
		} else {
			p.forget(oldest.offset)
		}
	}
	p.order = p.order[gone:]
	if len(p.order) > 4*p.limit+1024 { // most of them are replaced
		p.order = slices.DeleteFunc(p.order, func(c caused) bool { return !p.holds(c) })
	}
}

// holds reports whether c is the place of what is in memory.
func (p *partition) holds(c caused) bool {
	if c.isResult {
		_, ok := p.results[c.offset]
		return ok
	}
	row := p.rows[c.offset]
	return row != nil && row.Cause == c.cause
}

// forget drops all that is known of a request. Who watches it asks again, and
// so makes sure that it is told of the next change.
func (p *partition) forget(offset sale.Offset) {
	delete(p.rows, offset)
	delete(p.asked, offset)
	delete(p.unstarted, offset)
	p.wakeOne(offset)
}

// forgetAll drops all rows and results.
func (p *partition) forgetAll() {
	clear(p.rows)
	clear(p.asked)
	clear(p.results)
	clear(p.unstarted)
	p.order = nil
}
