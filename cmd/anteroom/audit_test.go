package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// soldHere runs a sale in which every kind of row comes to be, and ends the
// service.
func (w *world) soldHere(t *testing.T) {
	t.Helper()
	s, err := newService(t.Context(), w.config(t, roles{ingress: true, allocator: true}))
	if err != nil {
		t.Fatal(err)
	}
	stop := w.runHere(t, s)
	address := s.public.Addr().String()
	w.openSale(t, address, client.NewSale{Product: "ring", Quantity: 3, HoldSeconds: 2})
	w.append(t, "ring", "garbage")
	shop := w.client(t, address)
	var tickets []string
	for _, buyer := range []string{"ann", "bob", "cleo", "dan", "eve"} {
		tickets = append(tickets, buy(t, address, "ring", buyer))
	}
	await(t, "ann's hold", func() bool { return state(t, address, tickets[0]) == "held" })
	if _, err := shop.Confirm(t.Context(), tickets[0], "paid-1"); err != nil {
		t.Fatal(err)
	}
	await(t, "bob's hold to end", func() bool { return state(t, address, tickets[1]) == "expired" })
	await(t, "dan's turn", func() bool { return state(t, address, tickets[3]) == "held" })
	if _, err := shop.Confirm(t.Context(), tickets[3], "paid-4"); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// append adds a record of anybody's to partition 0.
func (w *world) append(t *testing.T, key, value string) {
	t.Helper()
	w.produce(t, w.topic, []event.Entry{{Key: []byte(key), Value: []byte(value)}})
}

// produce adds records to partition 0 of a topic, with their times where the
// topic keeps a producer's.
func (w *world) produce(t testing.TB, topic string, entries []event.Entry) {
	t.Helper()
	records := make([]devstacktest.Record, len(entries))
	for i, entry := range entries {
		records[i] = devstacktest.Record{Time: event.Instant(entry.Time).Time(), Key: entry.Key, Value: entry.Value}
	}
	devstacktest.Produce(t, strings.Split(w.kafka, ","), topic, records)
}

// execute changes the ledger behind the service's back.
func (w *world) execute(t *testing.T, statements ...string) {
	t.Helper()
	devstacktest.Execute(t, w.postgres, strings.Join(statements, ";\n"))
}

// TestVerifyFindsATamperedLedger changes one thing at a time in the database.
func TestVerifyFindsATamperedLedger(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 1)
		w.soldHere(t)
		if found := w.auditVerifies(t); found.Records < 10 || found.Decisions < 8 {
			t.Errorf("compared %+v", found)
		}
		tables := []string{"partitions", "products", "sales", "requests", "results", "starts", "batches"}
		for _, table := range tables {
			w.execute(t, fmt.Sprintf("CREATE TABLE kept_%s AS SELECT * FROM %s", table, table))
		}
		for _, change := range []struct {
			statement string
			subject   verify.Subject
		}{
			{`UPDATE requests SET buyer = buyer || 'x' WHERE state = 'expired'`, verify.OfRequest},
			{`UPDATE requests SET payment = 'another' WHERE payment = 'paid-4'`, verify.OfRequest},
			{`UPDATE requests SET state = 'confirmed' WHERE state = 'expired'`, verify.OfRequest},
			{`UPDATE requests SET decided_at = decided_at + 1 WHERE request = (SELECT max(request) FROM requests)`, verify.OfRequest},
			{`DELETE FROM requests WHERE state = 'confirmed' AND payment = 'paid-1'`, verify.OfRequest},
			{`INSERT INTO requests SELECT partition, 1, sale, product, buyer, quantity, accepted_at, state, reason, first, held_since, payment, cause, decided_at, granted, hold_for FROM requests WHERE payment = 'paid-1'`, verify.OfRequest},
			{`UPDATE results SET code = 'not_held' WHERE command = (SELECT max(command) FROM results)`, verify.OfResult},
			{`DELETE FROM results WHERE command = (SELECT min(command) FROM results)`, verify.OfResult},
			{`INSERT INTO results SELECT partition, 0, product, sale, request, code, decided_at FROM results LIMIT 1`, verify.OfResult},
			{`UPDATE sales SET held = held - 1, confirmed = confirmed + 1`, verify.OfSale},
			{`UPDATE sales SET sold_out = sold_out + 1`, verify.OfSale},
			{`UPDATE sales SET defaults = '[]'`, verify.OfSale},
			{`DELETE FROM sales`, verify.OfSale},
			{`UPDATE products SET partition = 7`, verify.OfBinding},
			{`DELETE FROM products`, verify.OfBinding},
			{`DELETE FROM batches WHERE from_offset = (SELECT max(from_offset) FROM batches)`, verify.OfBatch},
			{`UPDATE batches SET record_chain = sha256('x') WHERE from_offset = (SELECT min(from_offset) FROM batches)`, verify.OfBatch},
			{`UPDATE batches SET decision_chain = sha256('x') WHERE from_offset = (SELECT min(from_offset) FROM batches)`, verify.OfBatch},
			{`UPDATE partitions SET malformed = malformed + 1`, verify.OfPartition},
			{`UPDATE partitions SET log_time = log_time - 1`, verify.OfPartition},
			{`UPDATE partitions SET record_chain = sha256('x')`, verify.OfPartition},
			{`INSERT INTO starts SELECT partition, 99999, 1, 2 FROM partitions`, verify.OfStart},
		} {
			w.execute(t, change.statement)
			found := w.verify(t)
			if first := found.Partitions[0].FirstDifference; found.Equal || first == nil || first.Subject != change.subject {
				t.Errorf("%s: found %v, want a difference of a %s", change.statement, first, change.subject)
			}
			for _, table := range tables {
				w.execute(t, "TRUNCATE "+table)
				w.execute(t, fmt.Sprintf("INSERT INTO %s SELECT * FROM kept_%s", table, table))
			}
		}
		w.auditVerifies(t)
	})
}

