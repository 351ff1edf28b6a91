package rival

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// lockStock locks the row, unless its last committed version says that nothing
// is available: losers read, and wait for nobody.
const lockStock = `SELECT available FROM rival_stock WHERE sale = $1 AND available > 0 FOR UPDATE`

// forUpdate locks the row first and decides on what it then sees. Both
// statements and the commit travel in one round trip, so the row is not locked
// while anything is on its way: a batch is one transaction, and under READ
// COMMITTED its second statement sees what was committed before the lock was
// given: of two clicks of one buyer, the second one sees the hold of the first.
type forUpdate struct {
	database *database
}

func newForUpdate(ctx context.Context, _ Config, d *database, _ *stockCache) (seller, error) {
	return &forUpdate{database: d}, d.prepare(ctx, lockStock, takeAvailable)
}

func (s *forUpdate) take(ctx context.Context, buyer string) (h hold, o outcome, err error) {
	err = s.database.with(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(lockStock, theSale)
		batch.Queue(takeAvailable, theSale, buyer)
		results := connection.SendBatch(ctx, &batch)
		if _, err := results.Exec(); err != nil {
			_ = results.Close() // it repeats the error
			return fmt.Errorf("locking the stock: %w", err)
		}
		var failed error
		h, o, failed = scan(results.QueryRow())
		// The commit's own failure comes last.
		if err := results.Close(); failed == nil && err != nil {
			failed = fmt.Errorf("committing: %w", err)
		}
		return failed
	})
	return h, o, err
}

func (s *forUpdate) settings() []Setting {
	return []Setting{
		{"round trips", "1: lock, update, hold and commit are pipelined"},
		{"retries", "none"},
		{"statements", oneLine(lockStock) + "; " + oneLine(takeAvailable)},
	}
}

func (s *forUpdate) close() {}
