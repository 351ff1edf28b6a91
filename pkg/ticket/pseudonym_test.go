package ticket

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustPseudonyms(t testing.TB, keys ...Key) *Pseudonyms {
	t.Helper()
	pseudonyms, err := NewPseudonyms(keys)
	if err != nil {
		t.Fatal(err)
	}
	return pseudonyms
}

// Computed by other means, as in TestKnownTicket. It must never change:
// pseudonyms are in the log, and buyers are compared by them.
func TestKnownPseudonym(t *testing.T) {
	t.Parallel()
	const known = "KO4oRWyRWhOjqMaWonEBKw"
	pseudonyms := mustPseudonyms(t, mustParseKeys(t, fixedSetting)...)
	got, err := pseudonyms.Of("k1", LogID{1, 2, 3, 4, 5, 6, 7, 8}, 3, 42, "buyer-7")
	if err != nil || got != known {
		t.Errorf("Of = %q, %v, want %q", got, err, known)
	}
}

func TestPseudonymRotation(t *testing.T) {
	t.Parallel()
	oldKey, newKey := mustGenerateKey(t, "old"), mustGenerateKey(t, "new")
	before, after, dropped := mustPseudonyms(t, oldKey), mustPseudonyms(t, newKey, oldKey), mustPseudonyms(t, newKey)
	if before.Newest() != "old" || after.Newest() != "new" {
		t.Errorf("Newest = %q and %q, want old and new", before.Newest(), after.Newest())
	}
	first, err := before.Of("old", LogID{1}, 0, 0, "buyer")
	if err != nil {
		t.Fatal(err)
	}
	if second, err := after.Of("old", LogID{1}, 0, 0, "buyer"); err != nil || second != first {
		t.Errorf("after the rotation the buyer of an old sale is %q, %v, want %q", second, err, first)
	}
	if third, err := after.Of("new", LogID{1}, 0, 0, "buyer"); err != nil || third == first {
		t.Errorf("under the new key the buyer is %q, %v, want another name", third, err)
	}
	for _, id := range []string{"old", "", "k1", "new2", strings.Repeat("n", 1000)} {
		if name, err := dropped.Of(id, LogID{1}, 0, 0, "buyer"); !errors.Is(err, ErrUnknownKey) || name != "" {
			t.Errorf("under key id %.10q: %q, %v, want ErrUnknownKey", id, name, err)
		}
	}
}

type saleBuyer struct {
	Log       LogID
	Partition int32
	Sale      int64
	Buyer     string
}

// The same buyer of the same sale has one name; whatever else differs by a
// little gives another one.
func TestPseudonymsTellBuyersOfSalesApart(t *testing.T) {
	t.Parallel()
	pseudonyms := mustPseudonyms(t, mustGenerateKey(t, "k1"))
	// Few values each, so that neighbours meet.
	anyone := rapid.Custom(func(t *rapid.T) saleBuyer {
		return saleBuyer{
			Log:       LogID{7: rapid.ByteRange(0, 1).Draw(t, "log")},
			Partition: rapid.Int32Range(-1, 2).Draw(t, "partition"),
			Sale:      rapid.Int64Range(-1, 2).Draw(t, "sale"),
			Buyer:     rapid.StringMatching(`[\x00-\x02a]{0,3}`).Draw(t, "buyer"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		names := make(map[string]saleBuyer)
		for _, one := range rapid.SliceOfN(anyone, 2, 50).Draw(t, "buyers of sales") {
			name, err := pseudonyms.Of("k1", one.Log, one.Partition, one.Sale, one.Buyer)
			if err != nil {
				t.Fatal(err)
			}
			if len(name) != 22 || strings.Contains(name, "=") {
				t.Fatalf("name %q is not 22 characters without padding", name)
			}
			if other, ok := names[name]; ok && other != one {
				t.Fatalf("%+v and %+v are both %s", one, other, name)
			}
			names[name] = one
			if again, err := pseudonyms.Of("k1", one.Log, one.Partition, one.Sale, one.Buyer); err != nil || again != name {
				t.Fatalf("asked again: %q, %v, want %q", again, err, name)
			}
		}
	})
}

func TestPseudonymsHaveTheirOwnDomain(t *testing.T) {
	t.Parallel()
	pseudonyms := mustPseudonyms(t, mustParseKeys(t, fixedSetting)...)
	name, err := pseudonyms.Of("k1", LogID{}, 0, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	fields := make([]byte, 8+4+8+1)
	for _, domain := range []string{"", ticketDomain, markDomain} {
		if sum := pseudonyms.signers[0].mac(domain, fields, ""); strings.HasPrefix(encode(sum[:]), name[:21]) {
			t.Errorf("a pseudonym is a MAC under the domain %q", domain)
		}
	}
	if sum := pseudonyms.signers[0].mac(pseudonymDomain, fields, ""); !strings.HasPrefix(encode(sum[:]), name[:21]) {
		t.Error("the fields compared here are not those of a pseudonym")
	}
}

func encode(b []byte) string {
	return base64.RawURLEncoding.EncodeToString(b)
}
