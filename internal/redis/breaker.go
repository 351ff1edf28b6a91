package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// How long calls are refused after a failure: minRefusal, and at random up to
// as much again and a half, so that many processes do not ask at the same time.
const (
	minRefusal   = 200 * time.Millisecond
	extraRefusal = 300 * time.Millisecond
)

// errDown is what a refused call gets, with the failure that is the reason.
var errDown = errors.New("redis has just failed")

// breaker keeps callers from waiting for a server that does not answer. After a
// failure it refuses calls for a while, and then lets one through, whose
// success lets in all again. The zero value lets calls through. Its methods may
// be called from several goroutines.
type breaker struct {
	mu      sync.Mutex
	failure error     // the last one, nil after a success
	until   time.Time // when a probe may be made
	probing bool
}

// refusal says why a call would be refused now, nil if it would not.
func (b *breaker) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil || !b.probing && !time.Now().Before(b.until) {
		return nil
	}
	return fmt.Errorf("%w: %w", errDown, b.failure)
}

// enter begins a call. One that it lets through ends with leave or abandon.
func (b *breaker) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil {
		return nil
	}
	if b.probing || time.Now().Before(b.until) {
		return fmt.Errorf("%w: %w", errDown, b.failure)
	}
	b.probing = true
	return nil
}

// leave ends a call that enter let through.
func (b *breaker) leave(failure error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failure, b.probing = failure, false
	if failure != nil {
		b.until = time.Now().Add(minRefusal + rand.N(extraRefusal))
	}
}

// abandon ends a call of which it is not known how it would have ended.
func (b *breaker) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}
