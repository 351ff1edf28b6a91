package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// serveBare answers every click with what an accepted one is answered with,
// until its input ends.
func serveBare() {
	body := `{"ticket":"` + strings.Repeat("t", 260) + `","id":"0-1","product":"console","quantity":1,"state":"queued","position":12,` +
		`"requested_at":"2026-01-01T00:00:00Z","server_time":"2026-01-01T00:00:00Z","poll_after_ms":1000}`
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cpu" {
			_, _ = fmt.Fprint(w, cpuSeconds())
			return
		}
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("ETag", `W/"AAAAAAAAAAAAAAAAAAAA"`)
		header.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, body)
	})}
	go func() { _ = server.Serve(listener) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// BenchmarkClick prints what a click costs the generator and the server, in
// microseconds of CPU, and the same for the client that the demo's crowd uses.
func BenchmarkClick(b *testing.B) {
	const connections = 256
	ways := map[string]func(b *testing.B, address string){
		"generator": func(b *testing.B, address string) {
			p := &phaseRun{
				phase: Phase{
					Addresses: []string{address}, Connections: connections, Products: []string{"console"}, Crowd: "c", Buyers: b.N,
					Follow: FollowNone, Then: ThenNone, CallTimeout: DefaultCallTimeout, Patience: DefaultPatience,
				},
				tally: newTally(Click), memory: &memory{}, began: time.Now(),
			}
			p.click(b.Context())
			if got := p.tally.total(p.began); got.Accepted != b.N {
				b.Errorf("%d of %d were accepted: %v", got.Accepted, b.N, got.Errors)
			}
		},
		"HostClient": func(b *testing.B, address string) { clickWithHostClient(b, address, connections) },
	}
	for _, way := range []string{"generator", "HostClient"} {
		b.Run(way, func(b *testing.B) {
			server := process("bare server")
			in, err := server.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			out, err := server.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := server.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = in.Close(); _ = server.Wait() }()
			address, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			address = strings.TrimSpace(address)
			there, here := cpuOf(b, address), cpuSeconds()
			b.ResetTimer()
			ways[way](b, address)
			b.StopTimer()
			here = cpuSeconds() - here
			there = cpuOf(b, address) - there
			b.ReportMetric(here*1e6/float64(b.N), "generator-µs/op")
			b.ReportMetric(there*1e6/float64(b.N), "server-µs/op")
			b.ReportMetric(here/there, "generator/server")
		})
	}
}

func cpuOf(b *testing.B, address string) float64 {
	b.Helper()
	response, err := http.Get("http://" + address + "/cpu")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	used, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		b.Fatal(err)
	}
	return used
}

func clickWithHostClient(b *testing.B, address string, connections int) {
	b.Helper()
	client := &fasthttp.HostClient{
		Addr: address, MaxConns: connections, ReadTimeout: DefaultCallTimeout, WriteTimeout: DefaultCallTimeout,
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
	}
	defer client.CloseIdleConnections()
	var taken atomic.Int64
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			for number := taken.Add(1); number <= int64(b.N); number = taken.Add(1) {
				request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				request.Header.SetMethod("POST")
				request.SetRequestURI("http://" + address + "/v1/products/console/buy")
				request.Header.Set("X-Buyer-ID", "c-"+strconv.FormatInt(number, 10))
				if err := client.DoTimeout(request, response, DefaultCallTimeout); err != nil || response.StatusCode() != http.StatusAccepted {
					b.Errorf("%d, %v", response.StatusCode(), err)
				}
				fasthttp.ReleaseRequest(request)
				fasthttp.ReleaseResponse(response)
			}
		})
	}
	workers.Wait()
}
