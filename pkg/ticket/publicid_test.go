package ticket

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPublicIDRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ticket := tickets().Draw(t, "ticket")
		id := ticket.PublicID()
		if other := PublicID(ticket.Partition, ticket.Offset); other != id {
			t.Fatalf("PublicID = %q and %q", id, other)
		}
		partition, offset, err := ParsePublicID(id)
		if err != nil || partition != ticket.Partition || offset != ticket.Offset {
			t.Fatalf("ParsePublicID(%q) = %d, %d, %v", id, partition, offset, err)
		}
	})
}

func TestParsePublicID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]struct {
		partition int32
		offset    int64
	}{
		"0-0": {0, 0}, "3-123456": {3, 123456}, "10-20": {10, 20}, "2097151-281474976710655": {1<<21 - 1, 1<<48 - 1},
	} {
		partition, offset, err := ParsePublicID(id)
		if err != nil || partition != want.partition || offset != want.offset {
			t.Errorf("ParsePublicID(%q) = %d, %d, %v, want %+v", id, partition, offset, err, want)
		}
		if got := PublicID(want.partition, want.offset); got != id {
			t.Errorf("PublicID(%d, %d) = %q, want %q", want.partition, want.offset, got, id)
		}
	}
	for _, id := range []string{
		"", "-", "1", "1-", "-1", "1--1", "-1-1", "1-1-1", "01-1", "1-01", "00-1", "1-00", "+1-1", "1-+1", " 1-1", "1-1 ",
		"1-1\n", "1_1", "1-1_0", "0x1-1", "1-1e3", "1.0-1", "a-b", "١-1", "2097152-0", "0-281474976710656",
		"4294967297-1", "1-18446744073709551617", "1-" + strings.Repeat("9", 100000), "1-\x00",
	} {
		if partition, offset, err := ParsePublicID(id); !errors.Is(err, ErrInvalid) || partition != 0 || offset != 0 {
			t.Errorf("ParsePublicID(%.40q) = %d, %d, %v, want ErrInvalid", id, partition, offset, err)
		}
	}
}

// Where a call takes either, which one it is can be told.
func TestNoTextIsTicketAndPublicID(t *testing.T) {
	t.Parallel()
	keyring := mustKeyring(t, mustGenerateKey(t, "k1"))
	rapid.Check(t, func(t *rapid.T) {
		ticket := tickets().Draw(t, "ticket")
		if _, _, err := ParsePublicID(mustSign(t, keyring, ticket)); err == nil {
			t.Fatal("a ticket is read as a public id")
		}
		mustBeInvalid(t, keyring, ticket.PublicID(), "a public id")
	})
}
