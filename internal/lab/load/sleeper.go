package load

import (
	"context"
	"time"
)

// sleeper is a timer that is used again. It is used by one goroutine.
type sleeper struct{ timer *time.Timer }

func newSleeper() sleeper {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return sleeper{timer}
}

// until waits for a time, and reports whether it came before ctx ended.
func (s sleeper) until(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	s.timer.Reset(wait)
	select {
	case <-s.timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s sleeper) stop() { s.timer.Stop() }
