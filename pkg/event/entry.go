package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TopicID is the id that Kafka gave a topic. A topic that is deleted and made
// again under the same name has another one: it is another log.
type TopicID [16]byte

// String gives the id as 32 hexadecimal digits.
func (id TopicID) String() string { return hex.EncodeToString(id[:]) }

// ParseTopicID reads what String writes.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("topic id %q is not 32 hexadecimal digits", s)
	}
	copy(id[:], raw)
	return id, nil
}

// Entry is a record as it lies in the log.
type Entry struct {
	Offset sale.Offset
	Time   sale.Time // the broker's timestamp
	Key    []byte
	Value  []byte
}

// Digest is the SHA-256 of an entry: offset, time, and the length-prefixed key
// and value.
type Digest [sha256.Size]byte

// Digest computes the entry's digest.
func (e Entry) Digest() Digest {
	head := make([]byte, 0, 32+len(e.Key))
	head = binary.BigEndian.AppendUint64(head, uint64(e.Offset))
	head = binary.BigEndian.AppendUint64(head, uint64(e.Time))
	head = binary.BigEndian.AppendUint64(head, uint64(len(e.Key)))
	head = append(head, e.Key...)
	head = binary.BigEndian.AppendUint64(head, uint64(len(e.Value)))
	hash := sha256.New()
	hash.Write(head)
	hash.Write(e.Value)
	return Digest(hash.Sum(nil))
}

// Record reads the entry as the core takes it.
func (e Entry) Record() sale.Record {
	return sale.Record{Offset: e.Offset, Time: e.Time, Product: sale.Product(e.Key), Body: Decode(e.Value)}
}

// String gives the digest as 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what String writes.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(d) {
		return d, fmt.Errorf("digest %q is not 64 hexadecimal digits", s)
	}
	copy(d[:], raw)
	return d, nil
}
