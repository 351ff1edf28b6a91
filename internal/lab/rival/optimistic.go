package rival

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// takeVersion takes a unit of the version that was read, $3.
const takeVersion = `
	WITH taken AS (
		UPDATE rival_stock SET available = available - 1, version = version + 1
		WHERE sale = $1 AND version = $3 AND available > 0
		RETURNING sale
	)
	INSERT INTO rival_holds (sale, buyer, created_at, expires_at)
	SELECT sale, $2, ` + lifeOfHold + ` FROM taken
	RETURNING 'held', id, created_at, expires_at`

const (
	optimisticTries = 200
)

// Long pauses leave the row unused, short ones find it as busy as before.
var optimisticBackoff = backoff{base: time.Millisecond, most: 32 * time.Millisecond}

// optimistic reads, and writes if nobody has written since.
type optimistic struct {
	database *database
}

func newOptimistic(ctx context.Context, _ Config, d *database, _ *stockCache) (seller, error) {
	return &optimistic{database: d}, d.prepare(ctx, readStock, takeVersion)
}

func (s *optimistic) take(ctx context.Context, buyer string) (hold, outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.database.patience)
	defer cancel()
	for tried := range optimisticTries {
		h, o, err := s.try(ctx, buyer)
		if !again(o, err) {
			return h, o, err
		}
		if err := optimisticBackoff.wait(ctx, tried); err != nil {
			return hold{}, "", fmt.Errorf("%w, in %d tries: %w", errBusy, tried+1, err)
		}
	}
	return hold{}, "", fmt.Errorf("%w, in %d tries", errBusy, optimisticTries)
}

// try is locked if another click was quicker.
func (s *optimistic) try(ctx context.Context, buyer string) (h hold, o outcome, err error) {
	err = s.database.with(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		read, err := readStockFor(ctx, connection, buyer)
		switch {
		case err != nil:
			return err
		case read.earlier != nil:
			h, o = *read.earlier, repeated
			return nil
		case read.available < 1:
			o = soldOut
			return nil
		}
		h, o, err = scan(connection.QueryRow(ctx, takeVersion, theSale, buyer, read.version))
		if o == soldOut { // nothing was written, so the version was another one
			o = locked
		}
		return err
	})
	return h, o, err
}

func (s *optimistic) settings() []Setting {
	return []Setting{
		{"round trips", "2 per try, on one connection"},
		{"retries", fmt.Sprintf("%d tries, pauses at random up to %v, doubled each time up to %v", optimisticTries, optimisticBackoff.base, optimisticBackoff.most)},
		{"statements", oneLine(readStock) + "; " + oneLine(takeVersion)},
	}
}

func (s *optimistic) close() {}
