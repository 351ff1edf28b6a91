package postgres

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// TestVerifyFindsTheLedgerEqual: what an owner writes of a random log, in random
// batches and with claims in between, an audit reads as the core has it.
func TestVerifyFindsTheLedgerEqual(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		check(t, Migrate(t.Context(), b.PostgresURL, nil))
		owner := newOwner(t, b.PostgresURL)
		connection := connect(t, b.PostgresURL)
		auditor, err := NewAuditor(t.Context(), Config{URL: b.PostgresURL})
		check(t, err)
		defer auditor.Close()
		rapid.Check(t, func(rt *rapid.T) {
			_, err := connection.Exec(t.Context(), `TRUNCATE partitions, products, sales, requests, results, starts, batches, outbox`)
			check(t, err)
			_, err = PartitionRows(t.Context(), b.PostgresURL, audittest.Topic, []Bounds{{}})
			check(t, err)

			entries := saletest.Entries(saletest.Log(rt))
			d := drive(t.Context(), rt, owner, 0)
			replay, records := audit.NewReplay(0, audit.Beginning()), event.NewChain(event.Digest{})
			var marks []byte
			for i := range entries {
				records.AddEntry(&entries[i])
				marks = records.AppendMark(marks)
				record := entries[i].Record()
				if _, err := replay.Apply(&entries[i], &record, records.Head()); err != nil {
					rt.Fatal(err)
				}
				d.apply(record)
				if i+1 < len(entries) && rapid.IntRange(0, 9).Draw(rt, "committed at 0") > 0 {
					continue
				}
				batch := d.seal()
				batch.Last, batch.Marks = entries[i].Digest(), marks
				batch.RecordChain, batch.DecisionChain = records.Head(), replay.DecisionChain()
				if err := owner.Commit(t.Context(), batch); err != nil {
					rt.Fatal(err)
				}
				if marks = nil; rapid.IntRange(0, 3).Draw(rt, "claimed at 0") == 0 {
					d.claim(t.Context())
				}
			}
			_, err = connection.Exec(t.Context(), `INSERT INTO products SELECT DISTINCT product, 0 FROM sales`)
			check(t, err)
			found, err := verify.Run(t.Context(), verify.Config{History: &audit.History{Log: audittest.Of(entries)}, Ledger: auditor})
			if err != nil {
				rt.Fatal(err)
			}
			if !found.Equal || found.Records != int64(len(entries)) {
				rt.Fatalf("of %d records found %+v: %v", len(entries), found, found.Partitions[0].FirstDifference)
			}
		})
	})
}
