package redis

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestHintsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hint := ingress.Hint{
			Offset:     sale.Offset(rapid.Int64().Draw(t, "offset")),
			Quantity:   rapid.Int64().Draw(t, "quantity"),
			AcceptedAt: sale.Time(rapid.Int64().Draw(t, "accepted at")),
		}
		encoded := string(appendHint(nil, &hint))
		if len(encoded) < 2 {
			t.Fatalf("%q is taken for the mark of the limit", encoded)
		}
		decoded, err := decodeHint(encoded)
		if err != nil || *decoded != hint {
			t.Fatalf("%+v was read as %+v, %v", hint, decoded, err)
		}
		if _, err := decodeHint(encoded[:len(encoded)-1]); err == nil {
			t.Fatal("a truncated hint was read")
		}
		if _, err := decodeHint(encoded + "\x00"); err == nil {
			t.Fatal("a hint with something behind it was read")
		}
	})
}

func TestKeysDiffer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) ingress.Ask {
			return ingress.Ask{
				Log:     event.TopicID{rapid.Byte().Draw(t, "log")},
				Product: sale.Product(rapid.SampledFrom([]string{"a", "b", "a.b"}).Draw(t, "product")),
				Sale:    sale.Offset(rapid.Int64Range(0, 300).Draw(t, "sale")),
				Buyer:   sale.Buyer(rapid.StringMatching("[ab]{1,2}").Draw(t, "buyer")),
			}
		})
		one, other := draw.Draw(t, "one"), draw.Draw(t, "other")
		if (key(one) == key(other)) != (one == other) {
			t.Fatalf("%+v and %+v have the keys %q and %q", one, other, key(one), key(other))
		}
	})
}
