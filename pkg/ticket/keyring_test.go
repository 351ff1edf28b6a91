package ticket

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The answer was computed by other means (Python's hmac and base64) from the
// format's description. It must never change: tickets are in shoppers' hands.
func TestKnownTicket(t *testing.T) {
	t.Parallel()
	const known = "AQJrMQECAwQFBgcIA8DEByoCgNDqtrczc25lYWtlci00MoZbjGAD1WnvdzINczpieB30RBEzSr-0LThngGqcumpj"
	keyring := mustKeyring(t, mustParseKeys(t, fixedSetting)...)
	if got := mustSign(t, keyring, knownTicket()); got != known {
		t.Errorf("Sign = %q, want %q", got, known)
	}
	got, err := keyring.Verify(known)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(knownTicket(), got); diff != "" {
		t.Errorf("Verify (-want +got):\n%s", diff)
	}
}

func TestWorstCaseLength(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "zzzzzzzz"))
	text := mustSign(t, keyring, largestTicket())
	if len(text) != 191 || len(text) > MaxLength {
		t.Errorf("the longest ticket has %d characters, want 191, at most %d", len(text), MaxLength)
	}
	if got, err := keyring.Verify(text); err != nil || got != largestTicket() {
		t.Errorf("Verify = %+v, %v, want the largest ticket", got, err)
	}
	if got, err := keyring.Verify(mustSign(t, keyring, smallestTicket())); err != nil || got != smallestTicket() {
		t.Errorf("Verify = %+v, %v, want the smallest ticket", got, err)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[a-z0-9]{1,8}`).Draw(t, "key id")
		key, err := GenerateKey(id)
		if err != nil {
			t.Fatal(err)
		}
		keyring, err := NewKeyring(Keys{key})
		if err != nil {
			t.Fatal(err)
		}
		ticket := tickets().Draw(t, "ticket")
		text := mustSign(t, keyring, ticket)
		if len(text) > MaxLength {
			t.Fatalf("%d characters, want at most %d", len(text), MaxLength)
		}
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%q is not safe in a URL's path", text)
		}
		if again := mustSign(t, keyring, ticket); again != text {
			t.Fatalf("signed again, %q became %q", text, again)
		}
		got, err := keyring.Verify(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ticket, got); diff != "" {
			t.Fatalf("(-signed +verified):\n%s", diff)
		}
	})
}

func TestAnyChangeIsInvalid(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "k1"), mustGenerateKey(t, "k2"))
	check := func(t failer, ticket Ticket, drawByte func() byte) {
		text := mustSign(t, keyring, ticket)
		sealed, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatalf("decoding: %v", err)
		}
		// The text, then the bytes that it stands for.
		for i := range len(text) {
			changed := []byte(text)
			for bit := range 8 {
				changed[i] = text[i] ^ 1<<bit
				mustBeInvalid(t, keyring, string(changed), "a bit of the text flipped")
			}
			if changed[i] = drawByte(); changed[i] != text[i] {
				mustBeInvalid(t, keyring, string(changed), "a character of the text replaced")
			}
			mustBeInvalid(t, keyring, text[:i], "truncated")
			mustBeInvalid(t, keyring, text[i+1:], "its beginning cut off")
			mustBeInvalid(t, keyring, text[:i]+"\n"+text[i:], "a line break put in")
			mustBeInvalid(t, keyring, text[:i]+"\r"+text[i:], "a carriage return put in")
		}
		for i := range sealed {
			for bit := range 8 {
				changed := bytes.Clone(sealed)
				changed[i] ^= 1 << bit
				mustBeInvalid(t, keyring, base64.RawURLEncoding.EncodeToString(changed), "a bit flipped")
			}
			mustBeInvalid(t, keyring, base64.RawURLEncoding.EncodeToString(sealed[:i]), "bytes truncated")
		}
		for _, tail := range []string{"\n", "\r\n", "=", "==", "A", "AA", "AAAA", " ", "\x00", text} {
			mustBeInvalid(t, keyring, text+tail, "something appended")
		}
		mustBeInvalid(t, keyring, "\n"+text, "something before")
	}
	// All three lengths that base64 can leave over, so that left-over bits are
	// among those flipped.
	for _, product := range []string{"abc", "abcd", "abcde"} {
		ticket := knownTicket()
		ticket.Product = product
		check(t, ticket, func() byte { return 'A' })
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, tickets().Draw(t, "ticket"), func() byte { return rapid.Byte().Draw(t, "byte") })
	})
}

func TestVerifyRefusesMalformedTexts(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "k1"))
	for _, text := range []string{
		"", "A", "AQ", "AQJrMQ", "3-123456", "..", "/", "%00", "\xff\xfe", "null",
		strings.Repeat("A", MaxLength-1), strings.Repeat("A", MaxLength), strings.Repeat("A", MaxLength+1),
		strings.Repeat("A", 1<<20), strings.Repeat("\n", MaxLength), strings.Repeat("=", 43),
	} {
		mustBeInvalid(t, keyring, text, "malformed")
	}
}

// What is under a good MAC is still held to the one encoding, so two texts
// never stand for the same ticket.
func TestVerifyRefusesOtherEncodingsUnderAGoodMAC(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "k1"))
	signer := keyring.signers[0]
	header := append([]byte{version, 2}, "k1ABCDEFGH"...)
	payload := func(product string, numbers ...[]byte) []byte {
		return append(append(bytes.Clone(header), bytes.Join(numbers, nil)...), product...)
	}
	number := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	one := number(1)

	if _, err := keyring.Verify(signer.seal(payload("a", one, one, one, one, one))); err != nil {
		t.Fatalf("the well-formed payload: %v", err)
	}
	longOne := []byte{0x81, 0x00}
	for i := range 5 {
		for name, bad := range map[string][]byte{
			"a number in two bytes where one does": longOne,
			"a number in ten bytes":                {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
			"a number of more than 64 bits":        bytes.Repeat([]byte{0xff}, 11),
			"a number that does not end":           bytes.Repeat([]byte{0x80}, 4),
			"a number far out of bounds":           number(1 << 63),
			"a number that truncates to 1":         number(1<<63 + 1<<32 + 1),
			"the largest number":                   number(1<<64 - 1),
		} {
			numbers := [][]byte{one, one, one, one, one}
			numbers[i] = bad
			mustBeInvalid(t, keyring, signer.seal(payload("a", numbers...)), name)
		}
		limit := []uint64{MaxPartition, MaxOffset, MaxOffset, MaxQuantity, MaxAcceptedAt}[i]
		numbers := [][]byte{one, one, one, one, one}
		numbers[i] = number(limit + 1)
		mustBeInvalid(t, keyring, signer.seal(payload("a", numbers...)), "a number past its bound")
		mustBeInvalid(t, keyring, signer.seal(payload("", numbers[:i]...)), "too few numbers")
	}
	// partition 2^32+1 would be partition 1 in 32 bits.
	mustBeInvalid(t, keyring, signer.seal(payload("a", number(1<<32+1), one, one, one, one)), "a partition that wraps")
	mustBeInvalid(t, keyring, signer.seal(payload("a", one, one, one, number(0), one)), "quantity 0")
	for _, product := range badProducts() {
		mustBeInvalid(t, keyring, signer.seal(payload(product, one, one, one, one, one)), "a product that is none")
	}
	mustBeInvalid(t, keyring, signer.seal(payload("a\x00", one, one, one, one, one)), "a trailing byte")

	good := payload("a", one, one, one, one, one)
	for _, other := range []byte{0, 2, 255} {
		changed := bytes.Clone(good)
		changed[0] = other
		mustBeInvalid(t, keyring, signer.seal(changed), "another version")
	}
	for length := range len(header) + 5 {
		mustBeInvalid(t, keyring, signer.seal(bytes.Clone(good[:length])), "a payload cut short")
	}
}

// A MAC over the same payload without the ticket's domain is not a ticket's.
func TestTicketsHaveTheirOwnDomain(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustParseKeys(t, fixedSetting)...)
	payload := appendPayload(nil, "k1", knownTicket())
	secret := mustParseKeys(t, fixedSetting)[0].secret()
	for _, domain := range []string{"", markDomain, pseudonymDomain} {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(domain))
		mac.Write(payload)
		text := base64.RawURLEncoding.EncodeToString(mac.Sum(bytes.Clone(payload)))
		mustBeInvalid(t, keyring, text, "under domain "+domain)
	}
	domains := []string{ticketDomain, markDomain, pseudonymDomain}
	for i, a := range domains {
		for j, b := range domains {
			if i != j && strings.HasPrefix(a, b) {
				t.Errorf("domain %q begins with domain %q", a, b)
			}
		}
	}
}

func TestTicketsOfAnotherKey(t *testing.T) {
	t.Parallel()
	ours := mustKeyring(t, mustGenerateKey(t, "k1"))
	sameID := mustKeyring(t, mustGenerateKey(t, "k1"))
	otherID := mustKeyring(t, mustGenerateKey(t, "k2"))
	rapid.Check(t, func(t *rapid.T) {
		ticket := tickets().Draw(t, "ticket")
		mustBeInvalid(t, ours, mustSign(t, sameID, ticket), "another secret under the same id")
		mustBeInvalid(t, ours, mustSign(t, otherID, ticket), "an unknown key")
	})
}

// The same secret under two ids: the id is under the MAC, so it cannot be
// swapped.
func TestKeyIDIsUnderTheMAC(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustParseKeys(t, fixedSetting+","+strings.Replace(fixedSetting, "k1", "k2", 1))...)
	sealed, err := base64.RawURLEncoding.DecodeString(mustSign(t, keyring, knownTicket()))
	if err != nil {
		t.Fatal(err)
	}
	swapped := bytes.Replace(sealed, []byte("k1"), []byte("k2"), 1)
	mustBeInvalid(t, keyring, base64.RawURLEncoding.EncodeToString(swapped), "another key's id")

	// An id that is not in the keyring is unknown, whatever the secret.
	sameSecret := mustKeyring(t, mustParseKeys(t, strings.Replace(fixedSetting, "k1", "k3", 1))...)
	mustBeInvalid(t, keyring, mustSign(t, sameSecret, knownTicket()), "an unknown id with a known secret")
	if _, ok := keyring.ReadMark("scope", sameSecret.Mark("scope", 1)); ok {
		t.Error("a mark of an unknown id with a known secret is read")
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	oldest, old, newest := mustGenerateKey(t, "a"), mustGenerateKey(t, "b"), mustGenerateKey(t, "c")
	before := mustKeyring(t, old, oldest)
	after := mustKeyring(t, newest, old)
	fromOldest := mustSign(t, mustKeyring(t, oldest), knownTicket())
	fromBefore := mustSign(t, before, knownTicket())
	fromAfter := mustSign(t, after, knownTicket())

	for _, text := range []string{fromOldest, fromBefore} {
		if got, err := before.Verify(text); err != nil || got != knownTicket() {
			t.Errorf("before the rotation: Verify = %+v, %v, want the ticket", got, err)
		}
	}
	for _, text := range []string{fromBefore, fromAfter} {
		if got, err := after.Verify(text); err != nil || got != knownTicket() {
			t.Errorf("after the rotation: Verify = %+v, %v, want the ticket", got, err)
		}
	}
	mustBeInvalid(t, after, fromOldest, "signed by the dropped key")
	mustBeInvalid(t, before, fromAfter, "signed by a key not yet known")
	if got := mustSign(t, mustKeyring(t, newest), knownTicket()); got != fromAfter {
		t.Error("after the rotation, the newest key does not sign")
	}
	if got := mustSign(t, mustKeyring(t, old), knownTicket()); got != fromBefore {
		t.Error("before the rotation, the first key does not sign")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "k2"), mustGenerateKey(t, "k1"))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			ticket := knownTicket()
			for i := range 200 {
				ticket.Offset = int64(worker*1000 + i)
				text, err := keyring.Sign(ticket)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := keyring.Verify(text); err != nil || got != ticket {
					t.Errorf("Verify = %+v, %v, want %+v", got, err, ticket)
					return
				}
				mark := keyring.Mark(text, ticket.Offset)
				if got, ok := keyring.ReadMark(text, mark); !ok || got != ticket.Offset {
					t.Errorf("ReadMark = %d, %t, want %d", got, ok, ticket.Offset)
					return
				}
			}
		})
	}
	group.Wait()
}

// Not parallel: it counts the whole program's allocations. Each call needs 1.
// Under the race detector a pool loses one state in four, so the count is held
// against half of what a new state costs, which is the price without a pool.
func TestFewAllocations(t *testing.T) {
	keyring := mustKeyring(t, mustGenerateKey(t, "k1"))
	text := mustSign(t, keyring, largestTicket())
	newState := testing.AllocsPerRun(1000, func() {
		state := keyring.signers[0].states.New().(*macState)
		state.hash.Reset()
		state.hash.Write(state.input)
		state.sum = state.hash.Sum(state.sum)
	})
	t.Logf("a new state costs %.0f allocations", newState)
	for name, call := range map[string]func(){
		"Sign":   func() { _, _ = keyring.Sign(largestTicket()) },
		"Verify": func() { _, _ = keyring.Verify(text) },
	} {
		if got := testing.AllocsPerRun(1000, call); got > 1+newState/2 {
			t.Errorf("%s makes %.0f allocations, where a new state costs %.0f", name, got, newState)
		}
	}
}

// seal signs any payload.
func (s *signer) seal(payload []byte) string { return string(s.appendSealed(nil, payload)) }
