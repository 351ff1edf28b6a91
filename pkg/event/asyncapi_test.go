package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// description is the AsyncAPI document, with the schemas of its messages.
type description struct {
	document map[string]any
	records  map[string]message
	events   map[string]message
}

type message struct {
	value    *jsonschema.Schema
	key      *jsonschema.Schema // nil where any key will do
	examples []any
}

// at follows a JSON pointer's members.
func at(t testing.TB, in any, path ...string) any {
	t.Helper()
	for _, name := range path {
		members, _ := in.(map[string]any)
		next, ok := members[name]
		if !ok {
			t.Fatalf("there is no %s in %s", name, strings.Join(path, "/"))
		}
		in = next
	}
	return in
}

// described reads the document. Its schemas are open to members that come
// later; here they are closed, so that what is not described is found.
func described(t testing.TB) description {
	t.Helper()
	var raw any
	if err := yaml.Unmarshal(event.AsyncAPI(), &raw); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	at(t, document, "components", "schemas", "SaleSnapshot").(map[string]any)["unevaluatedProperties"] = false

	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	const name = "urn:asyncapi"
	if err := compiler.AddResource(name, document); err != nil {
		t.Fatal(err)
	}
	d := description{document: document.(map[string]any)}
	channel := func(channel string) map[string]message {
		of := make(map[string]message)
		for kind := range at(t, document, "channels", channel, "messages").(map[string]any) {
			reference := at(t, document, "channels", channel, "messages", kind, "$ref")
			if reference != "#/components/messages/"+kind {
				t.Errorf("%s refers to %v", kind, reference)
			}
			about := at(t, document, "components", "messages", kind).(map[string]any)
			closed := "urn:closed:" + kind
			if err := compiler.AddResource(closed, map[string]any{
				"allOf":                 []any{map[string]any{"$ref": name + "#/components/messages/" + kind + "/payload"}},
				"unevaluatedProperties": false,
			}); err != nil {
				t.Fatal(err)
			}
			m := message{value: compiled(t, compiler, closed)}
			if about["bindings"] != nil {
				m.key = compiled(t, compiler, name+at(t, about, "bindings", "$ref").(string)+"/kafka/key")
			}
			for _, example := range about["examples"].([]any) {
				m.examples = append(m.examples, at(t, example, "payload"))
			}
			of[kind] = m
		}
		return of
	}
	d.records, d.events = channel("requests"), channel("decisions")
	return d
}

func compiled(t testing.TB, compiler *jsonschema.Compiler, name string) *jsonschema.Schema {
	t.Helper()
	schema, err := compiler.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// misfit says why a key and a value are not what the document describes as one
// of these messages, or is nil.
func misfit(of map[string]message, key, value []byte) error {
	var head struct {
		Type string `json:"type"`
	}
	if err := readable(value); err != nil {
		return err
	}
	if err := json.Unmarshal(value, &head); err != nil {
		return err
	}
	m, ok := of[head.Type]
	if !ok {
		return fmt.Errorf("type %q is not described", head.Type)
	}
	if m.key != nil && (len(key) > 0 || !optionalKey(head.Type)) {
		if err := m.key.Validate(string(key)); err != nil {
			return fmt.Errorf("the key: %w", err)
		}
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return err
	}
	return m.value.Validate(instance)
}

// optionalKey: a record that cannot be read is decided about no product.
func optionalKey(kind string) bool { return kind == string(event.RequestRejected) }

// readable refuses what the document says of a record's text in words, because
// no schema can.
func readable(value []byte) error {
	if !bytes.HasPrefix(value, []byte(`{"`)) {
		return fmt.Errorf("%.20q does not begin an object", value)
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(value))
	if err := decoder.SkipValue(); err != nil {
		return err
	}
	if rest := value[decoder.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%.20q follows", rest)
	}
	for decoder := jsontext.NewDecoder(bytes.NewReader(value)); ; {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil // its end
		}
		if token.Kind() == '0' && strings.ContainsAny(token.String(), ".eE") {
			return fmt.Errorf("%s is not written as an integer", token)
		}
	}
}

