package rival

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// stock is the row that most kinds fight for, as a click read it.
type stock struct {
	available, version int64
	earlier            *hold // what the buyer has from before
}

// readStockFor reads without a lock.
func readStockFor(ctx context.Context, connection *pgx.Conn, buyer string) (stock, error) {
	var s stock
	var id *int64
	var created, expires *time.Time
	err := connection.QueryRow(ctx, readStock, theSale, buyer).Scan(&s.available, &s.version, &id, &created, &expires)
	if err != nil {
		return stock{}, fmt.Errorf("reading the stock: %w", err)
	}
	if id != nil {
		s.earlier = &hold{ID: *id, CreatedAt: *created, ExpiresAt: *expires}
	}
	return s, nil
}
