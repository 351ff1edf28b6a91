package rival

import (
	"context"
)

// cacheCheck asks Redis whether anything is left, sells, and corrects the count
// afterwards. Whoever asks before the correction is sold the same unit.
type cacheCheck struct {
	cache  *stockCache
	ledger *ledger
	hooks  hooks
}

func newCacheCheck(ctx context.Context, config Config, d *database, c *stockCache) (seller, error) {
	l, err := newLedger(ctx, d)
	if err != nil {
		return nil, err
	}
	return &cacheCheck{cache: c, ledger: l, hooks: config.hooks}, nil
}

func (s *cacheCheck) take(ctx context.Context, buyer string) (hold, outcome, error) {
	left, holder, err := s.cache.read(ctx, buyer)
	switch {
	case err != nil:
		return hold{}, "", err
	case holder:
		return s.ledger.earlier(ctx, buyer)
	case left < 1:
		return hold{}, soldOut, nil
	}
	if s.hooks.afterRead != nil {
		s.hooks.afterRead()
	}
	h, o, err := s.ledger.write(ctx, buyer, s.ledger.nextID())
	if err != nil || o != held {
		return h, o, err
	}
	return h, o, s.cache.noteSold(ctx, buyer)
}

func (s *cacheCheck) settings() []Setting {
	return []Setting{
		{"round trips", "1 to redis; whoever buys: 2, and 1 to postgres"},
		{"statement", oneLine(insertTaken)},
	}
}

func (s *cacheCheck) close() {}
