package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Setting is a setting of the server, in words.
type Setting struct{ Name, Value string }

// Settings gives settings of a server as a new session has them.
func Settings(ctx context.Context, url string, names ...string) ([]Setting, error) {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connecting to postgres: %w", err)
	}
	defer closeConnection(ctx, connection)
	settings := make([]Setting, len(names))
	for i, name := range names {
		settings[i].Name = name
		if err := connection.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&settings[i].Value); err != nil {
			return nil, fmt.Errorf("asking for the setting %s: %w", name, err)
		}
	}
	return settings, nil
}
