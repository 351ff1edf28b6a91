package rival

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// outcome is what a click brings.
type outcome string

// The outcomes. Those of statements are spelt like this in SQL too.
const (
	held     outcome = "held"     // a unit was taken
	repeated outcome = "repeated" // the buyer has one from before
	soldOut  outcome = "sold_out"
	locked   outcome = "locked" // other clicks were quicker, and what is left may be known later; no seller answers with it
)

// hold is a row: a unit that is set aside for a buyer.
type hold struct {
	ID        int64
	CreatedAt time.Time
	ExpiresAt time.Time
}

// seller is a way to sell. Its methods may be called from any goroutine, but
// for close, which comes last.
type seller interface {
	// take sells one unit to a buyer, who has at most one. The hold is there for
	// held and repeated. After an error it is not known whether the buyer has a
	// unit; another click finds out.
	take(ctx context.Context, buyer string) (hold, outcome, error)
	settings() []Setting
	close()
}

// errBusy is what remains when all tries were in vain.
var errBusy = errors.New("others were always quicker")

// again reports whether a try that ended like this is to be repeated.
func again(o outcome, err error) bool { return alreadyHas(err) || (err == nil && o == locked) }

// backoff waits before a try is repeated: at random up to base, doubled with
// each try up to most, so that those who met do not meet again.
type backoff struct {
	base, most time.Duration
}

func (b backoff) wait(ctx context.Context, tried int) error {
	limit := min(b.most, b.base<<min(tried, 16))
	timer := time.NewTimer(rand.N(limit) + 1)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
