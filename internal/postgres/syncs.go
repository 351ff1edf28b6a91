package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Syncs gives how often the server has synced its write-ahead log to disk since
// it counts. A session's part is in it for certain once the session has ended.
// Servers of version 18 and later count it elsewhere and give an error.
func Syncs(ctx context.Context, url string) (int64, error) {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("connecting to postgres: %w", err)
	}
	defer closeConnection(ctx, connection)
	var syncs int64
	if err := connection.QueryRow(ctx, `SELECT wal_sync FROM pg_stat_wal`).Scan(&syncs); err != nil {
		return 0, fmt.Errorf("asking for the syncs of the write-ahead log: %w", err)
	}
	return syncs, nil
}
