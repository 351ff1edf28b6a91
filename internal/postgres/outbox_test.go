package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/webhook"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func newOutbox(t testing.TB, url string) *Outbox {
	t.Helper()
	outbox, err := NewOutbox(t.Context(), Config{URL: url, Connections: 2})
	check(t, err)
	t.Cleanup(outbox.Close)
	return outbox
}

// wantWaiting fails unless these batches wait, each with its lines.
func wantWaiting(t testing.TB, outbox *Outbox, from sale.Offset, limit int, want ...allocator.Outgoing) {
	t.Helper()
	got, err := outbox.Waiting(t.Context(), 0, from, limit)
	check(t, err)
	same := func(a, b allocator.Outgoing) bool {
		return a.From == b.From && a.To == b.To && bytes.Equal(a.Lines, b.Lines)
	}
	if !slices.EqualFunc(want, got, same) {
		t.Errorf("%d batches wait, not the %d expected", len(got), len(want))
	}
}

// commitWith commits a record with something to publish.
func (d *driver) commitWith(ctx context.Context, decisions string) allocator.Outgoing {
	d.t.Helper()
	d.apply(sale.Record{Time: 1000, Body: sale.Tick{}})
	batch := d.seal()
	batch.Decisions = []byte(decisions)
	if err := d.owner.Commit(ctx, batch); err != nil {
		d.t.Fatal(err)
	}
	return allocator.Outgoing{From: batch.From, To: batch.To, Lines: batch.Decisions}
}

// What is to be published is there with its batch, in order, and is removed up
// to where it is told to be.
func TestOutbox(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 2)
		outbox := newOutbox(t, b.PostgresURL)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 0)
		other := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
		d.apply(sale.Record{Time: 1000, Body: sale.Schema{Version: sale.FirstSchema}})
		d.commit(t.Context()) // nothing to publish
		wantWaiting(t, outbox, 0, 1<<20)

		first := d.commitWith(t.Context(), "ring\t{}\n")
		second := d.commitWith(t.Context(), "lamp\t{}\n\t{}\n")
		d.apply(sale.Record{Time: 1000, Body: sale.Tick{}})
		d.commit(t.Context())
		d.apply(sale.Record{Time: 1000, Body: sale.Tick{}}) // it has two records
		third := d.commitWith(t.Context(), "large\t\n"+string(bytes.Repeat([]byte{0, 255, 'x'}, 500_000)))
		fourth := d.commitWith(t.Context(), "\t{}\n")
		of1 := other.commitWith(t.Context(), "other\t{}\n")

		wantWaiting(t, outbox, 0, 1<<30, first, second, third, fourth)
		wantWaiting(t, outbox, 0, 1, first)
		wantWaiting(t, outbox, second.From, outboxPacked*len(second.Lines)+1, second, third)
		wantWaiting(t, outbox, third.To, 1, fourth)
		wantWaiting(t, outbox, fourth.To, 1)

		check(t, outbox.Remove(t.Context(), 0, second.To))
		wantWaiting(t, outbox, 0, 1<<30, third, fourth)
		check(t, outbox.Remove(t.Context(), 0, third.To-1)) // in the middle of a batch: it stays
		wantWaiting(t, outbox, 0, 1<<30, third, fourth)
		check(t, outbox.Remove(t.Context(), 0, third.To))
		wantWaiting(t, outbox, 0, 1<<30, fourth)
		check(t, outbox.Remove(t.Context(), 0, fourth.To))
		wantWaiting(t, outbox, 0, 1<<30)
		if got, err := outbox.Waiting(t.Context(), 1, 0, 1); err != nil || gocmp.Diff([]allocator.Outgoing{of1}, got) != "" {
			t.Errorf("the other partition's: %v, %v", got, err)
		}
	})
}

