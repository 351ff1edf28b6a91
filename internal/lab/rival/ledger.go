package rival

import (
	"context"
	"sync/atomic"
	"time"
)

// insertTaken writes the hold of a unit that was taken elsewhere. The id, $3,
// comes with it, so that the hold can be told from another click's.
const insertTaken = `
	INSERT INTO rival_holds (sale, buyer, id, created_at, expires_at)
	VALUES ($1, $2, $3, ` + lifeOfHold + `)
	ON CONFLICT DO NOTHING
	RETURNING 'held', id, created_at, expires_at`

// ledger writes down what was taken in Redis.
type ledger struct {
	database *database
	ids      atomic.Int64 // the last one
}

// newLedger numbers holds from the time on, with 1,024 ids for each microsecond:
// more than two servers that start in different ones can use.
func newLedger(ctx context.Context, d *database) (*ledger, error) {
	l := &ledger{database: d}
	l.ids.Store(time.Now().UnixMicro() << 10)
	return l, d.prepare(ctx, insertTaken, earlierOutcome)
}

func (l *ledger) nextID() int64 { return l.ids.Add(1) }

// write is held, or repeated if the buyer had a hold with another id.
func (l *ledger) write(ctx context.Context, buyer string, id int64) (hold, outcome, error) {
	h, o, err := l.database.ask(ctx, insertTaken, theSale, buyer, id)
	if err != nil || o == held {
		return h, o, err
	}
	h, o, err = l.find(ctx, buyer)
	if err != nil {
		return hold{}, "", err
	}
	if o == repeated && h.ID == id {
		o = held // by an earlier attempt
	}
	return h, o, nil
}

// find is repeated, or soldOut if the buyer has nothing.
func (l *ledger) find(ctx context.Context, buyer string) (hold, outcome, error) {
	return l.database.ask(ctx, earlierOutcome, theSale, buyer)
}

// earlier is for a buyer who is known to have a hold.
func (l *ledger) earlier(ctx context.Context, buyer string) (hold, outcome, error) {
	h, o, err := l.find(ctx, buyer)
	if err == nil && o == soldOut {
		return hold{}, "", errInDoubt
	}
	return h, o, err
}
