package postgres

import (
	"context"
	"errors"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
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
