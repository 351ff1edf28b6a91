package redis

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/ingress"
)

// BenchmarkAdmit measures new buyers on a redis-server. Beside the time per
// buyer it reports how many share a script call.
func BenchmarkAdmit(b *testing.B) {
	for _, callers := range []int{1, 64, 512, 4096} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			server := startRedis(b)
			var calls, buyers, nanoseconds atomic.Int64
			gate := NewGate(GateConfig{Client: open(b, server.URL), Observe: func(took time.Duration, n int) {
				calls.Add(1)
				buyers.Add(int64(n))
				nanoseconds.Add(int64(took))
			}})
			run(b, gate)
			var next atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range callers {
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if got, err := answerOf(b.Context(), gate, ask(fmt.Sprintf("%022d", i))); err != nil || !let(got) {
							b.Errorf("%+v, %v", got, err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(buyers.Load())/float64(calls.Load()), "buyers/call")
			b.ReportMetric(float64(nanoseconds.Load())/1e3/float64(calls.Load()), "µs/call")
		})
	}
}

// BenchmarkAdmitScript measures the server alone: a script call of a full batch
// of new buyers, without need of a credit, with leases for all, and with none
// left. It reports the time per buyer.
func BenchmarkAdmitScript(b *testing.B) {
	for name, units := range map[string]int64{"limit": 0, "leased": 1, "full": 1 << 50} {
		b.Run(name, func(b *testing.B) {
			server := startRedis(b)
			gate := NewGate(GateConfig{Client: open(b, server.URL)})
			credits := NewCredits(CreditsConfig{Client: open(b, server.URL)})
			grantTo(b, credits, credit(1, 1<<40))
			check(b, gate.client.ScriptLoad(b.Context(), gateSource).Err())
			next := 0
			for b.Loop() {
				b.StopTimer()
				batch := &group{of: saleOf(ask(""))}
				for range maxBatch {
					next++
					of := credited(fmt.Sprintf("%022d", next), units)
					batch.calls = append(batch.calls, &call{of: batch.of, key: key(of), units: units})
				}
				batch.prepare(gate.leases, gate.leaseLife)
				b.StartTimer()
				check(b, evaluate(b.Context(), gate.client, gate.script, []*invocation{&batch.invocation}))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/maxBatch, "ns/buyer")
		})
	}
}

// BenchmarkMemory reports what a buyer costs in a redis-server's memory, with
// the tables that lead to the key: one that was just let in, and one with a
// hint.
func BenchmarkMemory(b *testing.B) {
	const buyers = 200_000
	server := startRedis(b)
	gate := NewGate(GateConfig{Client: open(b, server.URL)})
	run(b, gate)
	// A limit expires before all are in; without one, the mark is as large.
	mark := func(ask ingress.Ask, done func()) {
		check(b, gate.client.Set(b.Context(), key(ask), "1", hintLife).Err())
		done()
	}
	hint := func(ask ingress.Ask, done func()) {
		gate.Remember(ask, ingress.Hint{Offset: 1_000_000, Quantity: 1, AcceptedAt: 1_790_000_000_000}, done)
	}
	for name, store := range map[string]func(ingress.Ask, func()){"let in": mark, "hint": hint} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				check(b, gate.client.FlushAll(b.Context()).Err())
				before := usedMemory(b, gate)
				var stored sync.WaitGroup
				for i := range buyers {
					stored.Add(1)
					store(ask(fmt.Sprintf("%022d", i)), stored.Done)
					if i%maxBatch == 0 {
						stored.Wait()
					}
				}
				stored.Wait()
				b.ReportMetric(float64(usedMemory(b, gate)-before)/buyers, "bytes/buyer")
			}
			one, err := gate.client.MemoryUsage(b.Context(), key(ask(fmt.Sprintf("%022d", 1)))).Result()
			check(b, err)
			b.ReportMetric(float64(one), "bytes/key")
		})
	}
}

func usedMemory(b *testing.B, gate *Gate) int64 {
	b.Helper()
	memory, err := gate.client.InfoMap(b.Context(), "memory").Result()
	check(b, err)
	var used int64
	_, err = fmt.Sscan(memory["Memory"]["used_memory"], &used)
	check(b, err)
	return used
}
