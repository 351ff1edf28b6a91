package ticket

import (
	"bytes"
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Computed by other means, as in TestKnownTicket.
func TestKnownMark(t *testing.T) {
	t.Parallel()
	const known = "AmsxAAAAAAAB4kHWB44IqF-qGRj7GnE"
	keyring := mustKeyring(t, mustParseKeys(t, fixedSetting)...)
	if got := keyring.Mark("a scope", 123457); got != known {
		t.Errorf("Mark = %q, want %q", got, known)
	}
	if got, ok := keyring.ReadMark("a scope", known); !ok || got != 123457 {
		t.Errorf("ReadMark = %d, %t, want 123457", got, ok)
	}
}

func TestMarkRoundTrip(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "zzzzzzzz"))
	check := func(t failer, scope string, watermark int64) {
		mark := keyring.Mark(scope, watermark)
		if len(mark) > 39 || strings.Trim(mark, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("mark %q is not at most 39 characters of base64url", mark)
		}
		if got, ok := keyring.ReadMark(scope, mark); !ok || got != watermark {
			t.Fatalf("ReadMark = %d, %t, want %d", got, ok, watermark)
		}
	}
	for _, watermark := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		check(t, "", watermark)
		check(t, strings.Repeat("s", 10000), watermark)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.String().Draw(t, "scope"), rapid.Int64().Draw(t, "watermark"))
	})
}

func TestMarksOfOthersAreIgnored(t *testing.T) {
	t.Parallel()
	oldKey, newKey := mustGenerateKey(t, "old"), mustGenerateKey(t, "new")
	keyring := mustKeyring(t, newKey, oldKey)
	refused := func(t failer, scope, mark, why string) {
		t.Helper()
		if got, ok := keyring.ReadMark(scope, mark); ok || got != 0 {
			t.Fatalf("%s: ReadMark(%q, %q) = %d, %t, want nothing", why, scope, mark, got, ok)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		scope := rapid.String().Draw(t, "scope")
		mark := keyring.Mark(scope, rapid.Int64().Draw(t, "watermark"))
		if other := rapid.String().Draw(t, "other scope"); other != scope {
			refused(t, other, mark, "another scope")
		}
		for i := range len(mark) {
			for bit := range 8 {
				changed := []byte(mark)
				changed[i] ^= 1 << bit
				refused(t, scope, string(changed), "a bit flipped")
			}
			refused(t, scope, mark[:i], "truncated")
			refused(t, scope, mark[:i]+"\n"+mark[i:], "a line break put in")
		}
		for _, tail := range []string{"=", "A", "AA", "AAAA", "\n", mark} {
			refused(t, scope, mark+tail, "something appended")
		}
	})
	ticket := mustSign(t, keyring, knownTicket())
	refused(t, "", ticket, "a ticket")
	refused(t, ticket, ticket, "a ticket")
	mustBeInvalid(t, keyring, keyring.Mark(ticket, 1), "a mark")
	refused(t, "scope", "", "nothing")
	refused(t, "scope", strings.Repeat("A", 1<<20), "too long")
	refused(t, "scope", mustKeyring(t, mustGenerateKey(t, "new")).Mark("scope", 1), "another secret under the same id")
	refused(t, "scope", mustKeyring(t, mustGenerateKey(t, "other")).Mark("scope", 1), "an unknown key")

	if got, ok := keyring.ReadMark("scope", mustKeyring(t, oldKey).Mark("scope", 5)); !ok || got != 5 {
		t.Errorf("the old key's mark: ReadMark = %d, %t, want 5", got, ok)
	}
	if got, want := keyring.Mark("scope", 5), mustKeyring(t, newKey).Mark("scope", 5); got != want {
		t.Error("the newest key does not make the marks")
	}
}

// The right bytes under another purpose's MAC are not a mark.
func TestMarksHaveTheirOwnDomain(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "k1"))
	signer := keyring.signers[0]
	fields := append(appendKeyID(nil, "k1"), 0, 0, 0, 0, 0, 0, 0, 5)
	for _, domain := range []string{"", ticketDomain, pseudonymDomain} {
		sum := signer.mac(domain, fields, "scope")
		mark := base64.RawURLEncoding.EncodeToString(append(bytes.Clone(fields), sum[:markTagLength]...))
		if _, ok := keyring.ReadMark("scope", mark); ok {
			t.Errorf("a mark under the domain %q is read", domain)
		}
	}
}
