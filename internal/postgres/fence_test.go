package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestCommitIsFenced(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		owner := newOwner(t, b.PostgresURL)
		old := drive(t.Context(), t, owner, 1)
		old.open(3)
		opening := old.commit(t.Context())

		if err := owner.Commit(t.Context(), opening); !errors.Is(err, allocator.ErrFenced) {
			t.Errorf("the same batch again: %v, want ErrFenced", err)
		}
		old.apply(buyRecord(1, "ann", 1))
		late := old.seal()
		ahead := *late
		ahead.From, ahead.To = late.From+1, late.To+1
		if err := owner.Commit(t.Context(), &ahead); !errors.Is(err, allocator.ErrFenced) {
			t.Errorf("a batch that leaves a record out: %v, want ErrFenced", err)
		}
		empty := *late
		empty.To = empty.From
		if err := owner.Commit(t.Context(), &empty); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("a batch without records: %v, want allocator.ErrRefused", err)
		}

		other := newOwner(t, b.PostgresURL)
		next := drive(t.Context(), t, other, 1)
		if next.epoch <= old.epoch {
			t.Errorf("epoch %d follows %d", next.epoch, old.epoch)
		}
		if err := owner.Commit(t.Context(), late); !errors.Is(err, allocator.ErrFenced) {
			t.Errorf("a batch of the last owner: %v, want ErrFenced", err)
		}
		next.apply(buyRecord(1, "bob", 1))
		next.commit(t.Context())
		claim, err := owner.Claim(t.Context(), 1, proven)
		check(t, err)
		wantState(t, claim, next.core)
	})
}

// TestOwnersFightOverAPartition: whatever the interleaving, the commits that
// succeed follow each other without gap or overlap, and each epoch's come
// before the next one's.
func TestOwnersFightOverAPartition(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		const owners, records = 4, 60
		migrated(t, b.PostgresURL, 2)
		first := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		first.open(records)
		opening := first.commit(t.Context())

		var mu sync.Mutex
		var committed []*allocator.Batch
		var all sync.WaitGroup
		for i := range owners {
			owner := newOwner(t, b.PostgresURL)
			all.Go(func() {
				for round := 0; ; round++ {
					claim, err := owner.Claim(t.Context(), 1, proven)
					if err != nil {
						t.Error(err)
						return
					}
					if claim.State.Next >= records {
						return
					}
					d := &driver{t: t, owner: owner, partition: 1}
					d.begin(claim)
					for n := range 1 + (i+round)%3 {
						d.apply(buyRecord(1, sale.Buyer(fmt.Sprint(i, "-", round, "-", n)), 1))
						batch := d.seal()
						err := owner.Commit(t.Context(), batch)
						if errors.Is(err, allocator.ErrFenced) {
							break
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						committed = append(committed, batch)
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()

		slices.SortFunc(committed, func(a, b *allocator.Batch) int { return cmp.Compare(a.From, b.From) })
		at, epoch := opening.To, opening.Epoch
		for _, batch := range committed {
			if batch.From != at || batch.Epoch < epoch {
				t.Errorf("after offset %d of epoch %d comes [%d, %d) of epoch %d", at, epoch, batch.From, batch.To, batch.Epoch)
			}
			at, epoch = batch.To, batch.Epoch
		}
		extract, err := newReader(t, b.PostgresURL).Since(t.Context(), 1, 0, 1000)
		check(t, err)
		if int(extract.Watermark) != len(committed)+int(opening.To) || len(extract.Requests) != len(committed) {
			t.Errorf("watermark %d, %d rows, after %d commits", extract.Watermark, len(extract.Requests), len(committed))
		}
	})
}

func TestClaimAsksForProof(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		owner := newOwner(t, b.PostgresURL)
		d := drive(t.Context(), t, owner, 1)
		d.open(1)

		lost := errors.New("lost")
		_, err := owner.Claim(t.Context(), 1, func(context.Context) error { return lost })
		if !errors.Is(err, lost) {
			t.Errorf("a claim without proof: %v, want the error of prove", err)
		}
		d.commit(t.Context()) // not fenced: nothing was changed
	})
}

func TestClaimNeedsARowThatIsRestored(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 0)
		owner := newOwner(t, b.PostgresURL)
		if _, err := owner.Claim(t.Context(), 1, proven); !errors.Is(err, allocator.ErrNoPartition) {
			t.Errorf("no row: %v, want ErrNoPartition", err)
		}
		_, err := PartitionRows(t.Context(), b.PostgresURL, testTopic(), []Bounds{{Partition: 1, End: 1}})
		check(t, err)
		if _, err := owner.Claim(t.Context(), 1, proven); !errors.Is(err, allocator.ErrRebuilding) {
			t.Errorf("a row for a log with records: %v, want ErrRebuilding", err)
		}
		if _, err := newReader(t, b.PostgresURL).Since(t.Context(), 1, 0, 1); !errors.Is(err, allocator.ErrRebuilding) {
			t.Errorf("a board reads a row for a log with records: %v, want ErrRebuilding", err)
		}
	})
}

func TestStopIsSeenUntilTheNextClaim(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		owner, reader := newOwner(t, b.PostgresURL), newReader(t, b.PostgresURL)
		want := func(stopped string) {
			t.Helper()
			extract, err := reader.Since(t.Context(), 1, 0, 1)
			check(t, err)
			if extract.Stopped != stopped {
				t.Errorf("stopped %q, want %q", extract.Stopped, stopped)
			}
		}
		d := drive(t.Context(), t, owner, 1)
		check(t, owner.Stop(t.Context(), 1, d.epoch-1, "an old owner says"))
		want("")
		check(t, owner.Stop(t.Context(), 1, d.epoch, "the log \x00 ends \xff early"))
		want("the log \ufffd ends \ufffd early")
		d.claim(t.Context())
		want("")
	})
}
