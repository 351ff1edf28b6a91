package postgres

import (
	"context"
	"errors"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// chainsIn reads a partition's row and its batches as an audit does.
func chainsIn(t *testing.T, url string, partition int32) (row audit.PartitionRow, batches []audit.BatchRow) {
	t.Helper()
	auditor, err := NewAuditor(t.Context(), Config{URL: url})
	check(t, err)
	defer auditor.Close()
	check(t, auditor.Cut(t.Context(), func(ctx context.Context, cut audit.Cut) error {
		rows, err := cut.Partitions(ctx)
		if err != nil {
			return err
		}
		row = rows[slices.IndexFunc(rows, func(r audit.PartitionRow) bool { return r.Partition == partition })]
		pages, err := cut.Batches(ctx, partition)
		if err != nil {
			return err
		}
		for {
			page, err := pages.Page(ctx)
			if err != nil || len(page) == 0 {
				return err
			}
			batches = append(batches, page...)
		}
	}))
	return row, batches
}

// chained gives a batch heads and marks that no other has.
func chained(batch *allocator.Batch) *allocator.Batch {
	batch.RecordChain, batch.DecisionChain = event.Digest{1, 31: byte(batch.To)}, event.Digest{2, 31: byte(batch.To)}
	batch.Marks = slices.Repeat([]byte{byte(batch.To), 0, 255, byte(batch.Epoch)}, int(batch.To-batch.From))
	return batch
}

func batchRowOf(batch *allocator.Batch) audit.BatchRow {
	return audit.BatchRow{
		From: batch.From, To: batch.To, RecordChain: batch.RecordChain, DecisionChain: batch.DecisionChain, Marks: batch.Marks,
	}
}

// TestACommitLeavesItsChains: the batch's row, and the heads in the partition's,
// which the next claim gives back. A commit that is fenced or refused leaves
// nothing.
func TestACommitLeavesItsChains(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 3)
		owner := newOwner(t, b.PostgresURL)
		var want []audit.BatchRow
		expect := func(when string) {
			t.Helper()
			row, batches := chainsIn(t, b.PostgresURL, 1)
			if diff := gocmp.Diff(want, batches, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: batches (-want +got):\n%s", when, diff)
			}
			var last audit.BatchRow
			if len(want) > 0 {
				last = want[len(want)-1]
			}
			if row.RecordChain != last.RecordChain || row.DecisionChain != last.DecisionChain || row.Next != last.To || row.ChainStart != 0 {
				t.Errorf("%s: the partition is at %d with heads %v and %v, chained from %d; want %+v",
					when, row.Next, row.RecordChain, row.DecisionChain, row.ChainStart, last)
			}
			if row, batches := chainsIn(t, b.PostgresURL, 2); row.Next != 0 || row.RecordChain != (event.Digest{}) || len(batches) > 0 {
				t.Errorf("%s: the other partition has %+v and %d batches", when, row, len(batches))
			}
		}
		commit := func(d *driver) {
			t.Helper()
			batch := chained(d.seal())
			check(t, owner.Commit(t.Context(), batch))
			want = append(want, batchRowOf(batch))
		}
		expect("at first")

		d := drive(t.Context(), t, owner, 1)
		d.open(3)
		commit(d)
		d.apply(buyRecord(1, "ann", 1))
		commit(d)
		expect("after two commits")

		d.apply(buyRecord(1, "bob", 1))
		late := chained(d.seal())
		claim, err := owner.Claim(t.Context(), 1, proven)
		check(t, err)
		if last := want[1]; claim.RecordChain != last.RecordChain || claim.DecisionChain != last.DecisionChain {
			t.Errorf("the claim has heads %v and %v, want %+v", claim.RecordChain, claim.DecisionChain, last)
		}
		if err := owner.Commit(t.Context(), late); !errors.Is(err, allocator.ErrFenced) {
			t.Errorf("a batch of the last owner: %v, want ErrFenced", err)
		}
		expect("after a commit that was fenced")

		d.begin(claim)
		d.apply(buyRecord(1, "cid", 1))
		wrong := chained(d.seal())
		wrong.Sales[0].Was = sale.None // it is there
		if err := owner.Commit(t.Context(), wrong); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("a batch that makes a sale twice: %v, want ErrRefused", err)
		}
		expect("after a commit that was refused")

		d.claim(t.Context())
		d.apply(buyRecord(1, "dot", 1))
		d.apply(buyRecord(1, "eve", 1))
		commit(d)
		expect("after the next owner's commit")

		d.apply(sale.Record{Time: 1000, Body: sale.Tick{}})
		batch := chained(d.seal())
		batch.Marks = nil
		check(t, owner.Commit(t.Context(), batch))
		batch.Marks = []byte{}
		want = append(want, batchRowOf(batch))
		expect("after a commit without marks")
	})
}
