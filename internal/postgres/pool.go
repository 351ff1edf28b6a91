package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says how to reach Postgres.
type Config struct {
	URL         string
	Name        string       // of this process, for people to read
	Connections int32        // at most; 0: defaultConnections
	Logger      *slog.Logger // nil: none
}

const (
	defaultConnections = 16
	connectTimeout     = 5 * time.Second
)

// pool is a pool of connections with the session settings of one kind of user.
type pool struct {
	*pgxpool.Pool
	connections int32
	logger      *slog.Logger
}

// newPool makes a pool that connects when it is first used.
func newPool(ctx context.Context, config Config, settings map[string]string) (*pool, error) {
	parsed, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the address of postgres: %w", err)
	}
	parsed.MaxConns = defaultConnections
	if config.Connections > 0 {
		parsed.MaxConns = config.Connections
	}
	parsed.PingTimeout = connectTimeout
	parsed.ConnConfig.ConnectTimeout = connectTimeout
	for name, value := range settings {
		parsed.ConnConfig.RuntimeParams[name] = value
	}
	// The server notices within seconds that a client's machine is gone. The
	// user timeout also ends a session whose answer a frozen client does not
	// take, while its machine still acknowledges.
	for name, value := range map[string]string{
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3",
		"tcp_user_timeout": "8000",
	} {
		parsed.ConnConfig.RuntimeParams[name] = value
	}
	connections, err := pgxpool.NewWithConfig(ctx, parsed)
	if err != nil {
		return nil, fmt.Errorf("preparing connections to postgres: %w", err)
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &pool{Pool: connections, connections: parsed.MaxConns, logger: logger}, nil
}

// begin starts a transaction on a connection that works. After a restart of
// Postgres the pool is full of connections that look idle and are dead; each
// one that fails here is thrown away. To try again is safe, because BEGIN has
// no effect. What cannot be connected at all is the caller's to wait for.
//
// The transaction is to be ended with end, whatever becomes of it.
func (p *pool) begin(ctx context.Context) (pgx.Tx, error) {
	for attempt := int32(0); ; attempt++ {
		tx, err := p.Begin(ctx)
		if err == nil {
			return tx, nil
		}
		var unreachable *pgconn.ConnectError
		if attempt > p.connections || ctx.Err() != nil || errors.As(err, &unreachable) {
			return nil, fmt.Errorf("beginning a transaction: %w", err)
		}
	}
}

// end rolls tx back unless it has been committed. Where that fails, pgx closes
// the connection, with which the server rolls back by itself: there is nothing
// left to do about an error.
func end(ctx context.Context, tx pgx.Tx) { _ = tx.Rollback(ctx) }

// closeConnection closes a connection at the end of its use, when an error
// means only that it is closed already.
func closeConnection(ctx context.Context, connection *pgx.Conn) { _ = connection.Close(ctx) }
