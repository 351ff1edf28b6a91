package client

import (
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Status is what is known of a request. Times that are not known are zero.
type Status struct {
	// Ticket stands for the request: whoever has it can see the request and
	// give it up. It belongs to the shopper, and in no log. It is empty where a
	// merchant asked by public id.
	Ticket      string      `json:"ticket,omitzero"`
	ID          string      `json:"id"` // public: partition-offset
	Product     string      `json:"product"`
	Quantity    int64       `json:"quantity"` // units
	State       sale.State  `json:"state"`
	Position    *int64      `json:"position,omitempty"`    // requests ahead in the line or on the waitlist, 0 is next; nil where it is not known
	ETASeconds  *int64      `json:"eta_seconds,omitempty"` // until its turn, estimated; nil rather than invented
	Reason      sale.Reason `json:"reason,omitzero"`       // why it was refused, or who ended it
	ExpiresAt   time.Time   `json:"expires_at,omitzero"`   // end of a hold that runs
	CheckoutURL string      `json:"checkout_url,omitzero"` // with a token, for the shopper's browser, while the checkout window is open
	RequestedAt time.Time   `json:"requested_at"`
	DecidedAt   time.Time   `json:"decided_at,omitzero"`
	ServerTime  time.Time   `json:"server_time"`
	PollAfterMS int64       `json:"poll_after_ms"` // when to ask again; 0: there is nothing more to come
}

// The following say how far a request has come. Each can be given to
// [Client.WaitFor], as in Status.Decided.

// Decided reports whether the shopper has a first answer: anything but a place
// in the line. Those who are reserved or waitlisted are decided.
func (s Status) Decided() bool { return s.State != "" && s.State != sale.Queued }

// CanCheckOut reports whether the checkout window is open: a unit is held, and
// the time in which it can be paid for runs.
func (s Status) CanCheckOut() bool {
	return s.State == sale.Held && (!s.ExpiresAt.IsZero() || s.CheckoutURL != "")
}

// Settled reports whether there is nothing left to wait for: the checkout
// window is open, the unit is bought, or the state is final. Those who are
// queued, reserved or waitlisted still wait, and so do those whose hold has not
// begun to run.
func (s Status) Settled() bool {
	return s.CanCheckOut() || s.State == sale.Confirmed || s.State.Final()
}

// rank orders the states: no request goes from a higher one to a lower one.
// States that this version does not know have none.
func rank(s sale.State) (int, bool) {
	switch s {
	case sale.Queued:
		return 0, true
	case sale.Waitlisted:
		return 1, true
	case sale.Reserved:
		return 2, true
	case sale.Held:
		return 3, true
	case sale.Confirmed:
		return 4, true
	case sale.SoldOut, sale.Rejected, sale.Released, sale.Expired, sale.Returned:
		return 5, true
	}
	return 0, false
}

// memory is what a follower has been told. It keeps servers that are behind
// from taking back what another one has said.
type memory struct {
	last   Status
	former string // id of the duplicate whose first request is shown now
	place  *int64 // the lowest in this state
}

// take gives the status to show, and false for one that is behind or says
// nothing new.
func (m *memory) take(s Status) (Status, bool) {
	switch {
	case m.last.ID == "":
	case s.ID == m.former:
		return s, false
	case s.ID != m.last.ID: // a duplicate: its first request is shown from now on
		m.former, m.place = m.last.ID, nil
	default:
		before, known := rank(m.last.State)
		now, knownToo := rank(s.State)
		if known && knownToo && now < before {
			return s, false
		}
		if m.last.State.Final() && s.State != m.last.State {
			return s, false
		}
	}
	if s.State != m.last.State {
		m.place = nil
	}
	switch {
	case s.Position == nil:
	case m.place == nil || *s.Position <= *m.place:
		place := *s.Position
		m.place = &place
	default:
		place := *m.place
		s.Position = &place
	}
	isNews := s.differsFrom(&m.last)
	m.last = s
	return s, isNews
}

// differsFrom reports whether a shopper sees a difference. Every answer has
// another time.
func (s *Status) differsFrom(o *Status) bool {
	return s.ID != o.ID || s.State != o.State || s.Reason != o.Reason || s.Quantity != o.Quantity ||
		!same(s.Position, o.Position) || !same(s.ETASeconds, o.ETASeconds) ||
		!s.ExpiresAt.Equal(o.ExpiresAt) || !s.DecidedAt.Equal(o.DecidedAt) ||
		s.CheckoutURL != o.CheckoutURL
}

func same(a, b *int64) bool {
	return a == b || a != nil && b != nil && *a == *b
}
