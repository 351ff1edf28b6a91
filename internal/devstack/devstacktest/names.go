package devstacktest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Databases are the names of all databases on the test's Postgres server, also
// of other tests, for a test of what is left there.
func (b *Backends) Databases(t testing.TB) []string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), b.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { report(t, connection.Close(context.WithoutCancel(t.Context()))) }()
	rows, err := connection.Query(t.Context(), "SELECT datname FROM pg_database")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Topics are the names of all topics on the test's Kafka, also of other tests.
func (b *Backends) Topics(t testing.TB) []string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.KafkaBrokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return topics.Names()
}
