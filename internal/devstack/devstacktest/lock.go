package devstacktest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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

// Count runs a query that gives one number.
func Count(t testing.TB, databaseURL, query string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connection, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(ctx)
	var n int
	if err := connection.QueryRow(ctx, query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
