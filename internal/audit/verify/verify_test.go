package verify_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// run is a log and the ledger that its first records made.
type run struct {
	entries  []event.Entry
	end      sale.Offset // what is below it is decided
	upgraded sale.Offset // what is below it is older than the chains
	ledger   *memoryLedger
}

func draw(t *rapid.T) run {
	entries := saletest.Entries(saletest.Log(t))
	end := sale.Offset(rapid.IntRange(0, len(entries)).Draw(t, "decided"))
	upgraded := sale.Offset(0)
	if rapid.IntRange(0, 3).Draw(t, "upgraded at 0") == 0 {
		upgraded = sale.Offset(rapid.IntRange(0, int(end)).Draw(t, "upgraded"))
	}
	cuts := rapid.SliceOfN(rapid.IntRange(0, 5), len(entries), len(entries)).Draw(t, "cuts at 0")
	ledger := foldUpgraded(t, entries, end, upgraded, func(i int) bool { return cuts[i] == 0 })
	return run{entries: entries, end: end, upgraded: upgraded, ledger: ledger}
}

// TestVerifyFindsAnHonestLedgerEqual whatever its batches, and however far it
// has come.
func TestVerifyFindsAnHonestLedgerEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		verdict := verdictOf(t, r.entries, r.ledger)
		if !verdict.Equal {
			t.Fatalf("found %s", verdict.FirstDifference)
		}
		if verdict.From != 0 || verdict.To != r.end || verdict.Undecided != int64(len(r.entries))-int64(r.end) {
			t.Fatalf("compared [%d, %d) of %d and left %d", verdict.From, verdict.To, r.end, verdict.Undecided)
		}
	})
}

// TestVerifyFindsTamperedRecords changes the log behind a ledger: each change is
// found at the record where it begins.
func TestVerifyFindsTamperedRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		if r.upgraded == r.end {
			t.Skip("nothing is chained")
		}
		at := rapid.IntRange(int(r.upgraded), int(r.end)-1).Draw(t, "at")
		tampered := slices.Clone(r.entries)
		entry := &tampered[at]
		switch how := rapid.SampledFrom([]string{"value", "key", "time", "removed", "removed and closed up", "added", "swapped", "cut off"}).Draw(t, "how"); how {
		case "value":
			entry.Value = flipped(t, entry.Value)
		case "key":
			entry.Key = flipped(t, entry.Key)
		case "time":
			entry.Time++
		case "removed":
			if at+1 == len(tampered) {
				t.Skip("that is cut off")
			}
			tampered = slices.Delete(tampered, at, at+1)
		case "removed and closed up":
			if at+1 == len(tampered) || same(tampered[at], tampered[at+1]) {
				t.Skip("nothing is changed at this record")
			}
			tampered = renumbered(slices.Delete(tampered, at, at+1))
		case "added":
			tampered = renumbered(slices.Insert(tampered, at, event.Entry{Key: []byte("ring"), Value: []byte(`{"type":"tick"}x`)}))
		case "swapped":
			if at+1 == len(tampered) || same(tampered[at], tampered[at+1]) {
				t.Skip("nothing is changed")
			}
			tampered[at], tampered[at+1] = tampered[at+1], tampered[at]
			renumbered(tampered)
		case "cut off":
			tampered = tampered[:at]
		}
		found := verdictOf(t, tampered, r.ledger).FirstDifference
		if found == nil || found.Offset != sale.Offset(at) || found.Subject != verify.OfRecord {
			t.Fatalf("record %d of %d: found %v", at, r.end, found)
		}
	})
}

func same(a, b event.Entry) bool {
	return a.Time == b.Time && string(a.Key) == string(b.Key) && string(a.Value) == string(b.Value)
}

func renumbered(entries []event.Entry) []event.Entry {
	for i := range entries {
		entries[i].Offset = sale.Offset(i)
	}
	return entries
}

// flipped changes one bit.
func flipped(t *rapid.T, bytes []byte) []byte {
	if len(bytes) == 0 {
		return []byte{0}
	}
	changed := slices.Clone(bytes)
	changed[rapid.IntRange(0, len(bytes)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	return changed
}

// TestVerifyFindsTamperedRows changes one row of the ledger: each is found, and
// named.
func TestVerifyFindsTamperedRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		l := r.ledger.copied()
		subject, name := tamper(t, l)
		if subject == "" {
			t.Skip("there is no such row")
		}
		found := verdictOf(t, r.entries, l).FirstDifference
		if found == nil {
			t.Fatalf("nothing is found of %s %s", subject, name)
		}
		if found.Subject != subject || name != "" && found.Name != name {
			t.Fatalf("%s %s: found %s", subject, name, found)
		}
	})
}

