package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// proof replays a partition's log through the core.
type proof struct {
	partition int32
	core      *sale.Partition
	rows      map[sale.Offset]sale.Request
	results   map[sale.Offset]sale.Result
	sales     map[sale.Offset]sale.Sale
	started   map[sale.Offset]bool // holds that were begun
	records   int
}

// replay reads the partition from its beginning to watermark.
func (w *world) replay(t *testing.T, partition int32, watermark sale.Offset) *proof {
	t.Helper()
	p := &proof{
		partition: partition, core: sale.New(),
		rows: make(map[sale.Offset]sale.Request), results: make(map[sale.Offset]sale.Result),
		sales: make(map[sale.Offset]sale.Sale), started: make(map[sale.Offset]bool),
	}
	var changes sale.Changes
	w.read(t, partition, watermark, func(entry event.Entry) { p.take(t, entry, &changes) })
	for _, s := range changes.Sales() {
		p.sales[s.ID] = s
	}
	return p
}

func (p *proof) take(t *testing.T, entry event.Entry, changes *sale.Changes) {
	t.Helper()
	from := len(changes.Decisions)
	if err := p.core.Apply(entry.Record(), changes); err != nil {
		t.Fatal(err)
	}
	p.records++
	for _, d := range changes.Decisions[from:] {
		switch {
		case d.Kind == sale.OfRequest && !d.Default:
			p.rows[d.Request.Offset] = d.Request
		case d.Kind == sale.OfCommand:
			p.results[d.Result.Command] = d.Result
		case d.Kind == sale.OfStart:
			for offset, row := range p.rows {
				if row.HeldSince != sale.None && row.HeldSince < d.Start.Below {
					p.started[offset] = true
				}
			}
		}
	}
	changes.Decisions = changes.Decisions[:0] // and keep the sales that changed
}

// read gives a partition's entries below end.
func (w *world) read(t *testing.T, partition int32, end sale.Offset, each func(event.Entry)) {
	t.Helper()
	log, err := kafka.Open(t.Context(), w.kafkaConfig(0))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(t.Context())
	reader, err := log.Open(partition, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for next := sale.Offset(0); next < end; {
		entries, _, err := reader.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if entry.Offset >= end {
				return
			}
			each(entry)
			next = entry.Offset + 1
		}
	}
}

// proveLedger holds the whole ledger against a replay of the log: every row,
// every count, every result. It gives the replays.
func (w *world) proveLedger(t *testing.T, partitions int32) []*proof {
	t.Helper()
	w.auditVerifies(t)
	var proofs []*proof
	for partition := range partitions {
		ledger, err := w.reader.Since(t.Context(), partition, 0, 10_000_000)
		if err != nil {
			t.Fatal(err)
		}
		p := w.replay(t, partition, ledger.Watermark)
		proofs = append(proofs, p)
		rows, results, sales := make(map[sale.Offset]sale.Request), make(map[sale.Offset]sale.Result), make(map[sale.Offset]sale.Sale)
		for _, row := range ledger.Requests {
			rows[row.Offset] = row
		}
		for _, result := range ledger.Results {
			results[result.Command] = result
		}
		for _, s := range ledger.Sales {
			sales[s.ID] = s
		}
		for what, difference := range map[string]string{
			"requests": cmp.Diff(p.rows, rows, cmpopts.EquateEmpty()),
			"results":  cmp.Diff(p.results, results, cmpopts.EquateEmpty()),
			"sales":    cmp.Diff(p.sales, sales, cmpopts.EquateEmpty()),
		} {
			if difference != "" {
				t.Errorf("partition %d: the ledger's %s are not what the log decides (-log +ledger):\n%.4000s", partition, what, difference)
			}
		}
		for _, s := range sales {
			if !s.Balanced() {
				t.Errorf("partition %d: sale %d does not add up: %+v", partition, s.ID, s)
			}
		}
	}
	return proofs
}

// auditVerifies holds the ledger against the log as anteroom audit verify does.
func (w *world) auditVerifies(t *testing.T) verify.Result {
	t.Helper()
	found := w.verify(t)
	for _, p := range found.Partitions {
		if p.FirstDifference != nil {
			t.Errorf("partition %d: audit verify finds %d differences, first at %s", p.Partition, p.Differences, p.FirstDifference)
		}
	}
	return found
}

func (w *world) verify(t *testing.T) verify.Result {
	t.Helper()
	var out, log bytes.Buffer
	code := run(t.Context(), w.audit("verify", "--json"), terminal{out: &out, err: &log})
	var found verify.Result
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatalf("audit verify, exit code %d: %v\n%s%s", code, err, &out, &log)
	}
	if want := map[bool]int{true: exitDone, false: exitFalse}[found.Equal]; code != want {
		t.Errorf("audit verify ends with %d where equal is %t", code, found.Equal)
	}
	return found
}

// verifyMeanwhile holds the ledger against the log again and again, while both go
// on, until ctx is done.
func (w *world) verifyMeanwhile(ctx context.Context, t *testing.T) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		var out, log bytes.Buffer
		if code := run(ctx, w.audit("verify"), terminal{out: &out, err: &log}); code != exitDone && ctx.Err() == nil {
			t.Errorf("amid the sale audit verify ends with %d: %s%s", code, &out, &log)
		}
	}
}

// audit gives the arguments of an audit command on this world's backends.
func (w *world) audit(command string, arguments ...string) []string {
	all := []string{"audit", command, "--kafka-brokers", w.kafka, "--topic", w.topic}
	if command == "verify" || command == "rebuild" {
		all = append(all, "--postgres-url", w.postgres)
	}
	return append(all, arguments...)
}
