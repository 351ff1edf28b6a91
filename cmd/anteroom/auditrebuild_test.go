package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// runProgram runs a command of the program in this world, and gives its exit code.
func (w *world) runProgram(ctx context.Context, t *testing.T, arguments ...string) (code int, out, complaints string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(ctx, path, arguments...)
	command.Env = append(os.Environ(), w.settings()...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	var exited *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// rebuild runs audit rebuild and gives what it says.
func (w *world) rebuild(t *testing.T) rebuildAnswer {
	t.Helper()
	code, out, complaints := w.runProgram(t.Context(), t, "audit", "rebuild", "--json")
	if code != exitDone {
		t.Fatalf("audit rebuild ended with %d: %s", code, complaints)
	}
	var answer rebuildAnswer
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return answer
}

// TestPostgresIsRebuiltInMidSale takes the whole database away while two crowds
// buy, and rebuilds it from the topic while ingresses and allocators keep
// running. One sale has a waitlist, and holds that run out; the other lets in
// only what it can sell. Every ticket gets one outcome, no place moves back, all
// units are taken, the ledger is what the log decides, and other systems are
// told of every decision.
func TestPostgresIsRebuiltInMidSale(t *testing.T) {
	const (
		partitions = 2
		buyers     = 5000 // in each crowd
		seats      = 150
		consoles   = 40
	)
	b := devstacktest.Real(t)
	server := ownPostgres(t, &b)
	database := func() string {
		url, err := devstack.CreateDatabase(t.Context(), server.URL, "ledger")
		if err != nil {
			t.Fatal(err)
		}
		return url
	}
	b.PostgresURL = database()
	w := newWorld(t, b, partitions)
	w.start(t, "allocator")
	w.start(t, "allocator")
	addresses := []string{w.start(t, "ingress").address, w.start(t, "ingress").address}
	everybody, first, second := int64(2*buyers+10), int32(0), int32(1)
	w.openSale(t, addresses[0], client.NewSale{Product: "seat", Quantity: seats, HoldSeconds: 5, WaitlistCapacity: &everybody, Partition: &first})
	w.openSale(t, addresses[0], client.NewSale{Product: "console", Quantity: consoles, HoldSeconds: 3600, Policy: "reject", Partition: &second})
	awaitSale(t, addresses, "seat")
	awaitSale(t, addresses, "console")

	// Ada has paid. Whatever happens, she has her seat.
	ada := buy(t, addresses[0], "seat", "ada")
	await(t, "ada's hold", func() bool { return state(t, addresses[0], ada) == "held" })
	if _, err := w.client(t, addresses[0]).Confirm(t.Context(), ada, "ada-paid"); err != nil {
		t.Fatal(err)
	}
	adaPaid := func(when string) {
		t.Helper()
		for _, address := range addresses {
			await(t, "ada's seat at "+address+" "+when, func() bool {
				s := state(t, address, ada)
				if s != "" && s != "confirmed" && when != "before" {
					t.Fatalf("%s, %s: ada's seat is %s", when, address, s)
				}
				return s == "confirmed"
			})
		}
	}
	adaPaid("before")

	var consoleBuyers []string
	buyConsole := func(when string) {
		t.Helper()
		for i := range 4 {
			consoleBuyers = append(consoleBuyers, buy(t, addresses[i%2], "console", fmt.Sprintf("%s-%d", when, i)))
		}
	}
	consolesHeld := func(when string) {
		t.Helper()
		for _, ticket := range consoleBuyers {
			await(t, "a console's hold "+when, func() bool { return state(t, addresses[0], ticket) == "held" })
		}
	}
	buyConsole("before")
	consolesHeld("before")

	crowds := newCrowds(t, w, addresses, []string{"seat", "seat"}, buyers) // the second one pays nothing
	crowds.awaitClicks(t, 500)
	if err := devstack.DropDatabase(t.Context(), server.URL, "ledger"); err != nil {
		t.Fatal(err)
	}
	lost := time.Now()
	database()
	crowds.awaitClicks(t, min(crowds.clicks()+200, 2*buyers)) // the line takes them
	buyConsole("meanwhile")
	adaPaid("without a ledger")
	answer := w.rebuild(t)
	t.Logf("rebuilt %s after the loss: %+v", time.Since(lost).Round(time.Millisecond), answer)
	if len(answer.Partitions) != partitions || answer.Partitions[0].Sales != 1 || answer.Records == 0 {
		t.Errorf("rebuilt %+v", answer)
	}
	adaPaid("once it is rebuilt")
	consolesHeld("once it is rebuilt")
	if _, err := w.client(t, addresses[1]).Confirm(t.Context(), consoleBuyers[0], "paid"); err != nil {
		t.Error("a hold from before the loss cannot be paid for: ", err)
	}
	late := buy(t, addresses[1], "seat", "late")

	results := append(newCrowds(t, w, addresses, []string{"console"}, buyers).wait(t), crowds.wait(t)...)
	for i, result := range results {
		t.Logf("%+v", result)
		if result.Undecided != 0 || result.MultipleOutcomes != 0 || result.PositionRises != 0 {
			t.Errorf("crowd %d: a shopper was told wrong: %+v", i, result)
		}
		for code := range result.Refused {
			if code != "sold_out" {
				t.Errorf("crowd %d: shoppers were refused with %s", i, code)
			}
		}
	}
	await(t, "an outcome of the one who came after the rebuild", func() bool { s := state(t, addresses[1], late); return s != "" && s != "queued" })
	adaPaid("in the end")
	// A new ingress knows nothing but the rebuilt ledger.
	addresses = append(addresses, w.start(t, "ingress").address)
	adaPaid("at a new ingress")
	for _, product := range []string{"seat", "console"} {
		if partition := devstacktest.Count(t, w.postgres, "SELECT partition FROM products WHERE product = '"+product+"'"); partition != map[string]int{"seat": 0, "console": 1}[product] {
			t.Errorf("%s is bound to partition %d", product, partition)
		}
	}

	// What was let in during the loss is decided without the gate being told; it
	// goes by that until the leases end, which takes 5 s.
	if console, ok := w.latest(t, 1); ok {
		for i := range console.Available {
			buy(t, addresses[0], "console", fmt.Sprintf("last-%d", i))
		}
	}
	await(t, "all units being taken", func() bool {
		seat, ok := w.latest(t, 0)
		console, also := w.latest(t, 1)
		return ok && also && seat.Available == 0 && console.Held+console.Confirmed == consoles
	})
	proofs := w.proveLedger(t, partitions)
	expired := 0
	for _, row := range proofs[0].rows {
		if row.State == sale.Expired {
			expired++
		}
	}
	t.Logf("%d and %d records, %d holds ran out", proofs[0].records, proofs[1].records, expired)
	for partition := range int32(partitions) {
		w.wantPublished(t, partition)
	}
}

// wantPublished waits until the topic of decisions has everything that the
// ledger had decided of a partition when it was called.
func (w *world) wantPublished(t *testing.T, partition int32) {
	t.Helper()
	ids, covered := make(map[string]bool), make(map[sale.Offset]bool)
	var wanted []sale.Decision
	w.decisions(t, partition, func(d sale.Decision) { wanted = append(wanted, d) })
	missing := func() string {
		for _, d := range wanted {
			id := fmt.Sprintf("%d-%d-%d", partition, d.Cause, d.Index)
			if ids[id] || (d.Kind == sale.OfRequest && d.Default && covered[d.Request.Offset]) {
				continue
			}
			return id
		}
		return ""
	}
	config := w.kafkaConfig(0)
	config.Topic = decisionsTopicOf(w.topic)
	topic, err := kafka.OpenHistory(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close()
	reader, err := topic.Open(partition, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	last := ""
	t.Cleanup(func() {
		if last != "" {
			t.Logf("partition %d: decision %s was not on the topic of decisions", partition, last)
		}
	})
	next := sale.Offset(0)
	await(t, "all decisions being published", func() bool {
		_, end, err := topic.Bounds(t.Context(), partition)
		if err != nil {
			t.Fatal(err)
		}
		for next < end {
			entries, err := reader.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				d, err := event.DecodeDecision(entry.Value)
				if err != nil {
					t.Fatal(err)
				}
				ids[d.ID] = true
				if d.From != nil {
					for offset := *d.From; offset < *d.To; offset++ {
						covered[offset] = true
					}
				}
				next = entry.Offset + 1
			}
		}
		last = missing()
		return last == ""
	})
}

// TestAuditRebuild runs the command against what it refuses, and against what it
// is for.
func TestAuditRebuild(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 2)
		s := w.serveHere(t)
		address := s.public.Addr().String()
		w.openSale(t, address, client.NewSale{Product: "console", Quantity: 2, HoldSeconds: 600})
		held := buy(t, address, "console", "ada")
		await(t, "ada's hold", func() bool { return state(t, address, held) == "held" })

		rebuild := func(arguments ...string) (int, string, string) {
			var out, complaints bytes.Buffer
			code := run(t.Context(), append([]string{"audit", "rebuild", "--log-level", "error"}, arguments...), terminal{out: &out, err: &complaints})
			return code, out.String(), complaints.String()
		}
		backends := []string{"--kafka-brokers", w.kafka, "--topic", w.topic, "--decisions-topic", decisionsTopicOf(w.topic), "--postgres-url", w.postgres}
		code, _, complaints := rebuild(backends...)
		if code != exitFailed || !strings.Contains(complaints, "not empty") || !strings.Contains(complaints, "nothing was changed") {
			t.Errorf("a ledger in use: exit code %d: %s", code, complaints)
		}
		for _, wrong := range []struct {
			what      string
			code      int
			says      string
			arguments []string
		}{
			{"no database", exitMisuse, "--postgres-url", backends[:6]},
			{"no brokers", exitMisuse, "--kafka-brokers", backends[6:]},
			{"no topic of decisions", exitFailed, "does not exist", append(backends[:len(backends):len(backends)], "--decisions-topic", "missing-"+w.topic)},
			{"no log", exitFailed, "does not exist", append(backends[:len(backends):len(backends)], "--topic", "missing-"+w.topic)},
			{"no server", exitFailed, "connecting to postgres", append(backends[:len(backends):len(backends)], "--postgres-url", "postgres://127.0.0.1:1/nothing")},
		} {
			if code, _, complaints := rebuild(wrong.arguments...); code != wrong.code || !strings.Contains(complaints, wrong.says) {
				t.Errorf("%s: exit code %d: %s", wrong.what, code, complaints)
			}
		}
		w.proveLedger(t, 2)

		devstacktest.Execute(t, w.postgres, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		code, out, complaints := rebuild(backends...)
		if code != exitDone || !strings.Contains(out, "PARTITION") || !strings.Contains(out, "records in 2 partitions") {
			t.Errorf("a ledger that was lost: exit code %d: %s%s", code, out, complaints)
		}
		merchant := w.client(t, address)
		await(t, "ada's payment", func() bool {
			_, err := merchant.Confirm(t.Context(), w.parse(t, held).PublicID(), "paid")
			if err != nil {
				t.Log(err)
			}
			return err == nil && state(t, address, held) == "confirmed"
		})
		w.proveLedger(t, 2)
	})
}
