package load

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Pause before trying again where an answer is missing, or does not say when.
const retryPause = 200 * time.Millisecond

// buyer is somebody with a ticket, who follows it or has something to do with
// it. It belongs to one goroutine at a time.
type buyer struct {
	number    int
	clicked   time.Duration // when the click was due, since the phase began
	due       time.Duration // of the next call
	pollAfter time.Duration // as the service last asked for, or 0
	ticket    string
	etag      string
	state     sale.State
	position  int64 // the last one seen while queued, or -1
	decided   bool
	acted     bool // has done what winners do, or may not
}

// hears takes a status in and checks that it fits what was said before. It does
// not count the outcome of an answer to the click, which its sample does.
func (b *buyer) hears(t told, of *tally, at time.Duration) {
	if b.state != "" && t.state != b.state && !leadsTo(b.state, t.state) {
		of.noteContradiction()
	}
	switch {
	case t.state != sale.Queued:
		if !b.decided && b.state != "" {
			of.noteOutcome(b.clicked, at)
		}
		b.decided = true
	case t.position >= 0:
		if b.position >= 0 && t.position > b.position {
			of.noteRise()
		}
		b.position = t.position
	}
	b.state = t.state
	if len(t.ticket) > 0 && string(t.ticket) != b.ticket {
		b.ticket = string(t.ticket)
	}
	if t.pollAfter > 0 {
		b.pollAfter = t.pollAfter
	}
}

// marks remembers what the buyer has seen, for If-None-Match.
func (b *buyer) marks(etag []byte) {
	if string(etag) != b.etag {
		b.etag = string(etag)
	}
}

// pollDue sets the time of the next poll, a little later than asked for, so that
// those who were answered together do not come back together.
func (b *buyer) pollDue(now time.Duration) {
	pause := cmp.Or(b.pollAfter, retryPause)
	b.due = now + pause + rand.N(pause/10+1)
}

// tryAgain sets the time at which the same call is made once more.
func (b *buyer) tryAgain(retryAfter, now time.Duration) {
	b.due = now + max(retryAfter, retryPause) + rand.N(retryPause)
}

// schedule is a heap by the time of what is due.
type schedule[T any] struct {
	due   func(T) time.Duration
	items []T
}

func (s *schedule[T]) Len() int           { return len(s.items) }
func (s *schedule[T]) Less(i, j int) bool { return s.due(s.items[i]) < s.due(s.items[j]) }
func (s *schedule[T]) Swap(i, j int)      { s.items[i], s.items[j] = s.items[j], s.items[i] }
func (s *schedule[T]) Push(x any)         { s.items = append(s.items, x.(T)) }
func (s *schedule[T]) Pop() any {
	last := s.items[len(s.items)-1]
	clear(s.items[len(s.items)-1:])
	s.items = s.items[:len(s.items)-1]
	return last
}
