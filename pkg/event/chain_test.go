package event_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

var update = flag.Bool("update", false, "write the digests of the golden logs anew")

// notChained are fields of decisions that the chain leaves out, since others say
// the same. TestWhatIsNotChained holds each to that.
var notChained = map[string]string{
	"Request.Cause":     "the decision's Cause",
	"Request.DecidedAt": "the decision's Time",
	"Result.Time":       "the decision's Time",
	"Start.Cause":       "the decision's Cause",
}

// decisionHead is the head of a chain over one decision.
func decisionHead(d sale.Decision) event.Digest {
	chain := event.NewChain(event.Digest{})
	chain.AddDecision(&d)
	return chain.Head()
}

func entryHead(e event.Entry) event.Digest {
	chain := event.NewChain(event.Digest{})
	chain.AddEntry(&e)
	return chain.Head()
}

// full gives a decision of a kind in which no field that it may have is empty.
func full(kind sale.Kind) sale.Decision {
	d := sale.Decision{Kind: kind}
	fill(reflect.ValueOf(&d).Elem())
	d.Kind = kind
	return d
}

// fill gives each field a value that no other one has.
func fill(of reflect.Value) {
	n := int64(3)
	var each func(reflect.Value)
	each = func(of reflect.Value) {
		for _, field := range of.Fields() {
			n++
			if field.Kind() == reflect.Struct {
				each(field)
			} else {
				set(field, n)
			}
		}
	}
	each(of)
}

func set(field reflect.Value, n int64) {
	switch field.Kind() { //nolint:exhaustive // the others are told of
	case reflect.Int, reflect.Int64:
		field.SetInt(n)
	case reflect.Uint8:
		field.SetUint(uint64(n))
	case reflect.Bool:
		field.SetBool(n > 0)
	case reflect.String:
		field.SetString(fmt.Sprint("text ", n))
	default:
		panic("fields of kind " + field.Kind().String() + " are not set yet")
	}
}

// kindOf says which kind of decision has a field.
var kindOf = map[string]sale.Kind{"Request": sale.OfRequest, "Result": sale.OfCommand, "Start": sale.OfStart}

// TestEveryFieldOfADecisionIsChained, but those that say what others say.
func TestEveryFieldOfADecisionIsChained(t *testing.T) {
	t.Parallel()
	left := make(map[string]string)
	for name, reason := range notChained {
		left[name] = reason
	}
	try := func(name string, kind sale.Kind, field func(*sale.Decision) reflect.Value) {
		d := full(kind)
		heads := []event.Digest{decisionHead(d)}
		value := field(&d)
		value.SetZero()
		heads = append(heads, decisionHead(d))
		if value.Kind() != reflect.Bool { // which has no more values
			set(value, 101)
			heads = append(heads, decisionHead(d))
		}
		distinct := make(map[event.Digest]bool)
		for _, head := range heads {
			distinct[head] = true
		}
		reason, out := notChained[name]
		delete(left, name)
		switch {
		case out && len(distinct) != 1:
			t.Errorf("%s is chained, though it is %s", name, reason)
		case !out && len(distinct) != len(heads):
			t.Errorf("%d values of %s give %d heads", len(heads), name, len(distinct))
		}
	}
	for field := range reflect.TypeFor[sale.Decision]().Fields() {
		name := field.Name
		if field.Type.Kind() != reflect.Struct {
			try(name, sale.OfRequest, func(d *sale.Decision) reflect.Value { return reflect.ValueOf(d).Elem().FieldByName(name) })
			continue
		}
		for inner := range field.Type.Fields() {
			try(name+"."+inner.Name, kindOf[name], func(d *sale.Decision) reflect.Value {
				return reflect.ValueOf(d).Elem().FieldByName(name).FieldByName(inner.Name)
			})
		}
	}
	for name := range left {
		t.Errorf("decisions have no field %s", name)
	}
}