// recordMisfit is misfit for the log, where the type comes first.
func (d *description) recordMisfit(entry event.Entry) error {
	if !bytes.HasPrefix(entry.Value, []byte(`{"type":"`)) {
		return fmt.Errorf("%.20q does not begin with a type", entry.Value)
	}
	return misfit(d.records, entry.Key, entry.Value)
}

// lastPlace is where a record is judged by itself: no offset is too large for a
// tick there.
const lastPlace = sale.Offset(math.MaxInt64 - 1)

// malformed reports whether the core cannot make sense of a record, whatever
// came before it: under the newest schema, at the log's far end.
func malformed(t require, entry event.Entry) bool {
	t.Helper()
	core, err := sale.Restore(sale.Snapshot{Next: lastPlace, Schema: sale.NewestSchema})
	if err != nil {
		t.Fatal(err)
	}
	entry.Offset = lastPlace
	record := entry.Record()
	if schema, ok := record.Body.(sale.Schema); ok && schema.Version > sale.NewestSchema {
		return false // a newer program knows it
	}
	var changes sale.Changes
	if err := core.Apply(record, &changes); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(changes.Decisions, func(d sale.Decision) bool {
		return d.Kind == sale.OfRequest && d.Request.Reason == sale.ReasonMalformed
	})
}

// require is what tests and property tests have in common.
type require interface {
	Helper()
	Fatal(...any)
	Errorf(string, ...any)
}

// check compares the document's judgement of a record with the core's.
func (d *description) check(t require, entry event.Entry) (fits bool) {
	t.Helper()
	if tick, ok := event.Decode(entry.Value).(sale.Tick); ok && tick.Committed > lastPlace {
		return false // it is said in words
	}
	misfit := d.recordMisfit(entry)
	switch malformed := malformed(t, entry); {
	case malformed && misfit == nil:
		t.Errorf("record %d, key %q: the core cannot read %s, and the document describes it", entry.Offset, entry.Key, entry.Value)
	case !malformed && misfit != nil:
		t.Errorf("record %d, key %q: the core reads %s, and the document does not: %v", entry.Offset, entry.Key, entry.Value, misfit)
	}
	return misfit == nil
}

// goldenLogs gives every log in testdata.
func goldenLogs(t *testing.T) map[string][]event.Entry {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "logs", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	logs := make(map[string][]event.Entry)
	for _, file := range files {
		if strings.HasSuffix(file, ".decisions.jsonl") {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		for line := range bytes.Lines(contents(t, file)) {
			var r struct {
				Offset     sale.Offset
				Time       sale.Time
				Key, Value string
			}
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			logs[name] = append(logs[name], event.Entry{Offset: r.Offset, Time: r.Time, Key: []byte(r.Key), Value: []byte(r.Value)})
		}
	}
	if len(logs) == 0 {
		t.Fatal("there are no golden logs")
	}
	return logs
}

// TestGoldenRecordsAreDescribed: what the core can read is described, and what
// it cannot read is not.
func TestGoldenRecordsAreDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	seen := make(map[string]bool)
	unreadable := 0
	for _, log := range goldenLogs(t) {
		for _, entry := range log {
			if !d.check(t, entry) {
				unreadable++
				continue
			}
			kind, _, _ := strings.Cut(strings.TrimPrefix(string(entry.Value), `{"type":"`), `"`)
			seen[kind] = true
		}
	}
	if unreadable < 30 {
		t.Errorf("%d records that cannot be read, expected those of the log named so", unreadable)
	}
	for kind := range d.records {
		if !seen[kind] {
			t.Errorf("no golden log has a record of type %s", kind)
		}
	}
}

// TestEncodedRecordsAreDescribed draws bodies of every type, sensible and not.
func TestEncodedRecordsAreDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	rapid.Check(t, func(t *rapid.T) {
		value, err := event.Encode(drawBody(t))
		if err != nil {
			t.Fatal(err)
		}
		key := rapid.SampledFrom([]string{"ring", "", "-", "Ring"}).Draw(t, "key")
		d.check(t, event.Entry{Key: []byte(key), Value: value})
	})
}

