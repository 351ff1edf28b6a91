package rival

import (
	"context"
)

// redisThenDB takes a unit by DECR, and writes the hold to Postgres, whose
// unique constraint keeps a buyer to one.
type redisThenDB struct {
	cache   *stockCache
	ledger  *ledger
	flights flights
	doubts  *doubts
}

func newRedisThenDB(ctx context.Context, _ Config, d *database, c *stockCache) (seller, error) {
	l, err := newLedger(ctx, d)
	if err != nil {
		return nil, err
	}
	return &redisThenDB{cache: c, ledger: l, doubts: newDoubts(l, c.increment)}, nil
}

func (s *redisThenDB) take(ctx context.Context, buyer string) (hold, outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.ledger.database.patience)
	defer cancel()
	for {
		seen := s.flights.look()
		h, o, err := s.fly(ctx, buyer)
		if err != nil || o != soldOut {
			return h, o, err
		}
		again, err := s.flights.await(ctx, seen)
		switch {
		case err != nil:
			return hold{}, "", err
		case again:
		case seen.over: // so all holders were known when the click asked
			return hold{}, soldOut, nil
		default: // one of those that have landed may have been the buyer's
			return s.ledger.find(ctx, buyer)
		}
	}
}

func (s *redisThenDB) fly(ctx context.Context, buyer string) (h hold, o outcome, err error) {
	broughtBack := false
	one := s.flights.begin()
	defer func() { s.flights.end(one, broughtBack) }()
	left, err := s.cache.decrement(ctx)
	if err != nil {
		return hold{}, "", err
	}
	if left < 0 {
		left, holder, err := s.cache.putBack(ctx, buyer)
		if err != nil {
			return hold{}, "", err
		}
		// Decrements that find nothing hide a unit that is brought back meanwhile,
		// from each other too. The last one to be put back finds it.
		broughtBack = left > 0
		if !holder {
			return hold{}, soldOut, nil
		}
		return s.ledger.earlier(ctx, buyer)
	}
	id := s.ledger.nextID()
	h, o, err = s.ledger.write(ctx, buyer, id)
	switch {
	case err == nil && o == held:
		// Where this fails, a later click of the buyer may hear that all is
		// sold. The hold is there.
		_ = s.cache.noteHolder(ctx, buyer)
	case err == nil || certainlyUndone(err): // the buyer had one, or gets none
		broughtBack = s.cache.increment(ctx) == nil
	default:
		s.doubts.add(doubt{buyer: buyer, id: id})
	}
	return h, o, err
}

func (s *redisThenDB) settings() []Setting {
	return []Setting{
		{"round trips", "whoever buys: 2 to redis, 1 to postgres; others: 2 to redis"},
		{"retries", "none but while units that were taken may come back"},
		{"statement", oneLine(insertTaken)},
	}
}

func (s *redisThenDB) close() { s.doubts.close() }
