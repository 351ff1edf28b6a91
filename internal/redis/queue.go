package redis

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why an item is not sent.
var (
	errBusy    = errors.New("too many wait for redis")
	errStopped = errors.New("the gate has stopped")
	errLeft    = errors.New("the caller has left")
)

// queue is what waits to be sent, in order. What arrives while nobody is free
// to take it is taken together. Its methods may be called from several
// goroutines, take from one.
type queue[T any] struct {
	limit int
	apart time.Duration // see take
	taken time.Time     // belongs to the taker: when it took last
	given []T           // belongs to the taker: what it took last
	ready chan struct{} // holds one token while there may be something to take
	crowd chan struct{} // holds one token when a crowd has come together

	mu     sync.Mutex
	items  []T
	closed bool
}

// crowd is how many items are enough to be sent together: with more the cost of
// each hardly falls, and who has come first waits.
const crowd = 128

func newQueue[T any](limit int, apart time.Duration) *queue[T] {
	return &queue[T]{limit: limit, apart: apart, ready: make(chan struct{}, 1), crowd: make(chan struct{}, 1)}
}

// push adds an item and never waits: it fails when limit items wait already,
// and when the queue is closed.
func (q *queue[T]) push(item T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errStopped
	}
	if len(q.items) >= q.limit {
		return errBusy
	}
	q.items = append(q.items, item)
	q.signal()
	if len(q.items) == crowd {
		select {
		case q.crowd <- struct{}{}:
		default: // nobody has waited for the last one
		}
	}
	return nil
}

// take waits for items and gives the first ones, at most most of them. It gives
// none when ctx is done. While several wait it takes no sooner than apart after
// it took last, so that more go together, unless a crowd has come by then; a lone
// item never waits. The items are the taker's until it takes again.
func (q *queue[T]) take(ctx context.Context, most int) []T {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-q.ready:
			if !q.gather(ctx, most) {
				return nil
			}
			if items := q.first(most); len(items) > 0 {
				q.taken = time.Now()
				return items
			}
		}
	}
	return nil
}

// gather is false if ctx is done before it is time to take.
func (q *queue[T]) gather(ctx context.Context, most int) bool {
	left := q.apart - time.Since(q.taken)
	if left <= 0 {
		return true
	}
	select {
	case <-q.crowd: // it may be gone
	default:
	}
	if waiting := q.waiting(); waiting < 2 || waiting >= min(most, crowd) {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.crowd:
		return true
	case <-ctx.Done():
		return false
	}
}

func (q *queue[T]) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// close gives what waits, and lets nothing in any more.
func (q *queue[T]) close() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.closed = nil, true
	return items
}

func (q *queue[T]) first(most int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) <= most {
		clear(q.given)
		q.given, q.items = q.items, q.given[:0]
		return q.given
	}
	items := q.items[:most:most]
	q.items = q.items[most:]
	q.signal() // for the next taker
	return items
}

func (q *queue[T]) signal() {
	select {
	case q.ready <- struct{}{}:
	default: // there is a token
	}
}