// A fenced batch leaves nothing to publish, and a refused one neither.
func TestOutboxIsFenced(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 1)
		outbox := newOutbox(t, b.PostgresURL)
		d := drive(t.Context(), t, newOwner(t, b.PostgresURL), 0)
		d.open(5)
		stale := d.seal()
		stale.Decisions = []byte("stale\t{}\n")
		successor := drive(t.Context(), t, newOwner(t, b.PostgresURL), 0)
		if err := d.owner.Commit(t.Context(), stale); !errors.Is(err, allocator.ErrFenced) {
			t.Fatalf("committed by a stale owner: %v", err)
		}
		wantWaiting(t, outbox, 0, 1<<20)

		successor.open(5)
		broken := successor.seal()
		broken.Decisions = []byte("broken\t{}\n")
		broken.Sales[0].Sale.Held++ // the units do not add up
		if err := successor.owner.Commit(t.Context(), broken); !errors.Is(err, allocator.ErrRefused) {
			t.Fatalf("committed what does not add up: %v", err)
		}
		wantWaiting(t, outbox, 0, 1<<20)
		broken.Sales[0].Sale.Held--
		check(t, successor.owner.Commit(t.Context(), broken))
		wantWaiting(t, outbox, 0, 1<<20, allocator.Outgoing{From: broken.From, To: broken.To, Lines: broken.Decisions})
		if err := successor.owner.Commit(t.Context(), broken); !errors.Is(err, allocator.ErrFenced) {
			t.Fatalf("committed twice: %v", err)
		}
		wantWaiting(t, outbox, 0, 1<<20, allocator.Outgoing{From: broken.From, To: broken.To, Lines: broken.Decisions})
	})
}

// Many rows are removed in pieces, and given in pieces.
func TestOutboxOfMany(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 1)
		const n = 2*outboxRemoved + 10
		execute(t, b.PostgresURL, `INSERT INTO outbox SELECT 0, i, i + 1, 'x' FROM generate_series(0, $1::bigint) AS i`, n-1)
		outbox := newOutbox(t, b.PostgresURL)
		waiting, err := outbox.Waiting(t.Context(), 0, 7, 1<<20)
		check(t, err)
		if len(waiting) != outboxRows || waiting[0].From != 7 {
			t.Errorf("%d rows from %d", len(waiting), waiting[0].From)
		}
		check(t, outbox.Remove(t.Context(), 0, n-1))
		wantWaiting(t, outbox, 0, 1<<20, allocator.Outgoing{From: n - 1, To: n, Lines: []byte("x")})
	})
}

// BenchmarkCommitWithDecisions holds commits that leave something to publish
// against the same ones that do not.
func BenchmarkCommitWithDecisions(b *testing.B) {
	backends := devstacktest.Embedded(b)
	migrated(b, backends.PostgresURL, 1)
	outbox := newOutbox(b, backends.PostgresURL)
	d := drive(b.Context(), b, newOwner(b, backends.PostgresURL), 0)
	of := d.open(2)
	d.commit(b.Context())
	buyer := 0
	for _, rows := range []int{0, 20, 2000} {
		var without time.Duration
		for _, size := range []int{0, 700 + 300*rows} {
			b.Run(fmt.Sprintf("rows=%d/decisions=%dB", rows, size), func(b *testing.B) {
				var decisions []byte
				for i := 0; len(decisions) < size; i++ {
					decisions = fmt.Appendf(decisions, "ring\t{\"id\":\"0-%d-0\",\"type\":\"request.rejected\",\"log\":\"0102030405060708090a0b0c0d0e0f10\",\"partition\":0,\"cause\":%d,\"index\":0,\"time\":\"2025-06-15T15:06:40.%03dZ\",\"product\":\"ring\",\"sale\":\"0-1\",\"request\":\"0-%d\",\"state\":\"rejected\",\"reason\":\"duplicate\",\"quantity\":1,\"first\":\"0-%d\"}\n", 7919*i, 7919*i, i/20%1000, 7919*i, 13*i)
				}
				var batch *allocator.Batch
				for b.Loop() {
					b.StopTimer()
					d.apply(buyRecord(of, sale.Buyer(fmt.Sprint(buyer)), 9)) // refused, with a row
					for range max(rows, 1) {
						buyer++
						if rows > 0 {
							d.apply(buyRecord(of, sale.Buyer(fmt.Sprint(buyer)), 9))
						} else {
							d.apply(buyRecord(of, sale.Buyer(fmt.Sprint(buyer)), 1))
						}
					}
					batch = d.seal()
					batch.Decisions = decisions
					b.StartTimer()
					check(b, d.owner.Commit(b.Context(), batch))
				}
				check(b, outbox.Remove(b.Context(), 0, batch.To))
				each := b.Elapsed() / time.Duration(b.N)
				if size == 0 {
					without = each
				} else if without > 0 {
					b.ReportMetric(each.Seconds()/without.Seconds(), "x-without")
				}
			})
		}
	}
}

