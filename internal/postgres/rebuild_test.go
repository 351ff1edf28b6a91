package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/rebuild"
	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// ownersDatabase gives, beside the test's, one that an owner writes.
func ownersDatabase(t *testing.T, b devstacktest.Backends, log *rebuildLog) string {
	t.Helper()
	url, err := devstack.CreateDatabase(t.Context(), b.PostgresURL, b.Topic+"-owner")
	check(t, err)
	t.Cleanup(func() { check(t, devstack.DropDatabase(context.Background(), b.PostgresURL, b.Topic+"-owner")) })
	migrated(t, url, log.Partitions())
	for partition, entries := range log.entries {
		ownLedger(t, url, int32(partition), entries)
	}
	return url
}

func rebuildLogOf(seeds ...int) *rebuildLog {
	log := &rebuildLog{topic: testTopic(), portion: 10}
	for _, seed := range seeds {
		log.entries = append(log.entries, rebuildEntries(seed))
	}
	return log
}

// wantRebuilt holds the ledger against one that owners have written.
func wantRebuilt(t *testing.T, log *rebuildLog, owners, rebuilt string) {
	t.Helper()
	for partition := range log.Partitions() {
		if diff := gocmp.Diff(partitionOf(t, owners, partition), partitionOf(t, rebuilt, partition)); diff != "" {
			t.Errorf("partition %d differs (-owner +rebuilt):\n%s", partition, diff)
		}
	}
}

// TestRebuiltLedgerIsTheOwners rebuilds random logs, by small batches and by one
// for all, and compares every table with what an owner's commits have made. An
// owner goes on from it.
func TestRebuiltLedgerIsTheOwners(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		var seeds []int
		for seed := range 16 {
			seeds = append(seeds, seed)
		}
		log := rebuildLogOf(seeds...)
		log.entries = append(log.entries, nil) // nothing to rebuild
		owners := ownersDatabase(t, b, log)
		for _, most := range []int{7, 1, 0} {
			lose(t, b.PostgresURL)
			job := newRebuild(t, b.PostgresURL, log)
			job.BatchRecords = most
			done, err := rebuild.Run(t.Context(), job)
			check(t, err)
			wantRebuilt(t, log, owners, b.PostgresURL)
			wantCounted(t, b.PostgresURL, log, done)
			check(t, job.Ledger.(*Rebuild).connection.Close(t.Context()))
		}
		owner := newOwner(t, b.PostgresURL)
		for partition, entries := range log.entries {
			claim, err := owner.Claim(t.Context(), int32(partition), proven)
			check(t, err)
			reference := sale.New()
			for i := range entries {
				var ignored sale.Changes
				check(t, reference.Apply(entries[i].Record(), &ignored))
			}
			got, err := sale.Restore(claim.State)
			check(t, err)
			if diff := gocmp.Diff(reference.Snapshot(), got.Snapshot(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("partition %d: the state in the ledger differs (-core +ledger):\n%s", partition, diff)
			}
		}
	})
}

// wantCounted holds what the rebuild says it has written against the tables.
func wantCounted(t *testing.T, url string, log *rebuildLog, done *rebuild.Result) {
	t.Helper()
	records, connection := int64(0), connect(t, url)
	for _, p := range done.Partitions {
		want := rebuild.FilledPartition{Partition: p.Partition, To: sale.Offset(len(log.entries[p.Partition])), Publishes: p.To}
		check(t, connection.QueryRow(t.Context(), `SELECT
			(SELECT count(*) FROM requests WHERE partition = $1), (SELECT count(*) FROM results WHERE partition = $1), (SELECT count(*) FROM sales WHERE partition = $1)`,
			p.Partition).Scan(&want.Requests, &want.Results, &want.Sales))
		if p != want {
			t.Errorf("counted %+v, the ledger has %+v", p, want)
		}
		records += int64(p.To)
	}
	if done.Records != records || len(done.Partitions) != len(log.entries)-1 {
		t.Errorf("%d records of %d partitions counted, want %d of %d", done.Records, len(done.Partitions), records, len(log.entries)-1)
	}
}

// breaking breaks the connection at the nth commit of a batch.
type breaking struct {
	rebuild.Ledger
	proxy *proxy
	how   cut
	after int // so many more
}

func (b *breaking) arm() {
	if b.after--; b.after == 0 {
		b.proxy.next.Store(int32(b.how))
	}
}

func (b *breaking) Clear(ctx context.Context, partition int32) error {
	b.arm()
	return b.Ledger.Clear(ctx, partition)
}

func (b *breaking) Write(ctx context.Context, batch *rebuild.Batch) error {
	b.arm()
	return b.Ledger.Write(ctx, batch)
}

func (b *breaking) Finish(ctx context.Context, batch *rebuild.Batch) ([]rebuild.BoundTwice, error) {
	b.arm()
	return b.Ledger.Finish(ctx, batch)
}

