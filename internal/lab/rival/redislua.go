package rival

import (
	"context"
	"errors"
)

// What take.lua returns.
const (
	scriptNoneLeft = 0
	scriptRepeated = 2
)

// redisLuaThenDB takes a unit by a script that knows who has one, and writes the
// hold to Postgres.
type redisLuaThenDB struct {
	cache   *stockCache
	ledger  *ledger
	flights flights
	doubts  *doubts
}

func newRedisLuaThenDB(ctx context.Context, _ Config, d *database, c *stockCache) (seller, error) {
	l, err := newLedger(ctx, d)
	if err != nil {
		return nil, err
	}
	return &redisLuaThenDB{cache: c, ledger: l, doubts: newDoubts(l, c.increment)}, nil
}

func (s *redisLuaThenDB) take(ctx context.Context, buyer string) (hold, outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.ledger.database.patience)
	defer cancel()
	for {
		seen := s.flights.look()
		h, o, err := s.fly(ctx, buyer)
		var again bool
		switch {
		case errors.Is(err, errInDoubt): // another click of the buyer may be on its way with the unit
			if again, err = s.flights.awaitLanding(ctx, seen); err == nil && !again {
				return s.ledger.earlier(ctx, buyer)
			}
		case err == nil && o == soldOut:
			again, err = s.flights.await(ctx, seen)
		}
		if err != nil || !again {
			return h, o, err
		}
	}
}

func (s *redisLuaThenDB) fly(ctx context.Context, buyer string) (h hold, o outcome, err error) {
	broughtBack := false
	one := s.flights.begin()
	defer func() { s.flights.end(one, broughtBack) }()
	switch taken, err := s.cache.take(ctx, buyer); {
	case err != nil:
		return hold{}, "", err
	case taken == scriptNoneLeft:
		return hold{}, soldOut, nil
	case taken == scriptRepeated:
		return s.ledger.earlier(ctx, buyer)
	}
	id := s.ledger.nextID()
	h, o, err = s.ledger.write(ctx, buyer, id)
	switch {
	case err == nil:
	case certainlyUndone(err):
		broughtBack = s.cache.giveBack(ctx, buyer) == nil
	default:
		s.doubts.add(doubt{buyer: buyer, id: id})
	}
	return h, o, err
}

func (s *redisLuaThenDB) settings() []Setting {
	return []Setting{
		{"round trips", "1 to redis; whoever buys: 1 to postgres"},
		{"retries", "none but while units that were taken may come back"},
		{"statement", oneLine(insertTaken)},
	}
}

func (s *redisLuaThenDB) close() { s.doubts.close() }
