package export

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// TestGoldenLogs exports all golden logs, as partitions of one, and
// decides the export again.
func TestGoldenLogs(t *testing.T) {
	t.Parallel()
	var l testLog
	records := 0
	for _, path := range audittest.Files(t, audittest.Golden) {
		l = append(l, audittest.File(t, path))
		records += len(l[len(l)-1])
	}
	report := check(t, l.export(t))
	if !report.Equal || report.FirstDifference != nil || report.Records != int64(records) || len(report.Partitions) != len(l) {
		t.Errorf("%+v, first difference %+v", report, report.FirstDifference)
	}
	for i, p := range report.Partitions {
		records, decisions := chainsOf(l[i])
		if p.RecordDigest != records || p.DecisionDigest != decisions || !p.Equal {
			t.Errorf("partition %d: %+v, the chains are %s and %s", i, p, records, decisions)
		}
	}
}

// chainsOf computes the heads of both chains.
func chainsOf(entries []event.Entry) (records, decisions string) {
	ofRecords, ofDecisions, core := event.NewChain(event.Digest{}), event.NewChain(event.Digest{}), sale.New()
	for i := range entries {
		ofRecords.AddEntry(&entries[i])
		var changes sale.Changes
		if err := core.Apply(entries[i].Record(), &changes); err != nil {
			panic(err)
		}
		for j := range changes.Decisions {
			ofDecisions.AddDecision(&changes.Decisions[j])
		}
	}
	return ofRecords.Head().String(), ofDecisions.Head().String()
}

// TestAnyLog exports random logs from any offset to any other.
func TestAnyLog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		entries := saletest.Entries(saletest.Log(rt))
		if len(entries) == 0 {
			return
		}
		to := sale.Offset(rapid.IntRange(1, len(entries)).Draw(rt, "to"))
		from := sale.Offset(rapid.IntRange(0, int(to)-1).Draw(rt, "from"))
		export := testLog{entries}.export(t, audit.Extent{From: from, To: to})
		report := check(t, export)
		if !report.Equal || report.Records != int64(to-from) {
			rt.Fatalf("%+v: %+v", report, report.FirstDifference)
		}
		records, decisions := chainsOf(entries[:to])
		if p := report.Partitions[0]; p.RecordDigest != records || p.DecisionDigest != decisions {
			rt.Fatalf("the digests of [%d, %d) are not those of [0, %d)", from, to, to)
		}
	})
}

// TestKeepsBytes shows that what is not text comes back as it was.
func TestKeepsBytes(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "plain", "\xff\xfe", "\x00\x01\n\r\u2028", "\"\\/<&>", "\uFFFD", "a\xc0b", "\ud7ff\ue000\U0001F600"} {
		e := event.Entry{Offset: 3, Time: -5, Key: []byte(raw), Value: []byte(raw)}
		line := testLog{{{Key: []byte(raw), Value: []byte(raw)}}}.export(t)
		if report := check(t, line); !report.Equal {
			t.Errorf("%q: %+v", raw, report.FirstDifference)
		}
		var x recordLine
		x.setEntry(&e)
		if back, err := x.entry(); err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("%q came back as %q, %q (%v)", raw, back.Key, back.Value, err)
		}
	}
}

