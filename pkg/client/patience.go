package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Pauses between two tries.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second // where the service does not ask for more
)

// patience is what is left of the time in which something is tried again.
type patience struct {
	until time.Time
	tries int
}

func (c *Client) newPatience() *patience {
	return &patience{until: time.Now().Add(c.patience)}
}

// pause waits before the next try, longer each time, with jitter, and no
// shorter than the service asks for. It gives an error that wraps the one
// given where there is no next try: the context ends, or the time that is left
// ends, before it.
func (p *patience) pause(ctx context.Context, after error) error {
	p.tries++
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), after)
	}
	growing := min(shortestPause<<min(p.tries, 10), longestPause)
	asked, _ := repeatable(after)
	next := max(asked, growing/2) + rand.N(growing/2)
	end := p.until
	if deadline, has := ctx.Deadline(); has && deadline.Before(end) {
		end = deadline
	}
	if time.Now().Add(next).After(end) {
		return fmt.Errorf("given up after %d tries: %w", p.tries, after)
	}
	if err := wait(ctx, next); err != nil {
		return fmt.Errorf("%w: %w", err, after)
	}
	return nil
}

// wait gives an error when the context ends before the time is over.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
