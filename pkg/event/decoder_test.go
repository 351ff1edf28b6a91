package event_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestDecoder(t *testing.T) {
	t.Parallel()
	var decoder event.Decoder
	for name, log := range goldenLogs(t) {
		for _, entry := range log {
			if diff := cmp.Diff(entry.Record(), decoder.Record(entry)); diff != "" {
				t.Errorf("%s, %d (-alone +in a row):\n%s", name, entry.Offset, diff)
			}
		}
	}
}

func TestDecoderNamesProducts(t *testing.T) {
	t.Parallel()
	var decoder event.Decoder
	var got []sale.Product
	for _, key := range []string{"ring", "ring", "", "ring", "rings", "rin", "", "", "ring", "\xff", "\xff"} {
		entry := event.Entry{Key: []byte(key), Value: []byte(goodBuy)}
		got = append(got, decoder.Record(entry).Product)
		clear(entry.Key) // the record keeps nothing of the entry's memory
	}
	want := []sale.Product{"ring", "ring", "", "ring", "rings", "rin", "", "", "ring", "\xff", "\xff"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDecoderSharesTheName: a product's name is made once, though ticks come
// between the buys.
func TestDecoderSharesTheName(t *testing.T) { // not parallel: it counts allocations
	buy := event.Entry{Key: []byte("a-product-of-some-length"), Value: []byte(goodBuy)}
	tick := event.Entry{Value: []byte(`{"type":"tick"}`)}
	var decoder event.Decoder
	alone := testing.AllocsPerRun(100, func() { event.Decode(buy.Value); event.Decode(tick.Value) })
	if row := testing.AllocsPerRun(100, func() { decoder.Record(buy); decoder.Record(tick) }); row != alone {
		t.Errorf("%v allocations, %v of them for the bodies", row, alone)
	}
}
