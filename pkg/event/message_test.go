package event_test

import (
	"bytes"
	"flag"
	"os"
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

// TestMain makes the ordinary run draw the same values every time. With
// -rapid.checks or -rapid.seed it draws what it is told to.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { chosen[f.Name] = true })
	set := func(name, value string) {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	if !chosen["rapid.seed"] && !chosen["rapid.checks"] {
		set("rapid.seed", "1")
	}
	if !chosen["rapid.nofailfile"] {
		set("rapid.nofailfile", "true")
	}
	os.Exit(m.Run())
}

// TestMessageRoundTrip sends what random logs decide, read from entries as a
// log gives them.
func TestMessageRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := sale.New()
		var changes sale.Changes
		for _, entry := range saletest.Entries(saletest.Log(t)) {
			if err := p.Apply(entry.Record(), &changes); err != nil {
				t.Fatal(err)
			}
		}
		m := &event.Message{
			Log: event.TopicID{1, 2}.String(), Partition: 3, Epoch: 4, To: p.Next(), End: p.Next() + 1, Now: p.Now(),
			Sales: changes.Sales(), OldestStart: p.OldestStart(),
		}
		for _, d := range changes.Decisions {
			switch d.Kind {
			case sale.OfRequest:
				m.Requests = append(m.Requests, d.Request)
			case sale.OfCommand:
				m.Results = append(m.Results, d.Result)
			case sale.OfStart:
				m.Starts = append(m.Starts, d.Start)
			}
		}
		encoded, err := event.EncodeMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := event.DecodeMessage(encoded)
		if err != nil {
			t.Fatal(err)
		}
		again, err := event.EncodeMessage(decoded)
		if err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("sent\n%s, received\n%s, %v", encoded, again, err)
		}
		if !slices.Equal(m.Requests, decoded.Requests) || !slices.Equal(m.Results, decoded.Results) || !slices.Equal(m.Starts, decoded.Starts) {
			t.Fatalf("(-sent +received):\n%s", cmp.Diff(m, decoded))
		}
	})
}

// messageOf gives a message with a payment reference of that many characters,
// which stands for many rows.
func messageOf(size int) *event.Message {
	return &event.Message{
		Log: event.TopicID{9}.String(), Partition: 1, Epoch: 2, From: 3, To: 1_000_000, End: 2_000_000, Now: 1_750_000_000_000, OldestStart: 5,
		Sales:    []sale.Sale{{ID: 1, Product: "ring", Defaults: []sale.Default{}}},
		Results:  []sale.Result{{Command: 4}},
		Starts:   []sale.Start{{Below: 5}},
		Requests: []sale.Request{{Offset: 7, State: sale.Confirmed, Payment: strings.Repeat("x", size)}},
	}
}

// TestLargeMessageSaysHeal: at the limit a message is whole, one byte above it
// it keeps its extent alone.
func TestLargeMessageSaysHeal(t *testing.T) {
	t.Parallel()
	one, err := event.EncodeMessage(messageOf(1))
	if err != nil {
		t.Fatal(err)
	}
	most := 1 + event.MaxMessage - len(one)
	for size, want := range map[int]*event.Message{
		most: messageOf(most),
		most + 1: {
			Log: event.TopicID{9}.String(), Partition: 1, Epoch: 2, From: 3, To: 1_000_000, End: 2_000_000, Now: 1_750_000_000_000, OldestStart: 5,
			Heal: true,
		},
	} {
		encoded, err := event.EncodeMessage(messageOf(size))
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > event.MaxMessage {
			t.Fatalf("a message of %d bytes", len(encoded))
		}
		got, err := event.DecodeMessage(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("with %d characters: heal is %t in %d bytes", size, got.Heal, len(encoded))
		}
	}
}

