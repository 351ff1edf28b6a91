package ticket

import (
	"errors"
	"testing"
)

// Random bytes never have a good MAC, so the input is tried as a ticket's text
// and, under a good MAC, as its payload.
func FuzzVerify(f *testing.F) {
	keyring := mustKeyring(f, mustParseKeys(f, fixedSetting)...)
	for _, ticket := range []Ticket{knownTicket(), largestTicket(), smallestTicket()} {
		text := mustSign(f, keyring, ticket)
		f.Add([]byte(text))
		f.Add([]byte(text[:len(text)-1]))
		payload := appendPayload(nil, "k1", ticket)
		f.Add(payload)
		f.Add(append(payload, 0))
	}
	f.Add([]byte(nil))
	f.Add([]byte("3-123456"))
	check := func(t *testing.T, text string) {
		ticket, err := keyring.Verify(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || ticket != (Ticket{}) {
				t.Fatalf("Verify(%q) = %+v, %v, want nothing and ErrInvalid", text, ticket, err)
			}
			return
		}
		if again := mustSign(t, keyring, ticket); again != text {
			t.Fatalf("%q and %q both stand for %+v", text, again, ticket)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		check(t, string(input))
		// What is longer than any payload is no text that seal can make.
		if len(input) <= maxPayloadLength+5 {
			check(t, keyring.signers[0].seal(append([]byte(nil), input...)))
		}
		if _, ok := keyring.ReadMark("", string(input)); ok {
			t.Fatalf("ReadMark takes %q", input)
		}
		if partition, offset, err := ParsePublicID(string(input)); err == nil && PublicID(partition, offset) != string(input) {
			t.Fatalf("%q and %q are the same public id", input, PublicID(partition, offset))
		}
	})
}
