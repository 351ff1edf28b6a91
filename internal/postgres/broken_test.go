package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestConnectionBreaksAtTheCommit: the owner cannot know whether the batch is
// there. It claims again, and goes on from where the ledger is: nothing is lost
// or there twice.
func TestConnectionBreaksAtTheCommit(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 0)
		proxy := startProxy(t, b.PostgresURL)
		owner := newOwner(t, proxy.url)
		log := rapid.Custom(func(rt *rapid.T) []sale.Record {
			core := sale.New()
			var records []sale.Record
			for range 60 {
				record := randomRecord(rt, core)
				var ignored sale.Changes
				if err := core.Apply(record, &ignored); err != nil {
					rt.Fatal(err)
				}
				records = append(records, record)
			}
			return records
		})
		for seed := range 10 {
			records := log.Example(seed)
			partition := int32(seed)
			_, err := PartitionRows(t.Context(), b.PostgresURL, testTopic(), []Bounds{{Partition: partition}})
			check(t, err)
			d := drive(t.Context(), t, owner, partition)
			for n := 0; d.core.Next() < sale.Offset(len(records)); n++ {
				for range 1 + n%5 {
					if d.core.Next() < sale.Offset(len(records)) {
						d.apply(records[d.core.Next()])
					}
				}
				batch := d.seal()
				how := cut(n % 3)
				proxy.next.Store(int32(how))
				err := owner.Commit(t.Context(), batch)
				if how == cutNothing {
					check(t, err)
					continue
				}
				if err == nil || errors.Is(err, allocator.ErrFenced) {
					t.Fatalf("the connection broke at the commit: %v", err)
				}
				d.claim(t.Context())
				want := map[cut]sale.Offset{cutCommit: batch.From, cutAnswer: batch.To}[how]
				if d.core.Next() != want {
					t.Fatalf("after cut %d of [%d, %d) the ledger is at %d", how, batch.From, batch.To, d.core.Next())
				}
			}
			claim, err := owner.Claim(t.Context(), partition, proven)
			check(t, err)
			reference := sale.New()
			for _, record := range records {
				var ignored sale.Changes
				check(t, reference.Apply(record, &ignored))
			}
			wantState(t, claim, reference)
		}
	})
}

// TestConnectionBreaksAtTheClaim: the epoch may be raised or not; the next claim
// works in either case.
func TestConnectionBreaksAtTheClaim(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		proxy := startProxy(t, b.PostgresURL)
		owner := newOwner(t, proxy.url)
		d := drive(t.Context(), t, owner, 1)
		for _, how := range []cut{cutCommit, cutAnswer} {
			proxy.next.Store(int32(how))
			if _, err := owner.Claim(t.Context(), 1, proven); err == nil {
				t.Fatal("a claim whose commit broke succeeded")
			}
		}
		before := d.epoch
		d.claim(t.Context())
		if d.epoch != before+2 {
			t.Errorf("epoch %d after %d, want one more for the claim whose answer was lost", d.epoch, before)
		}
		d.open(1)
		d.commit(t.Context())
	})
}

// TestPostgresIsKilledAndComesBack: the next call of everybody works, though
// all pools are full of dead connections.
func TestPostgresIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	server, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	const partitions = 6
	migrated(t, server.URL, partitions)
	owner, reader := newOwner(t, server.URL), newReader(t, server.URL)
	bindings := newBindings(t, server.URL)

	drivers := make([]*driver, partitions)
	fill := make(chan struct{})
	filled := make(chan error, partitions)
	for i := range drivers {
		// All at once, each in its transaction until all are, so that the pool
		// has a connection for each.
		go func() {
			claim, err := owner.Claim(t.Context(), int32(i), func(context.Context) error {
				filled <- nil
				<-fill
				return nil
			})
			if err == nil {
				drivers[i] = &driver{t: t, owner: owner, partition: int32(i)}
				drivers[i].begin(claim)
			}
			filled <- err
		}()
	}
	for range partitions {
		check(t, <-filled)
	}
	close(fill)
	for range partitions {
		check(t, <-filled)
	}
	if idle := owner.pool.Stat().IdleConns(); idle != partitions {
		t.Fatalf("%d idle connections, want %d", idle, partitions)
	}
	d := drivers[0]
	d.open(2)
	d.commit(t.Context())
	_, err = bindings.Bind(t.Context(), "tea", nil)
	check(t, err)
	_, err = reader.Since(t.Context(), 0, 0, 10)
	check(t, err)

	check(t, server.Kill())
	d.apply(buyRecord(1, "ann", 1))
	batch := d.seal()
	if err := newOwner(t, server.URL).Commit(t.Context(), batch); err == nil {
		t.Error("committed without a server")
	}
	check(t, server.Restart(t.Context()))

	check(t, owner.Commit(t.Context(), batch))
	extract, err := reader.Since(t.Context(), 0, 0, 10)
	check(t, err)
	if len(extract.Requests) != 1 || extract.Watermark != batch.To {
		t.Errorf("read %+v after the restart", extract)
	}
	for i := range 3 {
		_, err = bindings.Bind(t.Context(), sale.Product(fmt.Sprint("cup", i)), nil)
		check(t, err)
	}
	d.claim(t.Context())
}
