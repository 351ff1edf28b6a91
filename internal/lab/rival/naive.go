package rival

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	// setAvailable writes what the click has computed, $2.
	setAvailable = `UPDATE rival_stock SET available = $2 WHERE sale = $1`

	insertHold = `
		INSERT INTO rival_holds (sale, buyer, created_at, expires_at)
		VALUES ($1, $2, ` + lifeOfHold + `)
		ON CONFLICT (sale, buyer) DO NOTHING
		RETURNING 'held', id, created_at, expires_at`
)

// naive is what works on the desk of who wrote it: it reads, computes and
// writes, and nothing keeps another click from doing the same in between. Both
// write the same number, which is never below 0, so that no CHECK could find
// the second unit of one.
type naive struct {
	database *database
	hooks    hooks
}

func newNaive(ctx context.Context, config Config, d *database, _ *stockCache) (seller, error) {
	return &naive{database: d, hooks: config.hooks}, d.prepare(ctx, readStock, setAvailable, insertHold, earlierOutcome)
}

func (s *naive) take(ctx context.Context, buyer string) (h hold, o outcome, err error) {
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
		if s.hooks.afterRead != nil {
			s.hooks.afterRead()
		}
		if _, err := connection.Exec(ctx, setAvailable, theSale, read.available-1); err != nil {
			return fmt.Errorf("writing the stock: %w", err)
		}
		h, o, err = scan(connection.QueryRow(ctx, insertHold, theSale, buyer))
		if o == soldOut { // nothing was written: the buyer has one by now
			h, o, err = scan(connection.QueryRow(ctx, earlierOutcome, theSale, buyer))
		}
		return err
	})
	return h, o, err
}

func (s *naive) settings() []Setting {
	return []Setting{
		{"round trips", "3, each statement commits by itself"},
		{"statements", oneLine(readStock) + "; " + oneLine(setAvailable) + "; " + oneLine(insertHold)},
	}
}

func (s *naive) close() {}