// TestVerifyFindsATamperedLog puts logs in place of the one that was decided:
// each differs in one record, and that one is named.
func TestVerifyFindsATamperedLog(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 1)
		w.soldHere(t)
		whole := w.auditVerifies(t).Partitions[0]
		var entries []event.Entry
		w.read(t, 0, whole.To, func(e event.Entry) { entries = append(entries, e) })
		copied := func() []event.Entry { return slices.Clone(entries) }
		one := []byte(`"quantity":1`)
		at := slices.IndexFunc(entries, func(e event.Entry) bool { return bytes.Contains(e.Value, one) }) // a buy: where ticks are is chance
		for name, tampered := range map[string]func() []event.Entry{
			"nothing": copied,
			"a byte of a value": func() []event.Entry {
				c := copied()
				c[at].Value = bytes.Replace(c[at].Value, one, []byte(`"quantity":2`), 1)
				return c
			},
			"a time":         func() []event.Entry { c := copied(); c[at].Time++; return c },
			"a key":          func() []event.Entry { c := copied(); c[at].Key = []byte("rang"); return c },
			"one is missing": func() []event.Entry { c := copied(); return slices.Delete(c, at, at+1) },
			"two are swapped": func() []event.Entry {
				c := copied()
				c[at], c[at+1] = c[at+1], c[at]
				return c
			},
			"one is added":  func() []event.Entry { c := copied(); return slices.Insert(c, at, c[at-1]) },
			"the rest gone": func() []event.Entry { return copied()[:at] },
		} {
			v := w.withLog(t, strings.ReplaceAll(name, " ", "-"), tampered())
			found := v.verify(t).Partitions[0]
			switch first := found.FirstDifference; {
			case name == "nothing":
				if !found.Equal || found.RecordDigest != whole.RecordDigest {
					t.Errorf("a faithful copy: %+v", found)
				}
			case first == nil || first.Subject != verify.OfRecord || first.Offset != sale.Offset(at):
				t.Errorf("%s at %d: found %v", name, at, first)
			}
		}
	})
}

// withLog gives the world another log, as if the ledger had been made from it.
func (w *world) withLog(t *testing.T, name string, entries []event.Entry) *world {
	t.Helper()
	other := *w
	other.topic = w.topic + "." + name
	devstacktest.MakeTopic(t, strings.Split(w.kafka, ","), other.topic)
	other.produce(t, other.topic, entries)
	log, err := kafka.OpenHistory(t.Context(), kafka.Config{Brokers: strings.Split(w.kafka, ","), Topic: other.topic})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	w.execute(t, fmt.Sprintf(`UPDATE partitions SET topic = '\x%s'`, log.Topic()))
	return &other
}

// TestVerifyWithSnapshots goes on where retention has removed the first records;
// so does a rebuild.
func TestVerifyWithSnapshots(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 1)
		w.soldHere(t)
		folder := t.TempDir()
		var out, log bytes.Buffer
		if code := run(t.Context(), w.audit("verify", "--snapshots", folder, "--keep"), terminal{out: &out, err: &log}); code != exitDone {
			t.Fatalf("keeping ends with %d: %s%s", code, &out, &log)
		}
		whole := w.auditVerifies(t).Partitions[0]
		devstacktest.RemoveBefore(t, strings.Split(w.kafka, ","), w.topic, int64(whole.To-2))
		if code := run(t.Context(), w.audit("verify"), terminal{out: &out, err: &log}); code != exitFailed || !strings.Contains(log.String(), "retention has removed") {
			t.Errorf("without a snapshot it ends with %d: %s", code, &log)
		}
		w.soldAgain(t, "fay")
		out.Reset()
		if code := run(t.Context(), w.audit("verify", "--snapshots", folder), terminal{out: &out, err: &log}); code != exitDone {
			t.Errorf("with a snapshot it ends with %d: %s%s", code, &out, &log)
		}
		if want := fmt.Sprintf("partition 0  [%d, ", whole.To); !strings.Contains(out.String(), want) {
			t.Errorf("it says %q, want %q in it", &out, want)
		}

		devstacktest.Execute(t, w.postgres, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		rebuild := w.audit("rebuild", "--decisions-topic", decisionsTopicOf(w.topic))
		if code := run(t.Context(), rebuild, terminal{out: &out, err: &log}); code != exitFailed || !strings.Contains(log.String(), "needs a snapshot") {
			t.Errorf("a rebuild without a snapshot ends with %d: %s", code, &log)
		}
		if code := run(t.Context(), append(rebuild, "--snapshots", folder), terminal{out: &out, err: &log}); code != exitDone {
			t.Fatalf("a rebuild with a snapshot ends with %d: %s%s", code, &out, &log)
		}
		w.soldAgain(t, "gus")
		if code := run(t.Context(), w.audit("verify", "--snapshots", folder), terminal{out: &out, err: &log}); code != exitDone {
			t.Errorf("after the rebuild it ends with %d: %s%s", code, &out, &log)
		}
	})
}

