package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// benchWinners is what a batch has about while an owner works off a backlog.
const benchWinners = 20_000

// BenchmarkCommitWinners commits batches in which everybody gets a unit, and
// holds it against batches of the same size in which no two are alike.
func BenchmarkCommitWinners(b *testing.B) {
	backends := devstacktest.Real(b)
	migrated(b, backends.PostgresURL, 1)
	owner := newOwner(b, backends.PostgresURL)
	claim, err := owner.Claim(b.Context(), 0, proven)
	check(b, err)
	next := claim.State.Next
	var unlike time.Duration
	for _, alike := range []bool{false, true} {
		b.Run(fmt.Sprintf("alike=%t", alike), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				batch := &allocator.Batch{Partition: 0, Epoch: claim.Epoch, From: next, To: next + benchWinners, Now: 1_750_000_000_000}
				for ; next < batch.To; next++ {
					r := aWinner(next)
					if !alike {
						r.HoldFor += sale.Time(next)
					}
					batch.Requests = append(batch.Requests, r)
				}
				b.StartTimer()
				check(b, owner.Commit(b.Context(), batch))
			}
			each := b.Elapsed() / time.Duration(b.N)
			b.ReportMetric(float64(each.Nanoseconds())/benchWinners, "ns/row")
			if !alike {
				unlike = each
			} else if unlike > 0 {
				b.ReportMetric(each.Seconds()/unlike.Seconds(), "x-unlike")
			}
		})
	}
}

func aWinner(at sale.Offset) sale.Request {
	return sale.Request{
		Offset: at, Sale: 1, Product: "ring", Buyer: sale.Buyer(fmt.Sprintf("dev1.%040x", at)), Quantity: 1,
		AcceptedAt: 1_750_000_000_000, State: sale.Held, First: sale.None, HeldSince: at, HoldFor: 7_200_000,
		Cause: at, DecidedAt: 1_750_000_000_000 + sale.Time(at/200),
	}
}