// tamper changes a row and gives what was changed.
func tamper(t *rapid.T, l *memoryLedger) (verify.Subject, string) {
	switch subject := rapid.SampledFrom([]verify.Subject{
		verify.OfRequest, verify.OfRequest, verify.OfResult, verify.OfSale, verify.OfStart, verify.OfBatch, verify.OfPartition, verify.OfBinding,
	}).Draw(t, "subject"); subject {
	case verify.OfRequest:
		at, ok := tamperRow(t, l.requests[0], func(r *sale.Request) sale.Offset { return r.Offset })
		if !ok {
			return "", ""
		}
		return subject, publicID(at)
	case verify.OfResult:
		at, ok := tamperRow(t, l.results[0], func(r *sale.Result) sale.Offset { return r.Command })
		if !ok {
			return "", ""
		}
		return subject, publicID(at)
	case verify.OfSale:
		at, ok := tamperRow(t, l.sales[0], func(s *sale.Sale) sale.Offset { return s.ID })
		if !ok {
			return "", ""
		}
		return subject, publicID(at)
	case verify.OfStart:
		least := l.partitions[0].OldestStart
		live := slices.IndexFunc(l.starts[0], func(s sale.Start) bool { return s.Below >= least })
		switch {
		case rapid.Bool().Draw(t, "added"):
			l.starts[0] = append(l.starts[0], sale.Start{Below: l.partitions[0].Next + 7})
		case live < 0:
			return "", ""
		case rapid.Bool().Draw(t, "removed"):
			l.starts[0] = slices.Delete(l.starts[0], live, live+1)
		default:
			l.starts[0][live].At++
		}
		return subject, ""
	case verify.OfBatch:
		if len(l.batches[0]) == 0 {
			return "", ""
		}
		return subject, tamperBatch(t, l)
	case verify.OfPartition:
		row := &l.partitions[0]
		changeField(t, reflect.ValueOf(row).Elem(), func(name string) bool {
			// Where it is, and where to, are what the comparison goes by; who owns
			// it is of no log; where its chains begin moves all of them.
			return !slices.Contains([]string{"Partition", "Topic", "Next", "Rebuilding", "Stopped", "ChainStart"}, name)
		})
		return subject, ""
	case verify.OfBinding:
		for _, product := range slices.Sorted(maps.Keys(l.bindings)) {
			delete(l.bindings, product)
			return subject, string(product)
		}
	case verify.OfRecord, verify.OfDecisions: // which are no rows
	}
	return "", ""
}

// tamperRow changes, adds or removes a row, and gives its name.
func tamperRow[Row any](t *rapid.T, rows map[sale.Offset]Row, name func(*Row) sale.Offset) (sale.Offset, bool) {
	if len(rows) == 0 {
		return 0, false
	}
	at := rapid.SampledFrom(slices.Sorted(maps.Keys(rows))).Draw(t, "row")
	row := rows[at]
	switch rapid.IntRange(0, 3).Draw(t, "removed at 0, added at 1") {
	case 0:
		delete(rows, at)
	case 1:
		other := row
		free := sale.Offset(0)
		for ; ; free++ {
			if _, taken := rows[free]; !taken {
				break
			}
		}
		reflect.ValueOf(&other).Elem().FieldByNameFunc(func(field string) bool {
			return field == nameField(row)
		}).SetInt(int64(free))
		rows[free] = other
		return free, true
	default:
		changeField(t, reflect.ValueOf(&row).Elem(), func(field string) bool { return field != nameField(row) })
		rows[at] = row
	}
	return name(&row), true
}

func nameField(row any) string {
	switch row.(type) {
	case sale.Result:
		return "Command"
	case sale.Sale:
		return "ID"
	}
	return "Offset"
}

// changeField gives one of a struct's fields another value.
func changeField(t *rapid.T, row reflect.Value, may func(name string) bool) {
	var names []string
	for _, field := range reflect.VisibleFields(row.Type()) {
		if !field.Anonymous && may(field.Name) {
			names = append(names, field.Name)
		}
	}
	field := row.FieldByName(rapid.SampledFrom(names).Draw(t, "field"))
	switch field.Kind() { //nolint:exhaustive // the others are told of
	case reflect.Int, reflect.Int64:
		field.SetInt(field.Int() + int64(rapid.SampledFrom([]int{-1, 1}).Draw(t, "by")))
	case reflect.String:
		field.SetString(field.String() + "x")
	case reflect.Array:
		field.Index(5).SetUint(field.Index(5).Uint() ^ 4)
	case reflect.Slice:
		field.Set(reflect.Append(copyOf(field), reflect.Zero(field.Type().Elem())))
	case reflect.Struct:
		changeField(t, field, func(string) bool { return true })
	default:
		t.Fatalf("fields of kind %s are not changed yet", field.Kind())
	}
}

// copyOf gives a copy, so that what shares the slice does not change.
func copyOf(of reflect.Value) reflect.Value {
	copied := reflect.MakeSlice(of.Type(), of.Len(), of.Len())
	reflect.Copy(copied, of)
	return copied
}

func tamperBatch(t *rapid.T, l *memoryLedger) string {
	at := rapid.IntRange(0, len(l.batches[0])-1).Draw(t, "batch")
	row := &l.batches[0][at]
	switch rapid.SampledFrom([]string{"removed", "added", "marks", "fewer marks", "records", "decisions", "both", "from", "to"}).Draw(t, "how") {
	case "removed":
		l.batches[0] = slices.Delete(l.batches[0], at, at+1)
	case "added":
		other := *row
		other.To++
		l.batches[0] = slices.Insert(l.batches[0], at, other)
	case "marks":
		row.Marks[rapid.IntRange(0, len(row.Marks)-1).Draw(t, "mark")] ^= 1
	case "fewer marks":
		row.Marks = row.Marks[1:]
	case "records":
		row.RecordChain[0] ^= 1
	case "decisions":
		row.DecisionChain[0] ^= 1
	case "both":
		row.RecordChain[0] ^= 1
		row.DecisionChain[0] ^= 1
	case "from":
		row.From++
	case "to":
		row.To++
	}
	return ""
}
