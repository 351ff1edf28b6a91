package postgres

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/rebuild"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// keptState is a snapshot of one partition.
type keptState struct{ state audit.State }

func (k keptState) Newest(event.TopicID, int32, sale.Offset, sale.Offset) (audit.State, bool, error) {
	return k.state, true, nil
}

// keptRows are the rows that a snapshot was made with.
type keptRows struct {
	requests []sale.Request
	results  []sale.Result
}

func (k keptRows) Requests(each func(sale.Request) error) error { return eachOf(k.requests, each) }
func (k keptRows) Results(each func(sale.Result) error) error   { return eachOf(k.results, each) }

func eachOf[Row any](rows []Row, each func(Row) error) error {
	for _, row := range rows {
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

// TestRebuildFromASnapshot: the rows that were decided before it are given, and
// the ledger is the same.
func TestRebuildFromASnapshot(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := rebuildLogOf(4)
		owners := ownersDatabase(t, b, log)
		const at = 60
		replay := audit.NewReplay(0, audit.Beginning())
		earlier := newModel()
		check(t, replay.Run(t.Context(), log, at, func(s audit.Step) error {
			for _, d := range s.Decisions {
				switch {
				case d.Kind == sale.OfRequest && !d.Default:
					earlier.requests[d.Request.Offset] = d.Request
				case d.Kind == sale.OfCommand:
					earlier.results[d.Result.Command] = d.Result
				}
			}
			return nil
		}))
		if len(earlier.requests) < 5 || len(earlier.results) < 2 {
			t.Fatalf("the log decides too little: %+v", earlier)
		}
		state := func() audit.State { // each replay has one of its own
			state := replay.State()
			core, err := sale.Restore(state.Core.Snapshot())
			check(t, err)
			state.Core = core
			return state
		}
		alone := newRebuild(t, b.PostgresURL, log)
		alone.History.Snapshots = keptState{state()}
		if _, err := rebuild.Run(t.Context(), alone); !errors.Is(err, rebuild.ErrNoEarlierRows) {
			t.Errorf("from a state alone: %v, want ErrNoEarlierRows", err)
		}
		alone.Ledger.(*Rebuild).Close(t.Context())

		whole := newRebuild(t, b.PostgresURL, log)
		from := state()
		from.Kept = keptRows{slices.Collect(maps.Values(earlier.requests)), slices.Collect(maps.Values(earlier.results))}
		whole.History.Snapshots = keptState{from}
		_, err := rebuild.Run(t.Context(), whole)
		check(t, err)
		// One batch stands for those before it.
		if found := devstacktest.Count(t, b.PostgresURL, `SELECT to_offset FROM batches WHERE from_offset = 0 AND octet_length(marks) = 0`); found != at {
			t.Errorf("the first batch ends at %d, want %d", found, at)
		}
		for _, url := range []string{owners, b.PostgresURL} {
			execute(t, url, `DELETE FROM batches`)
		}
		wantRebuilt(t, log, owners, b.PostgresURL)
	})
}