// TestWhatIsNotChained is what other fields say.
func TestWhatIsNotChained(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for _, d := range decided(t, saletest.Entries(saletest.Log(t))) {
			switch {
			case d.Kind == sale.OfRequest && (d.Request.Cause != d.Cause || d.Request.DecidedAt != d.Time),
				d.Kind == sale.OfCommand && d.Result.Time != d.Time,
				d.Kind == sale.OfStart && d.Start.Cause != d.Cause:
				t.Fatalf("%+v", d)
			case d.Default && d.Kind != sale.OfRequest:
				t.Fatalf("no request, and yet a default: %+v", d)
			}
		}
	})
}

// decided decides a log, up to a record that the core does not know.
func decided(t interface{ Fatal(...any) }, entries []event.Entry) []sale.Decision {
	core := sale.New()
	var changes sale.Changes
	for i := range entries {
		if err := core.Apply(entries[i].Record(), &changes); err != nil {
			t.Fatal(err)
		}
	}
	return changes.Decisions
}

// drawn draws a decision whose fields are often empty, or part of what another
// one's are.
func drawn(t *rapid.T, name string) sale.Decision {
	d := sale.Decision{Kind: rapid.SampledFrom([]sale.Kind{sale.OfRequest, sale.OfCommand, sale.OfStart}).Draw(t, name)}
	var each func(reflect.Value)
	each = func(of reflect.Value) {
		for _, field := range of.Fields() {
			switch field.Kind() { //nolint:exhaustive // the others are told of
			case reflect.Struct:
				each(field)
			case reflect.Int, reflect.Int64:
				field.SetInt(rapid.SampledFrom([]int64{0, 0, 0, -1, 1, 8, 64, -64, 1<<63 - 1, -1 << 63}).Draw(t, name))
			case reflect.String:
				field.SetString(rapid.SampledFrom([]string{"", "", "\x00", "\x08", "a", "\x01a", "a\x09\x01a"}).Draw(t, name))
			case reflect.Bool:
				field.SetBool(rapid.Bool().Draw(t, name))
			case reflect.Uint8: // the kind
			default:
				t.Fatalf("fields of kind %s are not drawn yet", field.Kind())
			}
		}
	}
	each(reflect.ValueOf(&d).Elem())
	return d
}

// chained leaves of a decision what the chain is over.
func chained(d sale.Decision) sale.Decision {
	kept := sale.Decision{Cause: d.Cause, Index: d.Index, Time: d.Time, Kind: d.Kind}
	switch d.Kind {
	case sale.OfRequest:
		kept.Default, kept.Request = d.Default, d.Request
		kept.Request.Cause, kept.Request.DecidedAt = 0, 0
	case sale.OfCommand:
		kept.Result = d.Result
		kept.Result.Time = 0
	case sale.OfStart:
		kept.Start = d.Start
		kept.Start.Cause = 0
	}
	return kept
}

// TestDecisionsDoNotCollide: where one field ends and the next begins cannot be
// shifted.
func TestDecisionsDoNotCollide(t *testing.T) {
	t.Parallel()
	seen := make(map[event.Digest]sale.Decision)
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			d := drawn(t, "decision")
			head := decisionHead(d)
			if other, known := seen[head]; known && chained(other) != chained(d) {
				t.Fatalf("the same head:\n%+v\n%+v", other, d)
			}
			seen[head] = d
		}
	})
}

// TestFieldsAreNotShifted tries the pairs that a plainer encoding would take for
// the same.
func TestFieldsAreNotShifted(t *testing.T) {
	t.Parallel()
	of := func(r sale.Request) sale.Decision { return sale.Decision{Kind: sale.OfRequest, Request: r} }
	pairs := []struct {
		what string
		a, b sale.Decision
	}{
		{"product and buyer", of(sale.Request{Product: "ab"}), of(sale.Request{Product: "a", Buyer: "b"})},
		{"what the name of the next field would be", of(sale.Request{Product: "a", Buyer: "b"}), of(sale.Request{Product: "a\x09\x01b"})},
		{"none and the first offset", of(sale.Request{First: sale.None}), of(sale.Request{First: 0})},
		{"two offsets", of(sale.Request{First: 5, Granted: sale.None}), of(sale.Request{First: sale.None, Granted: 5})},
		{"two numbers", of(sale.Request{Quantity: 5}), of(sale.Request{AcceptedAt: 5})},
		{"a number and its negative", of(sale.Request{Quantity: 1}), of(sale.Request{Quantity: -1})},
		{"time and kind", sale.Decision{Kind: sale.OfStart, Time: 1}, sale.Decision{Kind: sale.OfCommand, Time: 0}},
	}
	for _, p := range pairs {
		if decisionHead(p.a) == decisionHead(p.b) {
			t.Errorf("%s: the same head", p.what)
		}
	}
}