func TestDecodeMessage(t *testing.T) {
	t.Parallel()
	m, err := event.DecodeMessage([]byte(`{"log":"0a","from":1,"to":2,"colour":"blue","requests":[{"request":1,"state":"held","shape":[1]}]}`))
	if err != nil {
		t.Fatalf("a newer owner's message: %v", err)
	}
	if m.To != 2 || len(m.Requests) != 1 || m.Requests[0].State != sale.Held {
		t.Fatalf("decoded as %+v", m)
	}
	for _, bad := range []string{"", "null x", "[]", `{"from":"1"}`, `{"from":1`, `{"from":1.5}`, "{\"log\":\"\xff\"}", `{"from":1,"from":2}`} {
		if m, err := event.DecodeMessage([]byte(bad)); err == nil {
			t.Errorf("%q: decoded as %+v", bad, m)
		}
	}
}

// TestDigest compares with a digest that was computed by other means:
//
//	printf '\0\0\0\0\0\0\0\7\0\0\1\x97\x74\x20\xdc\0\0\0\0\0\0\0\0\4ring\0\0\0\0\0\0\0\2hi' | sha256sum
func TestDigest(t *testing.T) {
	t.Parallel()
	entry := event.Entry{Offset: 7, Time: 1_750_000_000_000, Key: []byte("ring"), Value: []byte("hi")}
	if got, want := entry.Digest().String(), "14ea2d8839fc261e2af5f64796c119b7ec4d14faaca2eb57c6ffbe474e0897bc"; got != want {
		t.Errorf("the digest is %s, not %s", got, want)
	}
	seen := map[event.Digest]string{}
	for name, e := range map[string]event.Entry{
		"itself":       entry,
		"offset":       {Offset: 8, Time: entry.Time, Key: entry.Key, Value: entry.Value},
		"time":         {Offset: 7, Time: entry.Time + 1, Key: entry.Key, Value: entry.Value},
		"key":          {Offset: 7, Time: entry.Time, Key: []byte("rinG"), Value: entry.Value},
		"value":        {Offset: 7, Time: entry.Time, Key: entry.Key, Value: []byte("ho")},
		"moved bytes":  {Offset: 7, Time: entry.Time, Key: []byte("ringh"), Value: []byte("i")},
		"nothing else": {Offset: 7, Time: entry.Time},
		"swapped":      {Offset: sale.Offset(entry.Time), Time: 7, Key: entry.Key, Value: entry.Value},
	} {
		if other, twice := seen[e.Digest()]; twice {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[e.Digest()] = name
	}
	if (event.Entry{Key: []byte{}}).Digest() != (event.Entry{}).Digest() {
		t.Error("an empty key is not the same as none")
	}
}

func TestTopicID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var id event.TopicID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		again, err := event.ParseTopicID(id.String())
		if err != nil || again != id {
			t.Fatalf("%s is read as %s, %v", id, again, err)
		}
	})
	for _, bad := range []string{"", "00", "zz000000000000000000000000000000", "000000000000000000000000000000000", "00000000-0000-0000-0000-000000000000"} {
		if id, err := event.ParseTopicID(bad); err == nil {
			t.Errorf("%q is read as %s", bad, id)
		}
	}
	if got := (event.TopicID{0xab, 15: 0x01}).String(); got != "ab000000000000000000000000000001" {
		t.Errorf("written as %s", got)
	}
}

func TestEntryRecord(t *testing.T) {
	t.Parallel()
	value := []byte(goodBuy)
	entry := event.Entry{Offset: 7, Time: 8, Key: []byte("ring"), Value: bytes.Clone(value)}
	got := entry.Record()
	clear(entry.Value) // a record keeps nothing of the entry's memory
	clear(entry.Key)
	want := sale.Record{Offset: 7, Time: 8, Product: "ring", Body: sale.Buy{Sale: 1, Buyer: "ann", Quantity: 1, AcceptedAt: 5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := (event.Entry{Offset: 7, Value: []byte("x")}).Record(); got.Body != nil {
		t.Errorf("a garbage value has the body %#v", got.Body)
	}
}
