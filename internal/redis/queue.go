package redis

import (
	"context"
	"errors"
	"sync"
)

// Why an item is not sent.
var (
	errBusy    = errors.New("too many wait for redis")
	errStopped = errors.New("the gate has stopped")
	errLeft    = errors.New("the caller has left")
)

// queue is what waits to be sent, in order. What arrives while nobody is free
// to take it is taken together. Its methods may be called from several
// goroutines.
type queue[T any] struct {
	limit int
	ready chan struct{} // holds one token while there may be something to take

	mu     sync.Mutex
	items  []T
	closed bool
}

func newQueue[T any](limit int) *queue[T] {
	return &queue[T]{limit: limit, ready: make(chan struct{}, 1)}
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
	return nil
}

// take waits for items and gives the first ones, at most most of them. It gives
// none when ctx is done.
func (q *queue[T]) take(ctx context.Context, most int) []T {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-q.ready:
			if items := q.first(most); len(items) > 0 {
				return items
			}
		}
	}
	return nil
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
		items := q.items
		q.items = nil
		return items
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
