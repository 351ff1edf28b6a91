package postgres

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// TestSettings: they are as a new session has them, in the order asked for.
func TestSettings(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	execute(t, b.PostgresURL, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET commit_delay = 2000', current_database()); END $$`)
	got, err := Settings(t.Context(), b.PostgresURL, "commit_delay", "max_index_keys")
	check(t, err)
	if want := []Setting{{"commit_delay", "2000"}, {"max_index_keys", "32"}}; !slices.Equal(got, want) {
		t.Errorf("the settings are %v, want %v", got, want)
	}
	if got, err := Settings(t.Context(), b.PostgresURL); err != nil || len(got) != 0 {
		t.Errorf("asked for none: %v, %v", got, err)
	}
	if got, err := Settings(t.Context(), b.PostgresURL, "commit_delay", "nonsense"); err == nil {
		t.Errorf("a setting that is not there is %v", got)
	}
	if _, err := Settings(t.Context(), "postgres://127.0.0.1:1/nowhere"); err == nil {
		t.Error("a server that is not there has settings")
	}
}

// TestSyncs: a commit is synced, and counted once its session has ended. Others
// use the server too, so the number only has a least.
func TestSyncs(t *testing.T) {
	t.Parallel()
	b := devstacktest.Real(t) // which syncs
	connection := connect(t, b.PostgresURL)
	before, err := Syncs(t.Context(), b.PostgresURL)
	check(t, err)
	const commits = 20
	for i := range commits {
		_, err := connection.Exec(t.Context(), fmt.Sprintf("CREATE TABLE made_%d ()", i))
		check(t, err)
	}
	check(t, connection.Close(t.Context()))
	// The session ends, and reports, after it has said goodbye.
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		after, err := Syncs(t.Context(), b.PostgresURL)
		check(t, err)
		if after >= before+commits {
			break
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%d commits later %d syncs are counted, %d before", commits, after, before)
		}
	}
	if _, err := Syncs(t.Context(), "postgres://127.0.0.1:1/nowhere"); err == nil {
		t.Error("a server that is not there has synced")
	}
}
