package ticket

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrInvalid is the one answer to everything that is forged, truncated,
// malformed, or signed by a key that is not in the keyring.
var ErrInvalid = errors.New("invalid ticket")

// Bounds of a ticket's numbers. They keep the longest ticket below MaxLength,
// and are far beyond what a log reaches.
const (
	MaxPartition  = 1<<21 - 1
	MaxOffset     = 1<<48 - 1 // of requests and of sales
	MaxQuantity   = 1<<31 - 1
	MaxAcceptedAt = 1<<48 - 1

	// MaxLength bounds a ticket's text, in bytes. The longest ticket that can
	// be made has 191.
	MaxLength = 200

	maxProductLength = 64
)

// LogID tells one log from another: a ticket from a topic that was deleted and
// made again does not pass for one of the new topic.
type LogID [8]byte

// LogIDOf gives the first 8 bytes of a topic's id.
func LogIDOf(topicID [16]byte) LogID {
	return LogID(topicID[:8])
}

// Ticket is what a signed ticket says about its request. All of it can be read
// by whoever has the ticket; none of it can be changed.
type Ticket struct {
	Log        LogID
	Partition  int32
	Offset     int64 // of the request's record
	Sale       int64 // offset of the sale's sale.create record, in the same partition
	Product    string
	Quantity   int
	AcceptedAt int64 // ms since the Unix epoch, UTC
}

// PublicID names the ticket's request where the ticket itself must not appear.
func (t Ticket) PublicID() string {
	return PublicID(t.Partition, t.Offset)
}

func (t Ticket) validate() error {
	if t.Partition < 0 || t.Partition > MaxPartition {
		return fmt.Errorf("partition %d is outside 0 to %d", t.Partition, MaxPartition)
	}
	if t.Offset < 0 || t.Offset > MaxOffset {
		return fmt.Errorf("offset %d is outside 0 to %d", t.Offset, int64(MaxOffset))
	}
	if t.Sale < 0 || t.Sale > MaxOffset {
		return fmt.Errorf("sale %d is outside 0 to %d", t.Sale, int64(MaxOffset))
	}
	if t.Quantity < 1 || t.Quantity > MaxQuantity {
		return fmt.Errorf("quantity %d is outside 1 to %d", t.Quantity, MaxQuantity)
	}
	if t.AcceptedAt < 0 || t.AcceptedAt > MaxAcceptedAt {
		return fmt.Errorf("time of acceptance %d is outside 0 to %d", t.AcceptedAt, int64(MaxAcceptedAt))
	}
	if !isProduct(t.Product) {
		return fmt.Errorf("product is not 1 to %d of a-z 0-9 . _ -, starting with a letter or digit", maxProductLength)
	}
	return nil
}

func isProduct(product string) bool {
	if len(product) < 1 || len(product) > maxProductLength {
		return false
	}
	for i := range len(product) {
		switch c := product[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// The payload of a ticket, all of it under the MAC that follows it:
//
//	version      1 byte
//	key id       1 byte length, then 1 to 8 of a-z 0-9
//	log          8 bytes
//	partition    uvarint
//	offset       uvarint
//	sale         uvarint
//	quantity     uvarint
//	accepted at  uvarint
//	product      the rest
const (
	version = 1

	maxPayloadLength = 1 + (1 + maxKeyIDLength) + 8 + 3 + 7 + 7 + 5 + 7 + maxProductLength
)

// appendPayload encodes a ticket that is valid.
func appendPayload(dst []byte, keyID string, t Ticket) []byte {
	dst = append(dst, version)
	dst = appendKeyID(dst, keyID)
	dst = append(dst, t.Log[:]...)
	dst = binary.AppendUvarint(dst, uint64(t.Partition))
	dst = binary.AppendUvarint(dst, uint64(t.Offset))
	dst = binary.AppendUvarint(dst, uint64(t.Sale))
	dst = binary.AppendUvarint(dst, uint64(t.Quantity))
	dst = binary.AppendUvarint(dst, uint64(t.AcceptedAt))
	return append(dst, t.Product...)
}

// parseContents reads what follows the key id. It accepts exactly what
// appendPayload writes.
func parseContents(contents []byte) (Ticket, bool) {
	var t Ticket
	// Where the log's id is cut short, nothing is left for the numbers.
	rest := contents[copy(t.Log[:], contents):]
	var numbers [5]uint64
	for i, limit := range [...]uint64{MaxPartition, MaxOffset, MaxOffset, MaxQuantity, MaxAcceptedAt} {
		number, length := uvarint(rest)
		if length == 0 || number > limit {
			return Ticket{}, false
		}
		numbers[i], rest = number, rest[length:]
	}
	t.Partition = int32(numbers[0])
	t.Offset = int64(numbers[1])
	t.Sale = int64(numbers[2])
	t.Quantity = int(numbers[3])
	t.AcceptedAt = int64(numbers[4])
	t.Product = string(rest)
	if t.validate() != nil {
		return Ticket{}, false
	}
	return t, true
}

// uvarint reads a number in its shortest encoding; a length of 0 means that
// there is none.
func uvarint(b []byte) (number uint64, length int) {
	number, length = binary.Uvarint(b)
	// A last byte of 0 adds nothing: the same number has a shorter encoding.
	if length < 1 || (length > 1 && b[length-1] == 0) {
		return 0, 0
	}
	return number, length
}
