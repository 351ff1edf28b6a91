package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var auditRecords = flag.Int("audit.records", 1_000_000, "how many buys BenchmarkVerify has in its log")

// BenchmarkVerify measures anteroom audit verify on a log of a real broker and
// the ledger that an allocator made of it, beside what only reading the log
// takes. The command runs in a process of its own, so that the most memory it
// had is its alone.
//
//	go test ./cmd/anteroom -run '^$' -bench Verify -benchtime 5x [-audit.records 10000000]
func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct {
		name  string
		units int64
	}{
		{"two-units", 2},
		{"a-tenth-wins", int64(*auditRecords / 10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, devstacktest.Real(b), 1)
			w.fill(b, c.units, *auditRecords)
			path, err := program()
			if err != nil {
				b.Fatal(err)
			}
			var plain, verified time.Duration
			var records int64
			var peak int64 // kB
			var cpu time.Duration
			for b.Loop() {
				plain += w.consume(b)
				command := exec.Command(path, w.audit("verify", "--json")...)
				var out bytes.Buffer
				command.Stdout, command.Stderr = &out, os.Stderr
				if err := command.Start(); err != nil {
					b.Fatal(err)
				}
				most := peakMemory(command.Process.Pid)
				if err := command.Wait(); err != nil {
					b.Fatalf("%v: %s", err, &out)
				}
				peak = max(peak, most())
				var found verify.Result
				if err := json.Unmarshal(out.Bytes(), &found); err != nil || !found.Equal {
					b.Fatalf("%v: %s", err, &out)
				}
				verified += time.Duration(found.Seconds * float64(time.Second))
				records += found.Records
				cpu += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(records)/plain.Seconds(), "consumed/s")
			b.ReportMetric(float64(records)/verified.Seconds(), "verified/s")
			b.ReportMetric(plain.Seconds()/verified.Seconds(), "x-consume")
			b.ReportMetric(float64(peak)/1024, "MB-peak")
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(records), "cpu-ns/record")
		})
	}
}

// peakMemory watches the most memory that a process has had, in kB. (What the
// kernel says when it has ended counts the memory of its parent as well.)
func peakMemory(pid int) (most func() int64) {
	status := fmt.Sprintf("/proc/%d/status", pid)
	found := make(chan int64, 1)
	go func() {
		var peak int64
		for look := time.NewTicker(10 * time.Millisecond); ; <-look.C {
			text, err := os.ReadFile(status)
			_, after, ok := strings.Cut(string(text), "VmHWM:")
			if err != nil || !ok { // it has ended
				look.Stop()
				found <- peak
				return
			}
			if _, err := fmt.Sscan(after, &peak); err != nil {
				found <- 0
				return
			}
		}
	}()
	return func() int64 { return <-found }
}

// fill appends a sale and its buyers to the log, and has an allocator decide
// them.
func (w *world) fill(b *testing.B, units int64, buyers int) {
	b.Helper()
	encode := func(body sale.Body) []byte {
		value, err := event.Encode(body)
		if err != nil {
			b.Fatal(err)
		}
		return value
	}
	devstacktest.Execute(b, w.postgres, `INSERT INTO products (product, partition) VALUES ('ring', 0)`)
	now := sale.Time(time.Now().UnixMilli())
	w.produce(b, w.topic, []event.Entry{{Key: []byte("ring"), Value: encode(sale.Create{
		Rules: sale.NewestRules, BuyerKey: "b1", Actor: "bench", Later: true,
		Settings: sale.Settings{
			Quantity: units, HoldSeconds: 3600, MaxHoldSeconds: 3600, PerBuyerLimit: 1, MaxQuantityPerRequest: 1,
			Policy: sale.PolicyWaitlist, WaitlistCapacity: max(10, units),
		},
	})}})
	const portion = 50_000
	for next := 0; next < buyers; next += portion {
		var entries []event.Entry
		for i := next; i < min(next+portion, buyers); i++ {
			buyer := sale.Buyer(fmt.Sprintf("b1.%040x", i))
			entries = append(entries, event.Entry{Key: []byte("ring"), Value: encode(sale.Buy{Sale: 1, Buyer: buyer, Quantity: 1, AcceptedAt: now})})
		}
		w.produce(b, w.topic, entries)
	}
	w.decide(b, sale.Offset(buyers+2))
}

// consume reads partition 0 and does nothing with it.
func (w *world) consume(b *testing.B) time.Duration {
	b.Helper()
	log, err := kafka.OpenHistory(b.Context(), kafka.Config{Brokers: strings.Split(w.kafka, ","), Topic: w.topic})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	_, end, err := log.Bounds(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	reader, err := log.Open(0, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	for next := sale.Offset(0); next < end; {
		entries, err := reader.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		next += sale.Offset(len(entries))
	}
	return time.Since(began)
}
