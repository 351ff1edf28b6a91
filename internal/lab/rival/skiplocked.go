package rival

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// takeUnit makes the buyer's the first unit from $3 on that is free and that
// nobody else is taking, or else the first one before it. Everyone begins
// somewhere else: so a click does not pass over what all others are taking, nor
// over the index entries that taken units leave behind.
//
// Where all picks are empty, units may still be left whose takers have not
// committed, and may not: then the answer is 'locked'. Nothing at all means that
// every unit had a buyer in the snapshot.
const takeUnit = `
	WITH earlier AS (` + earlierHold + `), taken AS (
		UPDATE rival_holds SET buyer = $2, (created_at, expires_at) = ROW (` + lifeOfHold + `)
		WHERE NOT EXISTS (SELECT FROM earlier) AND id = COALESCE(
			(SELECT id FROM rival_holds WHERE sale = $1 AND buyer IS NULL AND id >= $3
			 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED),
			(SELECT id FROM rival_holds WHERE sale = $1 AND buyer IS NULL AND id < $3
			 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED))
		RETURNING id, created_at, expires_at
	)
	SELECT 'held', id, created_at, expires_at FROM taken
	UNION ALL SELECT 'repeated', id, created_at, expires_at FROM earlier
	UNION ALL SELECT 'locked', NULL, NULL, NULL
		WHERE NOT EXISTS (SELECT FROM taken) AND NOT EXISTS (SELECT FROM earlier)
		AND EXISTS (SELECT FROM rival_holds WHERE buyer IS NULL)`

const (
	skipLockedTries = 200
)

// What is waited for is a commit.
var skipLockedBackoff = backoff{base: 2 * time.Millisecond, most: 32 * time.Millisecond}

// skipLocked has a row for each unit.
type skipLocked struct {
	database *database
	units    int64
}

func newSkipLocked(ctx context.Context, config Config, d *database, _ *stockCache) (seller, error) {
	return &skipLocked{database: d, units: config.Units}, d.prepare(ctx, takeUnit)
}

func (s *skipLocked) take(ctx context.Context, buyer string) (hold, outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.database.patience)
	defer cancel()
	for tried := range skipLockedTries {
		h, o, err := s.database.ask(ctx, takeUnit, theSale, buyer, 1+rand.Int64N(s.units))
		if !again(o, err) {
			return h, o, err
		}
		if err := skipLockedBackoff.wait(ctx, tried); err != nil {
			return hold{}, "", fmt.Errorf("%w, in %d tries: %w", errBusy, tried+1, err)
		}
	}
	return hold{}, "", fmt.Errorf("%w, in %d tries", errBusy, skipLockedTries)
}

func (s *skipLocked) settings() []Setting {
	return []Setting{
		{"round trips", "1"},
		{"retries", fmt.Sprintf("%d tries, pauses at random up to %v, doubled each time up to %v", skipLockedTries, skipLockedBackoff.base, skipLockedBackoff.most)},
		{"rows", "one per unit, which is the hold too; searched from a random one"},
		{"statement", oneLine(takeUnit)},
	}
}

func (s *skipLocked) close() {}
