package ticket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Keyring signs tickets and marks with its newest key, and verifies those of
// all its keys. A key is rotated by putting a new one before it, and dropped
// once its tickets are of no use any more. Every ingress should know a key
// before the first one signs with it.
type Keyring struct {
	signers []*signer // newest first, at least one
}

// NewKeyring fails if there is no key, one without a secret, or two with the
// same id.
func NewKeyring(keys Keys) (*Keyring, error) {
	if err := keys.validate(); err != nil {
		return nil, fmt.Errorf("making a keyring: %w", err)
	}
	return &Keyring{signers: newSigners(keys)}, nil
}

// Sign gives the ticket's text: visible ASCII that is safe in a URL's path, at
// most MaxLength characters. The same ticket under the same key gives the same
// text. It fails on what no record in a log can be: a number out of bounds, or
// no product.
func (r *Keyring) Sign(t Ticket) (string, error) {
	var text [MaxLength]byte
	signed, err := r.AppendTicket(text[:0], t)
	return string(signed), err
}

// AppendTicket appends what Sign gives.
func (r *Keyring) AppendTicket(to []byte, t Ticket) ([]byte, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("signing a ticket: %w", err)
	}
	var buffer [maxPayloadLength + sha256.Size]byte
	newest := r.signers[0]
	return newest.appendSealed(to, appendPayload(buffer[:0], newest.id, t)), nil
}

// appendSealed appends a ticket's payload and its MAC in their encoding.
func (s *signer) appendSealed(to, payload []byte) []byte {
	sum := s.mac(ticketDomain, payload, "")
	return base64.RawURLEncoding.AppendEncode(to, append(payload, sum[:]...))
}

// Verify gives the ticket that Sign was given. The error is ErrInvalid, for
// whatever reason.
func (r *Keyring) Verify(text string) (Ticket, error) {
	var buffer [MaxLength]byte
	sealed, ok := decodeText(&buffer, text)
	if !ok || len(sealed) < sha256.Size {
		return Ticket{}, ErrInvalid
	}
	payload, tag := sealed[:len(sealed)-sha256.Size], sealed[len(sealed)-sha256.Size:]
	if len(payload) < 1 || payload[0] != version {
		return Ticket{}, ErrInvalid
	}
	id, contents, ok := cutKeyID(payload[1:])
	if !ok {
		return Ticket{}, ErrInvalid
	}
	s := findSigner(r.signers, id)
	if s == nil {
		return Ticket{}, ErrInvalid
	}
	sum := s.mac(ticketDomain, payload, "")
	if !hmac.Equal(sum[:], tag) { // in constant time
		return Ticket{}, ErrInvalid
	}
	t, ok := parseContents(contents)
	if !ok {
		return Ticket{}, ErrInvalid
	}
	return t, nil
}
