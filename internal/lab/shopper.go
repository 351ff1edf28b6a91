package lab

import (
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// step is what a shopper does next.
type step uint8

const (
	click   step = iota // press Buy
	ask                 // ask for the status
	pay                 // confirm the hold
	lookAt              // ask once more, after the end
	goAway              // nothing
	waitPay             // keep the hold until everybody has clicked
)

// shopper is one buyer's journey.
type shopper struct {
	number       int
	step         step
	due          time.Time     // of the step
	pollAfter    time.Duration // as the service last asked for, or 0
	clicked      time.Time     // the first click
	patienceEnds time.Time
	ticket       string
	etag         string
	state        sale.State
	position     int64 // the last one seen while queued, or -1
	quantity     int
	decided      bool
	answered     bool // its click got a ticket or a refusal, or patience ended
}

// status is what anteroom says of a request, as far as a shopper reads it.
type status struct {
	Ticket      string     `json:"ticket"`
	State       sale.State `json:"state"`
	Position    *int64     `json:"position"`
	Quantity    int        `json:"quantity"`
	PollAfterMS int64      `json:"poll_after_ms"`
	After       string     `json:"after"` // of a stream's messages: what If-None-Match is elsewhere
}

// told takes a status in and checks that it fits what was said before.
func (s *shopper) told(told status, t *tally, now time.Time) {
	if s.state != "" && told.State != s.state && !leadsTo(s.state, told.State) {
		t.noteContradiction()
	}
	if told.State == sale.Queued {
		if told.Position != nil {
			if s.position >= 0 && *told.Position > s.position {
				t.noteRise()
			}
			s.position = *told.Position
		}
	} else if !s.decided {
		s.decided = true
		t.noteOutcome(s.clicked, now)
	}
	if told.State == sale.Held && s.state != sale.Held {
		t.held.Add(1)
	}
	if told.State == sale.Confirmed && s.state != sale.Confirmed {
		t.sold.Add(int64(told.Quantity))
	}
	if told.PollAfterMS > 0 {
		s.pollAfter = time.Duration(told.PollAfterMS) * time.Millisecond
	}
	s.state, s.ticket, s.quantity = told.State, told.Ticket, told.Quantity
}

// tryAgain sets the time at which the same step is tried once more.
func (s *shopper) tryAgain(retryAfter time.Duration, now time.Time) {
	s.due = now.Add(max(retryAfter, retryPause) + rand.N(retryPause))
}

// leadsTo reports whether a request can get from one state to another, in any
// number of steps: a poll may miss those between.
func leadsTo(from, to sale.State) bool {
	seen := map[sale.State]bool{from: true}
	for reach := []sale.State{from}; len(reach) > 0; {
		next := reach[0]
		reach = reach[1:]
		if next.CanBecome(to) {
			return true
		}
		for _, via := range []sale.State{sale.Waitlisted, sale.Reserved, sale.Held, sale.Confirmed} {
			if next.CanBecome(via) && !seen[via] {
				seen[via] = true
				reach = append(reach, via)
			}
		}
	}
	return false
}
