package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/rebuild"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestRebuildRefusesALedgerThatIsNotEmpty: it may be the wrong database. Nothing
// is changed, not even an older schema.
func TestRebuildRefusesALedgerThatIsNotEmpty(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := rebuildLogOf(1, 2)
		other := &rebuildLog{topic: event.TopicID{9}, entries: log.entries}
		migrated(t, b.PostgresURL, 2)
		refused := func(why string, log *rebuildLog, want error) {
			t.Helper()
			before := databaseOf(t, b.PostgresURL)
			job := newRebuild(t, b.PostgresURL, log)
			if _, err := rebuild.Run(t.Context(), job); !errors.Is(err, rebuild.ErrNotEmpty) || !errors.Is(err, want) {
				t.Errorf("%s: %v", why, err)
			}
			if diff := gocmp.Diff(before, databaseOf(t, b.PostgresURL)); diff != "" {
				t.Errorf("%s: refused, and changed:\n%s", why, diff)
			}
			job.Ledger.(*Rebuild).Close(t.Context())
		}
		refused("another log's, though empty", other, ErrOtherLog)
		execute(t, b.PostgresURL, `UPDATE partitions SET rebuilding = true`)
		refused("another log's, though rebuilding", other, ErrOtherLog)
		execute(t, b.PostgresURL, `UPDATE partitions SET rebuilding = false`)
		ownLedger(t, b.PostgresURL, 1, log.entries[1])
		refused("one partition has been decided", log, rebuild.ErrNotEmpty)
		for _, table := range []string{"requests", "results", "sales"} {
			execute(t, b.PostgresURL, `UPDATE partitions SET next_offset = 0`)
			refused("there are rows, though nothing is said to be decided", log, rebuild.ErrNotEmpty)
			execute(t, b.PostgresURL, `DELETE FROM `+table)
		}
		execute(t, b.PostgresURL, `UPDATE partitions SET next_offset = 1 WHERE partition = 0`)
		execute(t, b.PostgresURL, `
			DELETE FROM goose_db_version WHERE version_id = 4;
			DROP TABLE batches;
			ALTER TABLE partitions DROP COLUMN record_chain, DROP COLUMN decision_chain, DROP COLUMN chain_start`)
		refused("an older schema's", log, rebuild.ErrNotEmpty)
	})
}

// TestRebuildLeavesAloneWhatWasNotLost: where some partitions wait for being
// rebuilt, the others are in use.
func TestRebuildLeavesAloneWhatWasNotLost(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := rebuildLogOf(1, 2, 3)
		owners := ownersDatabase(t, b, log)
		migrated(t, b.PostgresURL, 3)
		ownLedger(t, b.PostgresURL, 0, log.entries[0])
		ownLedger(t, b.PostgresURL, 1, log.entries[1][:40])
		// What is left of an earlier life, and of partition 1, is written again.
		execute(t, b.PostgresURL, `UPDATE partitions SET rebuilding = true WHERE partition = 1`)
		empty := partitionOf(t, b.PostgresURL, 2)
		done, err := rebuild.Run(t.Context(), newRebuild(t, b.PostgresURL, log))
		check(t, err)
		if len(done.Partitions) != 1 || done.Partitions[0].Partition != 1 {
			t.Errorf("rebuilt %+v, want partition 1 alone", done.Partitions)
		}
		for partition := range int32(2) {
			if diff := gocmp.Diff(partitionOf(t, owners, partition), partitionOf(t, b.PostgresURL, partition)); diff != "" {
				t.Errorf("partition %d differs (-owner +rebuilt):\n%s", partition, diff)
			}
		}
		if diff := gocmp.Diff(empty, partitionOf(t, b.PostgresURL, 2)); diff != "" {
			t.Errorf("the empty partition of a ledger in use was changed:\n%s", diff)
		}
	})
}

