package ticket

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrUnknownKey says that a sale names a buyer key that is not set, or not any
// more: its buyers are forgotten.
var ErrUnknownKey = errors.New("unknown buyer key")

const pseudonymLength = 16

// Pseudonyms names buyers in the log without telling who they are: the same
// buyer has one name within a sale, and unrelated names in different sales.
type Pseudonyms struct {
	signers []*signer // newest first, at least one
}

// NewPseudonyms fails as NewKeyring does.
func NewPseudonyms(keys Keys) (*Pseudonyms, error) {
	if err := keys.validate(); err != nil {
		return nil, fmt.Errorf("making a buyer keyring: %w", err)
	}
	return &Pseudonyms{signers: newSigners(keys)}, nil
}

// Newest gives the id of the key that a new sale names and all of its buys use.
func (p *Pseudonyms) Newest() string {
	return p.signers[0].id
}

// Of gives a buyer's name within the sale that was created at offset sale of a
// log's partition, under the key that the sale names: 22 characters of
// base64url. An unknown key id gives ErrUnknownKey.
func (p *Pseudonyms) Of(keyID string, log LogID, partition int32, sale int64, buyer string) (string, error) {
	s := findSigner(p.signers, keyID)
	if s == nil {
		return "", ErrUnknownKey
	}
	// Every field has a fixed length or says its own, so no two different
	// buyers of sales give the same bytes.
	var buffer [len(log) + 4 + 8 + binary.MaxVarintLen64]byte
	fields := append(buffer[:0], log[:]...)
	fields = binary.BigEndian.AppendUint32(fields, uint32(partition))
	fields = binary.BigEndian.AppendUint64(fields, uint64(sale))
	fields = binary.AppendUvarint(fields, uint64(len(buyer)))
	sum := s.mac(pseudonymDomain, fields, buyer)
	return base64.RawURLEncoding.EncodeToString(sum[:pseudonymLength]), nil
}
