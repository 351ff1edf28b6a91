package ticket

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
)

// A mark in base64url: key id (1 byte length, then the id), watermark (8 bytes,
// big-endian), MAC (12 bytes).
const (
	watermarkLength = 8
	markTagLength   = 12
	maxMarkLength   = 1 + maxKeyIDLength + watermarkLength + markTagLength
)

// Mark gives a short marker that carries a watermark to a client and back, for
// ETags and the ids of server-sent events: up to 39 characters of visible ASCII
// without quotes. It is good only together with its scope, for instance the
// ticket's text, which it does not contain.
func (r *Keyring) Mark(scope string, watermark int64) string {
	var text [MaxLength]byte
	return string(r.AppendMark(text[:0], scope, watermark))
}

// AppendMark appends what Mark gives.
func (r *Keyring) AppendMark(to []byte, scope string, watermark int64) []byte {
	newest := r.signers[0]
	var buffer [maxMarkLength]byte
	fields := appendKeyID(buffer[:0], newest.id)
	fields = binary.BigEndian.AppendUint64(fields, uint64(watermark))
	sum := newest.mac(markDomain, fields, scope)
	return base64.RawURLEncoding.AppendEncode(to, append(fields, sum[:markTagLength]...))
}

// ReadMark gives the watermark of a mark that this keyring made for this scope,
// and false for anything else.
func (r *Keyring) ReadMark(scope, mark string) (int64, bool) {
	var buffer [MaxLength]byte
	sealed, ok := decodeText(&buffer, mark)
	if !ok {
		return 0, false
	}
	id, rest, ok := cutKeyID(sealed)
	if !ok || len(rest) != watermarkLength+markTagLength {
		return 0, false
	}
	s := findSigner(r.signers, id)
	if s == nil {
		return 0, false
	}
	fields, tag := sealed[:len(sealed)-markTagLength], rest[watermarkLength:]
	sum := s.mac(markDomain, fields, scope)
	if !hmac.Equal(sum[:markTagLength], tag) { // in constant time
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(rest)), true
}