// TestRebuildOwnsTheLedger: while one is at work another one is refused, nobody
// claims, and once it is interrupted the next one begins anew.
func TestRebuildOwnsTheLedger(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := rebuildLogOf(1)
		owners := ownersDatabase(t, b, log)
		ctx, interrupt := context.WithCancel(t.Context())
		halfway := make(chan struct{})
		first := newRebuild(t, b.PostgresURL, &rebuildLog{topic: log.topic, entries: log.entries, portion: 10,
			reading: func(ctx context.Context, _ int32, next sale.Offset) error {
				if next < 30 {
					return nil
				}
				close(halfway)
				<-ctx.Done()
				return ctx.Err()
			}})
		var running sync.WaitGroup
		defer running.Wait()
		defer interrupt()
		ended := make(chan error, 1)
		running.Go(func() {
			_, err := rebuild.Run(ctx, first)
			ended <- err
		})
		<-halfway
		if _, err := rebuild.Run(t.Context(), newRebuild(t, b.PostgresURL, log)); !errors.Is(err, rebuild.ErrUnderWay) {
			t.Errorf("a second rebuild: %v, want ErrUnderWay", err)
		}
		if _, err := newOwner(t, b.PostgresURL).Claim(t.Context(), 0, proven); !errors.Is(err, allocator.ErrRebuilding) {
			t.Errorf("a claim: %v, want ErrRebuilding", err)
		}
		reader := newReader(t, b.PostgresURL)
		if _, err := reader.Since(t.Context(), 0, 0, 1000); !errors.Is(err, allocator.ErrRebuilding) {
			t.Errorf("a board was told the past: %v, want ErrRebuilding", err)
		}
		if devstacktest.Count(t, b.PostgresURL, `SELECT next_offset FROM partitions`) == 0 {
			t.Error("nothing is rebuilt halfway")
		}
		wantResults := func(when string, wanted error) {
			t.Helper()
			for command := range sale.Offset(len(log.entries[0])) {
				_, ok, err := reader.Result(t.Context(), 0, command)
				if !ok && !errors.Is(err, wanted) {
					t.Errorf("the missing result of %d %s: %v, want %v", command, when, err, wanted)
				}
			}
		}
		wantResults("while it is being rebuilt", allocator.ErrRebuilding)
		interrupt()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		first.Ledger.(*Rebuild).Close(t.Context())
		_, err := rebuild.Run(t.Context(), newRebuild(t, b.PostgresURL, log))
		check(t, err)
		wantRebuilt(t, log, owners, b.PostgresURL)
		wantResults("that no command has", nil)
		_, err = reader.Since(t.Context(), 0, 0, 1000)
		check(t, err)
	})
}

// TestRebuildFencesOwnersOfTheLostLedger: one of them holds an epoch that the
// new ledger would give again, and a batch that fits.
func TestRebuildFencesOwnersOfTheLostLedger(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := rebuildLogOf(1)
		migrated(t, b.PostgresURL, 1)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 0)
		for i := range log.entries[0] {
			d.apply(log.entries[0][i].Record())
		}
		d.commit(t.Context())
		d.apply(sale.Record{Time: d.core.Now(), Body: sale.Tick{}})
		late := d.seal()

		lose(t, b.PostgresURL)
		began := time.Now().Add(-time.Minute).UnixMilli() // the server's clock may be another
		_, err := rebuild.Run(t.Context(), newRebuild(t, b.PostgresURL, log))
		check(t, err)
		next := drive(t.Context(), t, newOwner(t, b.PostgresURL), 0)
		if next.epoch < began {
			t.Errorf("epoch %d after the rebuild, which the lost ledger may have given", next.epoch)
		}
		if err := d.owner.Commit(t.Context(), late); !errors.Is(err, allocator.ErrFenced) {
			t.Errorf("an owner from before: %v, want ErrFenced", err)
		}
	})
}

// TestRebuiltBatchesAreFenced: a batch is written only where it belongs.
func TestRebuiltBatchesAreFenced(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		ledger, err := NewRebuild(b.PostgresURL, nil)
		check(t, err)
		defer ledger.Close(t.Context())
		extents := []audit.Extent{{Partition: 0, To: 5}, {Partition: 1, To: 5}}
		_, err = ledger.Begin(t.Context(), testTopic(), extents)
		check(t, err)
		batch := func(partition int32, from, to sale.Offset) *rebuild.Batch {
			return &rebuild.Batch{Partition: partition, From: from, To: to, Marks: make([]byte, 4*(to-from))}
		}
		check(t, ledger.Write(t.Context(), batch(0, 0, 2)))
		for _, wrong := range []*rebuild.Batch{batch(0, 0, 2), batch(0, 3, 5), batch(7, 0, 2)} {
			if err := ledger.Write(t.Context(), wrong); !errors.Is(err, rebuild.ErrOvertaken) {
				t.Errorf("[%d, %d) of partition %d: %v, want ErrOvertaken", wrong.From, wrong.To, wrong.Partition, err)
			}
		}
		_, err = ledger.Finish(t.Context(), batch(0, 2, 5))
		check(t, err)
		if err := ledger.Write(t.Context(), batch(0, 5, 6)); !errors.Is(err, rebuild.ErrOvertaken) {
			t.Errorf("after the end: %v, want ErrOvertaken", err)
		}
		if err := ledger.Clear(t.Context(), 0); !errors.Is(err, rebuild.ErrOvertaken) {
			t.Errorf("emptying what is finished: %v, want ErrOvertaken", err)
		}
		state := audit.Beginning()
		if err := ledger.Seat(t.Context(), 0, &state); !errors.Is(err, rebuild.ErrOvertaken) {
			t.Errorf("beginning what is finished: %v, want ErrOvertaken", err)
		}
	})
}
