package rival

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// database is a pool whose connections are open before the first click.
type database struct {
	*pgxpool.Pool
	connections int
	patience    time.Duration // for a connection, and then for its statements
}

func openDatabase(ctx context.Context, url string, connections int) (*database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading the address of postgres: %w", err)
	}
	config.MaxConns, config.MinConns = int32(connections), int32(connections)
	config.MaxConnIdleTime, config.MaxConnLifetime = time.Hour, time.Hour // as long as it is measured
	config.ConnConfig.ConnectTimeout = defaultPatience
	// Plans that are made while the tables are empty serve until the end.
	config.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("preparing connections to postgres: %w", err)
	}
	d := &database{Pool: pool, connections: connections, patience: defaultPatience}
	return d, nil
}

// prepare opens all connections and prepares statements on each, so that no
// shopper waits for that. Those that are opened later prepare what they are
// asked, once.
func (d *database) prepare(ctx context.Context, statements ...string) error {
	open := make([]*pgxpool.Conn, 0, d.connections)
	defer func() {
		for _, connection := range open {
			connection.Release()
		}
	}()
	for range d.connections {
		connection, err := d.Acquire(ctx)
		if err != nil {
			return fmt.Errorf("connecting to postgres: %w", err)
		}
		open = append(open, connection)
		for _, sql := range statements {
			if _, err := connection.Conn().Prepare(ctx, sql, sql); err != nil {
				return fmt.Errorf("preparing %q: %w", sql, err)
			}
		}
	}
	return nil
}

// errNoConnection comes before anything was sent.
var errNoConnection = errors.New("no connection to postgres")

// with uses a connection. A shopper who leaves ends the wait for one, but no
// statement: that would cost the connection.
func (d *database) with(ctx context.Context, use func(context.Context, *pgx.Conn) error) error {
	waiting, stop := context.WithTimeout(ctx, d.patience)
	defer stop()
	connection, err := d.Acquire(waiting)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoConnection, err)
	}
	defer connection.Release()
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.patience)
	defer cancel()
	return use(working, connection.Conn())
}

// ask runs a statement that gives an outcome and its hold, or nothing when all
// is sold.
func (d *database) ask(ctx context.Context, sql string, arguments ...any) (h hold, o outcome, err error) {
	err = d.with(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		h, o, err = scan(connection.QueryRow(ctx, sql, arguments...))
		return err
	})
	return h, o, err
}

func scan(row pgx.Row) (hold, outcome, error) {
	var h hold
	var text string
	var created, expires *time.Time
	var id *int64
	switch err := row.Scan(&text, &id, &created, &expires); {
	case errors.Is(err, pgx.ErrNoRows):
		return hold{}, soldOut, nil
	case err != nil:
		return hold{}, "", fmt.Errorf("asking postgres: %w", err)
	}
	if id != nil {
		h = hold{ID: *id, CreatedAt: *created, ExpiresAt: *expires}
	}
	return h, outcome(text), nil
}

// alreadyHas reports whether a statement failed because another click of the
// same buyer was there in the same moment. Nothing is left of the statement.
func alreadyHas(err error) bool {
	const uniqueViolation = "23505" // SQLSTATE
	failed, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failed.Code == uniqueViolation
}

// certainlyUndone reports whether a single statement that failed has left
// nothing behind, and will not: it was never sent, or the server, being well,
// has refused it. A server that stops in the middle, or is not heard of any
// more, may have committed.
func certainlyUndone(err error) bool {
	if errors.Is(err, errNoConnection) || pgconn.SafeToRetry(err) {
		return true
	}
	failed, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	for _, class := range []string{"08", "57", "58", "XX"} { // connection, operator, system, internal
		if strings.HasPrefix(failed.Code, class) {
			return false
		}
	}
	return true
}

// sold counts the units that have a buyer.
func (d *database) sold(ctx context.Context) (n int64, err error) {
	if err := d.QueryRow(ctx, `SELECT count(*) FROM rival_holds WHERE buyer IS NOT NULL`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting holds: %w", err)
	}
	return n, nil
}

func (d *database) settings() []Setting {
	return []Setting{
		{"postgres pool", strconv.Itoa(d.connections) + " connections, opened and prepared before the first click"},
		{"postgres isolation", "read committed, durable commits"},
		{"patience", d.patience.String() + " for a connection, as much for its statements, then 503"},
	}
}

// oneLine writes a statement for a report.
func oneLine(sql string) string { return strings.Join(strings.Fields(sql), " ") }
