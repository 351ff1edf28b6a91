package ticket

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fixedSetting holds the secret 0, 1, 2 ... 31 under the id k1.
const fixedSetting = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func mustParseKeys(t testing.TB, setting string) Keys {
	t.Helper()
	keys, err := ParseKeys("ANTEROOM_TICKET_KEYS", setting)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func mustGenerateKey(t testing.TB, id string) Key {
	t.Helper()
	key, err := GenerateKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustKeyring(t testing.TB, keys ...Key) *Keyring {
	t.Helper()
	keyring, err := NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return keyring
}

// failer is what testing and rapid have in common and these calls need.
type failer interface {
	Helper()
	Fatalf(format string, arguments ...any)
}

func mustSign(t failer, keyring *Keyring, ticket Ticket) string {
	t.Helper()
	text, err := keyring.Sign(ticket)
	if err != nil {
		t.Fatalf("signing %+v: %v", ticket, err)
	}
	return text
}

func mustBeInvalid(t failer, keyring *Keyring, text, why string) {
	t.Helper()
	// The sentinel itself: a reason wrapped around it would help to forge.
	if ticket, err := keyring.Verify(text); !errors.Is(err, ErrInvalid) || ticket != (Ticket{}) {
		t.Fatalf("%s: Verify(%q) = %+v, %v, want nothing and ErrInvalid", why, text, ticket, err)
	}
}

func knownTicket() Ticket {
	return Ticket{
		Log:        LogID{1, 2, 3, 4, 5, 6, 7, 8},
		Partition:  3,
		Offset:     123456,
		Sale:       42,
		Product:    "sneaker-42",
		Quantity:   2,
		AcceptedAt: 1767225600000,
	}
}

func largestTicket() Ticket {
	return Ticket{
		Log:        LogID(bytes.Repeat([]byte{0xff}, 8)),
		Partition:  1<<21 - 1,
		Offset:     1<<48 - 1,
		Sale:       1<<48 - 1,
		Product:    strings.Repeat("z", 64),
		Quantity:   1<<31 - 1,
		AcceptedAt: 1<<48 - 1,
	}
}

func smallestTicket() Ticket {
	return Ticket{Product: "a", Quantity: 1}
}

func tickets() *rapid.Generator[Ticket] {
	return rapid.Custom(func(t *rapid.T) Ticket {
		return Ticket{
			Log:        LogID(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "log")),
			Partition:  rapid.Int32Range(0, MaxPartition).Draw(t, "partition"),
			Offset:     rapid.Int64Range(0, MaxOffset).Draw(t, "offset"),
			Sale:       rapid.Int64Range(0, MaxOffset).Draw(t, "sale"),
			Product:    rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,63}`).Draw(t, "product"),
			Quantity:   rapid.IntRange(1, MaxQuantity).Draw(t, "quantity"),
			AcceptedAt: rapid.Int64Range(0, MaxAcceptedAt).Draw(t, "accepted at"),
		}
	})
}

func TestLogIDOf(t *testing.T) {
	t.Parallel()
	topicID := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	if got, want := LogIDOf(topicID), (LogID{1, 2, 3, 4, 5, 6, 7, 8}); got != want {
		t.Errorf("LogIDOf = %v, want %v", got, want)
	}
}

// outOfBounds holds tickets that no record in a log can have, with what the
// error of Sign must speak of.
func outOfBounds() map[string]func(*Ticket) {
	return map[string]func(*Ticket){
		"partition -1":               func(t *Ticket) { t.Partition = -1 },
		"partition 2097152":          func(t *Ticket) { t.Partition = 1 << 21 },
		"offset -1":                  func(t *Ticket) { t.Offset = -1 },
		"offset 281474976710656":     func(t *Ticket) { t.Offset = 1 << 48 },
		"sale -1":                    func(t *Ticket) { t.Sale = -1 },
		"sale 281474976710656":       func(t *Ticket) { t.Sale = 1 << 48 },
		"quantity -1":                func(t *Ticket) { t.Quantity = -1 },
		"quantity 0":                 func(t *Ticket) { t.Quantity = 0 },
		"quantity 2147483648":        func(t *Ticket) { t.Quantity = 1 << 31 },
		"acceptance -1":              func(t *Ticket) { t.AcceptedAt = -1 },
		"acceptance 281474976710656": func(t *Ticket) { t.AcceptedAt = 1 << 48 },
	}
}

func badProducts() []string {
	return []string{
		"", strings.Repeat("a", 65), ".a", "_a", "-a", "A", "aB", "a b", "a/b", "a\x00", "a\n", "é", "a\xff",
	}
}

func TestSignRefusesWhatNoRecordCanBe(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "k1"))
	for want, change := range outOfBounds() {
		ticket := knownTicket()
		change(&ticket)
		if text, err := keyring.Sign(ticket); err == nil || text != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Sign = %q, %v, want an error that says so", want, text, err)
		}
	}
	for _, product := range badProducts() {
		ticket := knownTicket()
		ticket.Product = product
		if text, err := keyring.Sign(ticket); err == nil || text != "" || !strings.Contains(err.Error(), "product") {
			t.Errorf("product %q: Sign = %q, %v, want an error that says so", product, text, err)
		}
	}
	for _, product := range []string{"a", "0", "a.", "a_-.9", strings.Repeat("a", 64)} {
		ticket := knownTicket()
		ticket.Product = product
		mustSign(t, keyring, ticket)
	}
}
