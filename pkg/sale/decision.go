package sale

import "sort"

// Kind says what a decision is about.
type Kind uint8

// The kinds of decision.
const (
	OfRequest Kind = iota + 1 // a request changed its state
	OfCommand                 // a command has its result
	OfStart                   // holds began to run
)

// Decision is what one record caused. (Cause, Index) names it within its
// partition.
type Decision struct {
	Cause Offset
	Index int  // its place among the decisions of that cause, from 0
	Time  Time // log time at which it was decided
	Kind  Kind

	// Default is true for a request whose outcome is its sale's default, so
	// that it needs no row. Then only the fields of Request that name it and
	// its outcome are set.
	Default bool
	Request Request // OfRequest: the whole row after the decision
	Result  Result  // OfCommand
	Start   Start   // OfStart
}

// Result is what became of a command.
type Result struct {
	Command Offset  `json:"command"` // offset of the command's record
	Product Product `json:"product"`
	Sale    Offset  `json:"sale"`    // the sale made or acted on, or None
	Request Offset  `json:"request"` // the request acted on, or None
	Code    Code    `json:"code,omitempty"`
	Time    Time    `json:"time"` // log time of the result
}

// Code says why a command was refused; empty is done, or already so.
type Code string

// Codes of refused commands.
const (
	CodeDone         Code = ""
	CodeNotHeld      Code = "not_held"      // the request has no hold, or no longer
	CodeHoldExpired  Code = "hold_expired"  // the hold ended before the command's time
	CodeOtherPayment Code = "other_payment" // confirmed already, with another reference
	CodeAlreadyOpen  Code = "already_open"  // the product has an open sale
	CodeInvalid      Code = "invalid"       // no sale can have these settings

	CodeHoldLimit     Code = "hold_limit"      // the hold lasts as long as its sale lets it already
	CodeNotConfirmed  Code = "not_confirmed"   // the request has no sold unit
	CodeUnknownSale   Code = "unknown_sale"    // the sale named is not this product's
	CodeStaleVersion  Code = "stale_version"   // the sale has another version than expected
	CodeQuantityInUse Code = "quantity_in_use" // fewer units than are sold, held or reserved
	CodeSaleClosed    Code = "sale_closed"     // the sale is over
	CodeNotOpen       Code = "not_open"        // the sale has not opened yet
	CodeSaleRetired   Code = "sale_retired"    // the sale closed so long ago that its requests are remembered no more
)

// Start begins the holds that were decided below an offset, and not begun by
// an earlier start.
type Start struct {
	Below Offset `json:"below"`
	At    Time   `json:"at"`
	Cause Offset `json:"cause"`
}

// Starts is a partition's list of starts, in order. Ends of holds are computed
// from it.
type Starts []Start

// Of gives the time at which a running hold that was decided at offset began,
// or false if it has not begun.
func (s Starts) Of(heldSince Offset) (Time, bool) {
	i, ok := s.find(heldSince)
	if !ok {
		return 0, false
	}
	return s[i].At, true
}

func (s Starts) find(heldSince Offset) (int, bool) {
	i := sort.Search(len(s), func(i int) bool { return s[i].Below > heldSince })
	return i, i < len(s)
}

// Changes collects what a run of records decided. The zero value is ready.
type Changes struct {
	Decisions []Decision
	changed   []*saleState
}

// Sales gives a copy of every sale that was changed, as it is now, in the
// order of their first change.
func (c *Changes) Sales() []Sale {
	sales := make([]Sale, len(c.changed))
	for i, s := range c.changed {
		sales[i] = s.Sale // Defaults is only ever appended to, so sharing it is safe
	}
	return sales
}

// Reset empties c for the next run of records and keeps its memory.
func (c *Changes) Reset() {
	for _, s := range c.changed {
		if s.changes == c { // else another run of records has noted it since
			s.changes = nil
		}
	}
	clear(c.changed)
	c.changed = c.changed[:0]
	clear(c.Decisions)
	c.Decisions = c.Decisions[:0]
}

func (c *Changes) note(s *saleState) {
	if s.changes != c {
		s.changes = c
		c.changed = append(c.changed, s)
	}
}