// TestTable shows the rows of one log, of which an operator, a refused
// command and requests with and without rows are part.
func TestTable(t *testing.T) {
	t.Parallel()
	entries := goldenEntries(t, "extend")
	add := func(key, value string) {
		last := entries[len(entries)-1]
		entries = append(entries, event.Entry{Offset: last.Offset + 1, Time: last.Time + 1, Key: []byte(key), Value: []byte(value)})
	}
	first := len(entries)
	add("ring", `{"type":"sale.close","sale":1,"actor":"olga","reason":"enough, \"really\"\nfor today"}`)
	add("ring", `{"type":"buy","sale":1,"buyer":"zoe","quantity":1,"accepted_at":1767225600000}`)
	add("lamp", `{"type":"sale.close","sale":1}`)
	add("", "garbage")
	h := &audit.History{Log: testLog{entries}}
	table := func(product sale.Product) [][]string {
		var out bytes.Buffer
		if err := WriteTable(t.Context(), h, []audit.Extent{{From: sale.Offset(first), To: sale.Offset(len(entries))}}, product, &out); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Count(text, "\n") == 0 || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
			t.Errorf("lines do not end as RFC 4180 has it: %q", text)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	rows := table("")
	at := rows[1][3]
	want := [][]string{
		columns,
		{"0", number(first), "0", at, "sale.close", "olga", "enough, \"really\"\nfor today", "command", "ring", "0-1", "", "", "", "", "", "", "", "", "", "", "done", ""},
		{"0", number(first + 1), "0", rows[2][3], "buy", "", "", "request", "ring", "0-1", "0-" + number(first+1), "rejected", "closed", "true", "1", "", "", "", "", "", "", ""},
		{"0", number(first + 2), "0", rows[3][3], "sale.close", "", "", "command", "lamp", "", "", "", "", "", "", "", "", "", "", "", "unknown_sale", ""},
		{"0", number(first + 3), "0", rows[4][3], "malformed", "", "", "request", "", "", "0-" + number(first+3), "rejected", "malformed", "", "", "", "", "", "", "", "", ""},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if got := table("ring"); len(got) != 3 {
		t.Errorf("of the ring alone: %v", got)
	}
}

// TestSnapshotsCutNothingShort shows that a snapshot is not taken for
// the records that it stands for.
func TestSnapshotsCutNothingShort(t *testing.T) {
	t.Parallel()
	l := testLog{goldenEntries(t, "extend")}
	end := sale.Offset(len(l[0]))
	h := &audit.History{Log: l, Snapshots: audittest.Snapshot{Entries: l[0], At: end}}
	var out bytes.Buffer
	if err := Write(t.Context(), h, []audit.Extent{{To: end}}, "test", &out); err != nil {
		t.Fatal(err)
	}
	if report := check(t, out.Bytes()); !report.Equal || report.Records != int64(end) {
		t.Errorf("%+v", report)
	}
}

// TestPartitionOf finds a product by the log alone.
func TestPartitionOf(t *testing.T) {
	t.Parallel()
	lamp := []event.Entry{{Key: []byte("ring"), Value: []byte("garbage")}}
	h := &audit.History{Log: testLog{lamp, nil, goldenEntries(t, "extend")}}
	for product, want := range map[sale.Product]int32{"ring": 2, "cup": -1} {
		if partition, found, err := h.PartitionOf(t.Context(), product); err != nil || found != (want >= 0) || found && partition != want {
			t.Errorf("%s: partition %d, %v, %v", product, partition, found, err)
		}
	}
}

// TestHexDigest shows that a digest is written in one way.
func TestHexDigest(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("0a", 32)
	for text, ok := range map[string]bool{good: true, strings.ToUpper(good): false, good[2:]: false, good + "00": false, "x" + good[1:]: false, "": false} {
		var d hexDigest
		if err := d.UnmarshalText([]byte(text)); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestNoExport shows what is refused as a whole.
func TestNoExport(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                 "first line",
		"{\"offset\":0}\n": "first line",
		"PK\x03\x04":       "first line",
		`{"export":{"format":2,"log":"","program":"","partitions":[],"more":1}}` + "\n": "it has format 2, this program knows 1",
		`{"export":{"format":1,"log":"","program":"","partitions":[],"more":1}}` + "\n": "more",
	} {
		_, err := Check(t.Context(), strings.NewReader(text), nil)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLineReader reads lines that are longer than its buffer, and none that are
// longer than they may be.
func TestLineReader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*bufferSize+1)
	read := func(most int) (lines []string, err error) {
		l := newLineReader(strings.NewReader("a\n"+long+"\n\nend"), 100)
		l.most = most
		for {
			line, err := l.next()
			if err != nil {
				if l.position != int64(100+len(strings.Join(lines, ""))) || l.number != int64(len(lines)) {
					t.Errorf("line %d, position %d after %d lines", l.number, l.position, len(lines))
				}
				return lines, err
			}
			lines = append(lines, string(line))
		}
	}
	lines, err := read(len(long) + 1)
	if !errors.Is(err, io.EOF) || !slices.Equal(lines, []string{"a\n", long + "\n", "\n", "end"}) {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	l := newLineReader(strings.NewReader(long), 0)
	l.most = len(long) - 1
	if _, err := l.next(); !errors.Is(err, ErrFormat) {
		t.Errorf("a line that is too long: %v", err)
	}
}

// TestLaterSchema shows that a log that this program is too old for is
// no difference.
func TestLaterSchema(t *testing.T) {
	t.Parallel()
	entry := event.Entry{Key: []byte{}, Value: []byte(`{"type":"schema","version":99}`)}
	chain := event.NewChain(event.Digest{})
	chain.AddEntry(&entry)
	var out bytes.Buffer
	w := newWriter(&out)
	record := recordLine{Mark: markOf(chain.Head())}
	record.setEntry(&entry)
	for _, line := range []line{
		{Export: &headLine{Format: Format, Partitions: []partitionEnd{{To: 1}}}}, {Begin: &beginLine{}}, {Record: &record},
	} {
		if err := w.write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), &out, nil); !errors.Is(err, sale.ErrSchemaTooNew) {
		t.Errorf("%v, want ErrSchemaTooNew", err)
	}
}
