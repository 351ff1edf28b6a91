package ticket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"
)

// Each purpose has its own prefix under the MAC, and none is a prefix of
// another, so a tag made for one purpose proves nothing for the others.
const (
	ticketDomain    = "anteroom ticket 1\x00"
	markDomain      = "anteroom mark 1\x00"
	pseudonymDomain = "anteroom buyer 1\x00"
)

// signer is a key at work. It is always behind a pointer, so that printing what
// holds it shows an address.
type signer struct {
	id string
	// *macState. Setting up an HMAC costs two blocks of SHA-256 and several
	// allocations, and every poll needs one.
	states sync.Pool
}

type macState struct {
	hash hash.Hash
	// What passes through the interface would escape to the heap; it is copied
	// to here instead.
	input []byte
	sum   []byte
}

// newSigners expects keys that are valid.
func newSigners(keys Keys) []*signer {
	signers := make([]*signer, len(keys))
	for i, key := range keys {
		signers[i] = &signer{id: key.id}
		signers[i].states.New = func() any {
			return &macState{
				hash:  hmac.New(sha256.New, key.secret()),
				input: make([]byte, 0, 512), // enough for a mark that has a ticket as scope
				sum:   make([]byte, 0, sha256.Size),
			}
		}
	}
	return signers
}

// findSigner gives nil for an unknown id.
func findSigner[ID string | []byte](signers []*signer, id ID) *signer {
	for _, s := range signers {
		if s.id == string(id) {
			return s
		}
	}
	return nil
}

// mac gives HMAC-SHA256 over domain, fields and tail, one after the other. The
// fields must have an encoding whose end can be told from its start.
func (s *signer) mac(domain string, fields []byte, tail string) (sum [sha256.Size]byte) {
	state := s.states.Get().(*macState)
	state.input = append(state.input[:0], domain...)
	state.input = append(state.input, fields...)
	state.input = append(state.input, tail...)
	state.hash.Reset()
	state.hash.Write(state.input)
	state.sum = state.hash.Sum(state.sum[:0])
	copy(sum[:], state.sum)
	s.states.Put(state)
	return sum
}

func appendKeyID(dst []byte, id string) []byte {
	dst = append(dst, byte(len(id)))
	return append(dst, id...)
}

// cutKeyID splits off what appendKeyID wrote. An id of another length than a
// key can have is found in no keyring.
func cutKeyID(b []byte) (id, rest []byte, ok bool) {
	if len(b) < 1 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	length := 1 + int(b[0])
	return b[1:length], b[length:], true
}

// decodeText decodes base64url without padding into dst, and accepts exactly
// one text for the same bytes. What is longer than MaxLength it does not look at.
func decodeText(dst *[MaxLength]byte, text string) ([]byte, bool) {
	if len(text) > MaxLength {
		return nil, false
	}
	// Strict refuses left-over bits that are not 0.
	length, err := base64.RawURLEncoding.Strict().Decode(dst[:], []byte(text))
	if err != nil {
		return nil, false
	}
	// Even a strict decoder passes over line breaks.
	if base64.RawURLEncoding.EncodedLen(length) != len(text) {
		return nil, false
	}
	return dst[:length], true
}