// TestRebuildGoesOnAfterABreak breaks the connection at each commit in turn,
// before it and after it. Nobody can claim what is not finished, and the next
// rebuild makes the ledger whole, whatever the broken one has left.
func TestRebuildGoesOnAfterABreak(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		log := rebuildLogOf(1, 2)
		for i := range log.entries {
			log.entries[i] = log.entries[i][:25]
		}
		owners := ownersDatabase(t, b, log)
		const commits = 2 * (1 + 4) // for each partition, one that empties it and four batches
		for n := 1; n <= commits; n++ {
			for _, how := range []cut{cutCommit, cutAnswer} {
				lose(t, b.PostgresURL)
				proxy := startProxy(t, b.PostgresURL)
				broken := newRebuild(t, proxy.url, log)
				ledger := broken.Ledger.(*Rebuild)
				broken.Ledger = &breaking{Ledger: ledger, proxy: proxy, how: how, after: n}
				done, err := rebuild.Run(t.Context(), broken)
				if err == nil || errors.Is(err, rebuild.ErrOvertaken) {
					t.Fatalf("break %d at commit %d: %v", how, n, err)
				}
				wantUnclaimed(t, b.PostgresURL, len(done.Partitions))

				again := newRebuild(t, b.PostgresURL, log)
				_, err = rebuild.Run(t.Context(), again)
				if n == commits && how == cutAnswer {
					if !errors.Is(err, rebuild.ErrNotEmpty) {
						t.Errorf("all was finished: %v, want ErrNotEmpty", err)
					}
				} else {
					check(t, err)
				}
				wantRebuilt(t, log, owners, b.PostgresURL)
				ledger.Close(t.Context())
				again.Ledger.(*Rebuild).Close(t.Context())
			}
		}
	})
}

// wantUnclaimed fails if a partition can be claimed that is neither finished
// nor was its last commit without an answer.
func wantUnclaimed(t *testing.T, url string, finished int) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	check(t, err)
	defer closeConnection(t.Context(), connection)
	owner, err := NewOwner(t.Context(), Config{URL: url, Name: "test"})
	check(t, err)
	defer owner.Close()
	for partition := finished; partition < 2; partition++ {
		var rebuilding, whole bool
		check(t, connection.QueryRow(t.Context(), `SELECT rebuilding, next_offset = 25 FROM partitions WHERE partition = $1`, partition).Scan(&rebuilding, &whole))
		if !rebuilding && !whole {
			t.Errorf("partition %d is not rebuilding, and not whole", partition)
		}
		if rebuilding {
			if _, err := owner.Claim(t.Context(), int32(partition), proven); !errors.Is(err, allocator.ErrRebuilding) {
				t.Errorf("partition %d was claimed half rebuilt: %v", partition, err)
			}
		}
	}
}

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
			t.Errorf("a second rebuild: %v, want ErrRebuildUnderWay", err)
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
				t.Errorf("[%d, %d) of partition %d: %v, want ErrRebuildOvertaken", wrong.From, wrong.To, wrong.Partition, err)
			}
		}
		_, err = ledger.Finish(t.Context(), batch(0, 2, 5))
		check(t, err)
		if err := ledger.Write(t.Context(), batch(0, 5, 6)); !errors.Is(err, rebuild.ErrOvertaken) {
			t.Errorf("after the end: %v, want ErrRebuildOvertaken", err)
		}
		if err := ledger.Clear(t.Context(), 0); !errors.Is(err, rebuild.ErrOvertaken) {
			t.Errorf("emptying what is finished: %v, want ErrRebuildOvertaken", err)
		}
		state := audit.Beginning()
		if err := ledger.Seat(t.Context(), 0, &state); !errors.Is(err, rebuild.ErrOvertaken) {
			t.Errorf("beginning what is finished: %v, want ErrRebuildOvertaken", err)
		}
	})
}

// TestRebuildBindsProducts: to the partition with their first sale, wherever
// others were appended, and not against a binding that is there.
func TestRebuildBindsProducts(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		sales := func(at sale.Time, products ...sale.Product) []event.Entry {
			records := []sale.Record{{Body: sale.Schema{Version: sale.FirstSchema}}}
			for _, product := range products {
				record := createRecord(product, 1)
				record.Time = at
				records = append(records, record)
			}
			var entries []event.Entry
			for i, record := range records {
				value, err := event.Encode(record.Body)
				check(t, err)
				entries = append(entries, event.Entry{Offset: sale.Offset(i), Time: record.Time, Key: []byte(record.Product), Value: value})
			}
			return entries
		}
		log := &rebuildLog{topic: testTopic(), entries: [][]event.Entry{
			sales(2000, "cup", "jar", "pot"), sales(1000, "cup", "tea"), sales(3000, "tea", "jar"),
		}}
		migrated(t, b.PostgresURL, 3)
		execute(t, b.PostgresURL, `INSERT INTO products VALUES ('pot', 1), ('mug', 2)`)
		done, err := rebuild.Run(t.Context(), newRebuild(t, b.PostgresURL, log))
		check(t, err)
		twice := []rebuild.BoundTwice{
			{Product: "pot", Bound: 1, Other: 0}, {Product: "cup", Bound: 1, Other: 0},
			{Product: "jar", Bound: 0, Other: 2}, {Product: "tea", Bound: 1, Other: 2},
		}
		if diff := gocmp.Diff(twice, done.BoundTwice); diff != "" {
			t.Errorf("found in two partitions (-want +got):\n%s", diff)
		}
		bindings := newBindings(t, b.PostgresURL)
		for product, want := range map[sale.Product]int32{"cup": 1, "jar": 0, "pot": 1, "tea": 1, "mug": 2} {
			if got, err := bindings.Bind(t.Context(), product, nil); err != nil || got != want {
				t.Errorf("%s is bound to %d (%v), want %d", product, got, err, want)
			}
		}
	})
}

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