func newWebhooks(t testing.TB, url string) *Webhooks {
	t.Helper()
	webhooks, err := NewWebhooks(t.Context(), Config{URL: url, Connections: 2})
	check(t, err)
	t.Cleanup(webhooks.Close)
	return webhooks
}

func keptAt(id string, next time.Time) webhook.Kept {
	return webhook.Kept{
		Message: webhook.Message{ID: id, Type: "hold.opened", Body: []byte(`{"type":"hold.opened"}`)},
		URL:     "https://shop.example/hook", Attempts: 1, LastStatus: 500, LastError: "answered 500",
		FailedAt: next.Add(-time.Second), NextAttempt: next,
	}
}

// Webhooks are kept once, given when they are due to one process at a time, and
// dropped, or dead until somebody has them tried again.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 1)
		store := newWebhooks(t, b.PostgresURL)
		now := time.UnixMilli(1_750_000_000_000)
		due := func(at time.Time, limit int, want ...webhook.Kept) {
			t.Helper()
			got, err := store.Due(t.Context(), at, at.Add(time.Minute), limit)
			check(t, err)
			for i := range want {
				want[i].NextAttempt = at.Add(time.Minute)
			}
			if diff := gocmp.Diff(append([]webhook.Kept{}, want...), append([]webhook.Kept{}, got...)); diff != "" {
				t.Errorf("due (-want +got):\n%s", diff)
			}
		}
		waits := func(want int) {
			t.Helper()
			if got, err := store.Waiting(t.Context()); err != nil || got != want {
				t.Errorf("%d wait (%v), want %d", got, err, want)
			}
		}
		one, two := keptAt("0-1-0", now), keptAt("0-2-0", now.Add(time.Second))
		check(t, store.Keep(t.Context(), one))
		check(t, store.Keep(t.Context(), two))
		again := one
		again.Attempts = 9
		check(t, store.Keep(t.Context(), again)) // it was told again: it is there
		waits(2)
		due(now.Add(-time.Millisecond), 10)
		due(now, 10, one)
		due(now, 10) // it is somebody's
		due(now.Add(time.Minute), 1, two)
		due(now.Add(time.Minute), 1, one) // whoever had it has gone

		check(t, store.Delivered(t.Context(), two.ID))
		one.Attempts, one.Dead, one.LastStatus, one.LastError = 2, true, 0, "no\x00answer\xff"
		check(t, store.Failed(t.Context(), one))
		waits(0)
		due(now.Add(24*time.Hour), 10)
		dead, err := store.Dead(t.Context(), 10)
		check(t, err)
		one.LastError = "no\ufffdanswer\ufffd"
		if diff := gocmp.Diff([]webhook.Kept{one}, dead); diff != "" {
			t.Errorf("dead (-want +got):\n%s", diff)
		}

		third := keptAt("0-3-0", now)
		third.Dead = true
		check(t, store.Keep(t.Context(), third))
		for _, c := range []struct {
			ids  []string
			want int64
		}{{[]string{"0-9-9"}, 0}, {[]string{"0-3-0", "0-9-9"}, 1}, {nil, 1}, {nil, 0}} {
			if revived, err := store.Revive(t.Context(), c.ids...); err != nil || revived != c.want {
				t.Errorf("reviving %v: %d (%v), want %d", c.ids, revived, err, c.want)
			}
		}
		waits(2)
	})
}
