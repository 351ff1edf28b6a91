package devstacktest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Hold runs a statement in a transaction on the database and keeps what it
// locked until release is called, so that a test can stop another process
// in the middle of its transaction.
func Hold(t testing.TB, databaseURL, statement string) (release func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	connection, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	closed := false
	release = func() {
		if !closed {
			closed = true
			_ = connection.Close(ctx) // ends the transaction
			cancel()
		}
	}
	t.Cleanup(release)
	if _, err := connection.Exec(ctx, "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return release
}

// Locked reports whether a statement with NOWAIT finds a lock in its way.
func Locked(t testing.TB, databaseURL, statement string) bool {
	t.Helper()
	const lockNotAvailable = "55P03" // SQLSTATE
	var failed *pgconn.PgError
	err := execute(t, databaseURL, statement)
	if errors.As(err, &failed) && failed.Code == lockNotAvailable {
		return true
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return false
}

// Execute runs statements that give nothing.
func Execute(t testing.TB, databaseURL, statements string) {
	t.Helper()
	if err := execute(t, databaseURL, statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

func execute(t testing.TB, databaseURL, statements string) error {
	t.Helper()
	var err error
	connected(t, databaseURL, func(ctx context.Context, connection *pgx.Conn) {
		_, err = connection.Exec(ctx, statements)
	})
	return err
}

// Count runs a query that gives one number.
func Count(t testing.TB, databaseURL, query string) int {
	t.Helper()
	var n int
	connected(t, databaseURL, func(ctx context.Context, connection *pgx.Conn) {
		if err := connection.QueryRow(ctx, query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	})
	return n
}

// connected calls use with a connection, and closes it.
func connected(t testing.TB, databaseURL string, use func(context.Context, *pgx.Conn)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connection, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(ctx) }()
	use(ctx, connection)
}
