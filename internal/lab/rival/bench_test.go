package rival

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// pools are the sizes from which each kind's default was chosen.
var pools = []int{1, 2, 4, 8, 16, 32, 64}

// BenchmarkContended sends b.N buyers over 256 connections for half as many
// units, on the real backends, once for each kind and size of the pool. It
// reports answers per second, and the CPU of this process, generator included,
// for each. Run alone, for instance:
//
//	go test -run=- -bench='Contended/for_update' -benchtime=4000x ./internal/lab/rival
func BenchmarkContended(b *testing.B) {
	sizes(b, func(b *testing.B) int64 { return max(1, int64(b.N)/2) })
}

// BenchmarkBurst is the same for one unit.
func BenchmarkBurst(b *testing.B) {
	sizes(b, func(*testing.B) int64 { return 1 })
}

func sizes(b *testing.B, units func(*testing.B) int64) {
	for _, kind := range Kinds() {
		if kind == BareEcho {
			continue
		}
		b.Run(string(kind), func(b *testing.B) {
			for _, pool := range pools {
				b.Run(fmt.Sprintf("pool=%d", pool), func(b *testing.B) {
					config := on(devstacktest.Real(b), kind, units(b))
					config.Pool = pool
					crowd(b, made(b, config))
				})
			}
		})
	}
}

// crowd sends b.N buyers.
func crowd(b *testing.B, r *Rival) {
	const connections = 256
	address := served(b, r)
	client := &fasthttp.HostClient{Addr: address, MaxConns: connections, NoDefaultUserAgentHeader: true}
	defer client.CloseIdleConnections()
	var next, failed atomic.Int64
	var all sync.WaitGroup
	used := cpu(b)
	b.ResetTimer()
	for range connections {
		all.Go(func() {
			request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(request)
			defer fasthttp.ReleaseResponse(response)
			request.Header.SetMethod("POST")
			request.SetRequestURI("http://" + address + "/v1/products/" + product + "/buy")
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				request.Header.Set("X-Buyer-ID", fmt.Sprintf("buyer-%d", i))
				if err := client.Do(request, response); err != nil {
					b.Error(err)
					return
				}
				if code := response.StatusCode(); code != fasthttp.StatusAccepted && code != fasthttp.StatusGone {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	tally, err := r.Tally(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(b.N), "µs-CPU/answer")
	b.ReportMetric(float64(failed.Load()), "refused")
	b.ReportMetric(float64(tally.Oversold), "oversold")
	b.ReportMetric(float64(tally.Unsold), "unsold")
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
