package postgres

import (
	"errors"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		if err := CheckSchema(t.Context(), b.PostgresURL); !errors.Is(err, ErrSchemaOlder) || !strings.Contains(err.Error(), "anteroom migrate") {
			t.Errorf("an empty database: %v, want ErrSchemaOlder that names anteroom migrate", err)
		}
		var mu sync.Mutex
		var applied []string
		var all sync.WaitGroup
		for range 3 { // at once
			all.Go(func() {
				err := Migrate(t.Context(), b.PostgresURL, func(name string) {
					mu.Lock()
					defer mu.Unlock()
					applied = append(applied, name)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if diff := gocmp.Diff([]string{"00001_ledger.sql", "00002_outbox.sql", "00003_rules.sql", "00004_digests.sql", "00005_retirement.sql", "00006_changed.sql"}, applied); diff != "" {
			t.Errorf("applied (-want +got):\n%s", diff)
		}
		check(t, CheckSchema(t.Context(), b.PostgresURL))
		check(t, Migrate(t.Context(), b.PostgresURL, nil))

		execute(t, b.PostgresURL, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`)
		for name, err := range map[string]error{
			"CheckSchema": CheckSchema(t.Context(), b.PostgresURL),
			"Migrate":     Migrate(t.Context(), b.PostgresURL, nil),
		} {
			if !errors.Is(err, ErrSchemaNewer) || !strings.Contains(err.Error(), "anteroom migrate") {
				t.Errorf("%s on a newer database: %v, want ErrSchemaNewer that names anteroom migrate", name, err)
			}
		}
	})
}

func TestPartitionRows(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 0)
		made, err := PartitionRows(t.Context(), b.PostgresURL, testTopic(), []Bounds{{Partition: 0}, {Partition: 1, End: 7}})
		check(t, err)
		if diff := gocmp.Diff([]Partition{{Partition: 0}, {Partition: 1, Rebuilding: true}}, made); diff != "" {
			t.Errorf("made (-want +got):\n%s", diff)
		}

		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 0)
		d.open(1)
		d.commit(t.Context())
		again, err := PartitionRows(t.Context(), b.PostgresURL, testTopic(), []Bounds{{Partition: 2}, {Partition: 0, End: 2}, {Partition: 1, End: 7}})
		check(t, err)
		want := []Partition{{Partition: 2}, {Partition: 0, Schema: 1}, {Partition: 1, Rebuilding: true}}
		if diff := gocmp.Diff(want, again); diff != "" {
			t.Errorf("again (-want +got):\n%s", diff)
		}

		_, err = PartitionRows(t.Context(), b.PostgresURL, event.TopicID{9}, []Bounds{{Partition: 5}, {Partition: 0}})
		if !errors.Is(err, ErrOtherLog) {
			t.Errorf("another topic: %v, want ErrOtherLog", err)
		}
		var rows int
		check(t, connect(t, b.PostgresURL).QueryRow(t.Context(), `SELECT count(*) FROM partitions`).Scan(&rows))
		if rows != 3 {
			t.Errorf("%d rows of partitions, want 3", rows)
		}
	})
}