// TestRandomLogsAreDescribed: the records of random logs, and what is published
// of them however they are cut into batches.
func TestRandomLogsAreDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	rapid.Check(t, func(t *rapid.T) {
		entries := saletest.Entries(saletest.Log(t))
		for _, entry := range entries {
			d.check(t, entry)
		}
		size := rapid.SampledFrom([]int{3, 20, 1000}).Draw(t, "batch")
		d.checkDecisions(t, entries, size, nil)
	})
}

// TestGoldenDecisionsAreDescribed replays the golden logs as an owner does.
func TestGoldenDecisionsAreDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	seen := make(map[string]bool)
	for _, log := range goldenLogs(t) {
		for _, size := range []int{1, len(log)} {
			d.checkDecisions(t, log, size, seen)
		}
	}
	for kind := range d.events {
		if !seen[kind] {
			t.Errorf("no golden log has a decision of type %s", kind)
		}
	}
}

// checkDecisions publishes what a log decides, in batches of so many records.
func (d *description) checkDecisions(t require, log []event.Entry, size int, seen map[string]bool) {
	t.Helper()
	core := sale.New()
	standings := make(map[sale.Offset]event.Standing)
	for batch := range slices.Chunk(log, size) {
		var changes sale.Changes
		for _, entry := range batch {
			if err := core.Apply(entry.Record(), &changes); err != nil {
				return // a schema that is too new stops the partition
			}
		}
		events := event.NewDecisionBatch()
		for _, s := range changes.Sales() {
			events.AddSale(s, standings[s.ID])
			standings[s.ID] = event.StandingOf(&s)
		}
		for i := range changes.Decisions {
			events.Add(&changes.Decisions[i])
		}
		encoded, err := events.Encode(decisionTopic(), 3, core.Now())
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range event.DecisionLines(encoded) {
			if err := misfit(d.events, key, value); err != nil {
				t.Errorf("decision %s, key %q: %v", value, key, err)
			}
			if seen != nil {
				read, err := event.DecodeDecision(value)
				if err != nil {
					t.Fatal(err)
				}
				seen[string(read.Type)] = true
			}
		}
	}
}

// TestExamplesAreDescribed: each message has an example that is what it says.
func TestExamplesAreDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	for kind, m := range d.records {
		for _, example := range m.examples {
			if err := m.value.Validate(example); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			value, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			// The type comes first in a record, and JSON's objects have no order.
			rest := strings.Replace(string(value), `"type":"`+kind+`"`, "", 1)
			rest = strings.NewReplacer("{,", "{", ",,", ",", ",}", "}").Replace(rest)
			text := strings.Replace(`{"type":"`+kind+`",`+rest[1:], ",}", "}", 1)
			if event.Decode([]byte(text)) == nil {
				t.Errorf("the example of %s cannot be read: %s", kind, text)
			}
		}
		if len(m.examples) == 0 {
			t.Errorf("%s has no example", kind)
		}
	}
	for kind, m := range d.events {
		for _, example := range m.examples {
			if err := m.value.Validate(example); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if len(m.examples) == 0 {
			t.Errorf("%s has no example", kind)
		}
	}
}

// TestNamesAreDescribed compares the document's lists with the program's.
func TestNamesAreDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	enum := func(schema string) []string {
		var names []string
		for _, name := range at(t, d.document, "components", "schemas", schema, "enum").([]any) {
			names = append(names, name.(string))
		}
		return names
	}
	keys := func(of map[string]message) []string {
		var names []string
		for name := range of {
			names = append(names, name)
		}
		return names
	}
	core := filepath.Join("..", "sale")
	for what, lists := range map[string]struct{ document, program []string }{
		"states":    {enum("State"), constants(t, core, "State")},
		"reasons":   {enum("Reason"), constants(t, core, "Reason")},
		"codes":     {enum("Code"), constants(t, core, "Code")},
		"stages":    {enum("Stage"), constants(t, core, "Stage")},
		"policies":  {enum("Policy"), constants(t, core, "Policy")},
		"decisions": {keys(d.events), constants(t, ".", "DecisionType")},
		"records":   {keys(d.records), constantsNamed(t, "record.go", "type")},
	} {
		slices.Sort(lists.document)
		slices.Sort(lists.program)
		if diff := cmp.Diff(lists.program, lists.document); diff != "" {
			t.Errorf("%s (-program +document):\n%s", what, diff)
		}
	}
}