// soldAgain runs the service for one more buy.
func (w *world) soldAgain(t *testing.T, buyer string) {
	t.Helper()
	s, err := newService(t.Context(), w.config(t, roles{ingress: true, allocator: true}))
	if err != nil {
		t.Fatal(err)
	}
	stop := w.runHere(t, s)
	ticket := buy(t, s.public.Addr().String(), "ring", buyer)
	await(t, buyer+"'s answer, for other systems too", func() bool {
		return state(t, s.public.Addr().String(), ticket) != "queued" &&
			devstacktest.Count(t, w.postgres, `SELECT count(*) FROM outbox`) == 0
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyRefuses says what it cannot do, and how to mend it.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devstacktest.Embedded(t), 1)
	other := newWorld(t, devstacktest.Embedded(t), 1)
	w.append(t, "", `{"type":"schema","version":99}`)
	w.decide(t, 1)
	for name, c := range map[string]struct {
		arguments []string
		code      int
		says      string
	}{
		"no log named":       {[]string{"audit", "verify"}, exitMisuse, "ANTEROOM_KAFKA_BROKERS"},
		"no ledger named":    {[]string{"audit", "verify", "--kafka-brokers", w.kafka, "--topic", w.topic}, exitMisuse, "ANTEROOM_POSTGRES_URL"},
		"keeping nowhere":    {w.audit("verify", "--keep"), exitMisuse, "--snapshots"},
		"an unknown product": {w.audit("verify", "--product", "lamp"), exitFailed, `product "lamp": no sale of the product is known`},
		"an unknown topic":   {append(w.audit("verify"), "--topic", "nowhere"), exitFailed, "the topic does not exist"},
		"another's ledger":   {append(w.audit("verify"), "--postgres-url", other.postgres), exitFailed, "made from another log"},
		"no product's name":  {w.audit("verify", "--product", "Lamp"), exitMisuse, `"Lamp"`},
	} {
		var out, log bytes.Buffer
		if code := run(t.Context(), c.arguments, terminal{out: &out, err: &log}); code != c.code || !strings.Contains(log.String(), c.says) {
			t.Errorf("%s: ends with %d and says %q, want %d and %q", name, code, &log, c.code, c.says)
		}
	}
	// What the ledger has not decided, because it cannot, is no difference.
	if found := w.auditVerifies(t).Partitions[0]; found.To != 1 || found.Undecided < 1 {
		t.Errorf("a log that goes on with a newer schema: %+v", found)
	}
}

// TestAuditInterrupted: whatever only reads says that it was interrupted, and
// changes nothing.
func TestAuditInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devstacktest.Embedded(t), 1)
	w.append(t, "ring", "garbage")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	folder := t.TempDir()
	log := []string{"--kafka-brokers", w.kafka, "--topic", w.topic}
	for _, arguments := range [][]string{
		w.audit("verify"),
		append([]string{"audit", "explain", "0-0"}, log...),
		append([]string{"audit", "export", "--output", filepath.Join(folder, "export")}, log...),
		append([]string{"audit", "fairness"}, log...),
		append([]string{"audit", "whatif", "--sale", "0-0", "--quantity", "2"}, log...),
	} {
		var out, complaints bytes.Buffer
		code := run(gone, arguments, terminal{out: &out, err: &complaints})
		if code != exitFailed || out.Len() > 0 || complaints.String() != "anteroom: interrupted; nothing was changed\n" {
			t.Errorf("%s: ends with %d and says %q and %q", arguments, code, &out, &complaints)
		}
	}
	if left := namesIn(t, folder); len(left) != 0 {
		t.Errorf("files: %v", left)
	}
}

// decide runs an allocator until it has decided so much.
func (w *world) decide(t testing.TB, watermark sale.Offset) {
	t.Helper()
	s, err := newService(t.Context(), w.config(t, roles{allocator: true}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	for decided := sale.Offset(-1); decided < watermark; {
		await(t, "more records being decided", func() bool {
			extract, err := w.reader.Since(t.Context(), 0, watermark, 1)
			further := err == nil && extract.Watermark > decided
			decided = max(decided, extract.Watermark)
			return further
		})
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