// TestEveryFieldOfAnEntryIsChained, and none can be shifted into the next.
func TestEveryFieldOfAnEntryIsChained(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[event.Entry]().Fields() {
		e := event.Entry{Offset: 1, Time: 2, Key: []byte("key"), Value: []byte("value")}
		was := entryHead(e)
		value := reflect.ValueOf(&e).Elem().FieldByIndex(field.Index)
		if value.Kind() == reflect.Slice {
			value.SetBytes(append(slices.Clone(value.Bytes()), 0))
		} else {
			value.SetInt(value.Int() + 1<<40)
		}
		if entryHead(e) == was {
			t.Errorf("%s is not chained", field.Name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a'}), 0, 12)
		draw := func() event.Entry {
			return event.Entry{
				Offset: sale.Offset(rapid.Int64Range(0, 2).Draw(t, "offset")), Time: sale.Time(rapid.Int64Range(-1, 2).Draw(t, "time")),
				Key: bytesOf.Draw(t, "key"), Value: bytesOf.Draw(t, "value"),
			}
		}
		a, b := draw(), draw()
		same := a.Offset == b.Offset && a.Time == b.Time && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
		if (entryHead(a) == entryHead(b)) != same {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
	a := event.Entry{Value: append(binary.BigEndian.AppendUint64([]byte("k"), 1), 'v')}
	b := event.Entry{Key: a.Value[:1], Value: []byte("v")}
	if entryHead(a) == entryHead(b) {
		t.Error("the key can be shifted into the value")
	}
}

// TestChainsGoOnFromAHead: wherever one stops and another goes on, the heads
// that follow are those of one chain over all.
func TestChainsGoOnFromAHead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := saletest.Entries(saletest.Log(t))
		decisions := decided(t, entries)
		records, parts := event.NewChain(event.Digest{}), event.NewChain(event.Digest{})
		seen := map[event.Digest]bool{{}: true}
		for i := range entries {
			if rapid.IntRange(0, 3).Draw(t, "stops at 0") == 0 {
				parts = event.NewChain(parts.Head())
			}
			records.AddEntry(&entries[i])
			parts.AddEntry(&entries[i])
			if records.Head() != parts.Head() {
				t.Fatalf("at record %d the heads are %v and %v", i, records.Head(), parts.Head())
			}
			if seen[records.Head()] {
				t.Fatalf("record %d leads back to an earlier head", i)
			}
			seen[records.Head()] = true
			head := records.Head()
			if mark := records.AppendMark([]byte("marks")); string(mark) != "marks"+string(head[:event.MarkBytes]) {
				t.Fatalf("the mark of %v is %x", head, mark)
			}
		}
		all, parts := event.NewChain(event.Digest{}), event.NewChain(event.Digest{})
		for i := range decisions {
			if rapid.IntRange(0, 3).Draw(t, "stops at 0") == 0 {
				parts = event.NewChain(parts.Head())
			}
			all.AddDecision(&decisions[i])
			parts.AddDecision(&decisions[i])
			if all.Head() != parts.Head() {
				t.Fatalf("at decision %d the heads are %v and %v", i, all.Head(), parts.Head())
			}
		}
	})
}

// TestGoldenDigests: what is in testdata/logs has the same heads for ever.
func TestGoldenDigests(t *testing.T) {
	t.Parallel()
	logs := goldenLogs(t)
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		entries := logs[name]
		records, decisions := event.NewChain(event.Digest{}), event.NewChain(event.Digest{})
		for i := range entries {
			records.AddEntry(&entries[i])
		}
		for _, d := range decided(t, entries) {
			decisions.AddDecision(&d)
		}
		fmt.Fprintf(&got, "%s %s %s\n", name, records.Head(), decisions.Head())
	}
	path := filepath.Join("..", "..", "testdata", "digests.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("digests differ (-%s +replay):\n%s", path, diff)
	}
}
