package ticket

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestUnverifiedReadsWhatWasSigned shows that a ticket can be read without its
// key, with any signature.
func TestUnverifiedReadsWhatWasSigned(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := NewKeyring(Keys{key})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := tickets().Draw(t, "ticket")
		text, err := ring.Sign(want)
		if err != nil {
			t.Fatal(err)
		}
		forged := text[:len(text)-8] + "AAAAAAAA"
		for _, text := range []string{text, forged} {
			if got, err := Unverified(text); err != nil || got != want {
				t.Fatalf("%+v is read as %+v, %v", want, got, err)
			}
		}
		if _, err := ring.Verify(forged); !errors.Is(err, ErrInvalid) {
			t.Fatalf("a forged ticket: %v", err)
		}
		for i, other := range map[int]byte{0: 2, 2: 'K'} { // version, key id
			sealed, _ := base64.RawURLEncoding.DecodeString(text)
			sealed[i] = other
			if got, err := Unverified(base64.RawURLEncoding.EncodeToString(sealed)); !errors.Is(err, ErrInvalid) {
				t.Fatalf("with byte %d changed it is read as %+v, %v", i, got, err)
			}
		}
		cut := rapid.IntRange(0, 40).Draw(t, "cut")
		if _, err := Unverified(text[:cut]); !errors.Is(err, ErrInvalid) {
			t.Fatalf("%q: %v", text[:cut], err)
		}
	})
}

func TestUnverifiedRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x", "0-5", "not a ticket", strings.Repeat("A", 60), strings.Repeat("A", MaxLength+1),
		"AQ" + strings.Repeat("A", 80), "AQJLMQ" + strings.Repeat("A", 80),
	} {
		if got, err := Unverified(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
	}
}
