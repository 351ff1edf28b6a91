package redis

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// digestLength is the length of a key's digest: as many bytes as a pseudonym
// has. With a million buyers in memory every byte of a key counts, and Redis
// takes its memory in steps of 16.
const digestLength = 16

// saleID names a sale among all logs.
type saleID struct {
	log     event.TopicID
	product sale.Product
	sale    sale.Offset
}

func saleOf(ask ingress.Ask) saleID {
	return saleID{log: ask.Log, product: ask.Product, sale: ask.Sale}
}

// creditKey names the sale's credit. There is one for a sale: it can afford to
// be readable.
func creditKey(of saleID) string {
	return "c{" + string(of.product) + "}" + of.log.String() + ":" + strconv.FormatInt(int64(of.sale), 10)
}

// key names the buyer within the log and sale: "b{product}" and the first bytes
// of the SHA-256 of topic id, sale and pseudonym. The first two have a fixed
// length, so no two buyers give the same bytes.
func key(ask ingress.Ask) string {
	fields := make([]byte, 0, 128)
	fields = append(fields, ask.Log[:]...)
	fields = binary.BigEndian.AppendUint64(fields, uint64(ask.Sale))
	fields = append(fields, ask.Buyer...)
	digest := sha256.Sum256(fields)

	key := make([]byte, 0, len("b{}")+len(ask.Product)+digestLength)
	key = append(key, "b{"...)
	key = append(key, ask.Product...)
	key = append(key, '}')
	key = append(key, digest[:digestLength]...)
	return string(key)
}

// errNoHint is a stored value that is none. It stays an error until it expires
// or the buyer's next request takes its place.
var errNoHint = errors.New("redis holds a hint that cannot be read")

// appendHint writes offset, quantity and time as variable-length integers: 3
// bytes at least, commonly 10 to 12.
func appendHint(to []byte, hint *ingress.Hint) []byte {
	to = binary.AppendVarint(to, int64(hint.Offset))
	to = binary.AppendVarint(to, hint.Quantity)
	return binary.AppendVarint(to, int64(hint.AcceptedAt))
}

func decodeHint(encoded string) (*ingress.Hint, error) {
	var fields [3]int64
	rest := []byte(encoded)
	for i := range fields {
		field, length := binary.Varint(rest)
		if length <= 0 {
			return nil, errNoHint
		}
		fields[i], rest = field, rest[length:]
	}
	if len(rest) > 0 {
		return nil, errNoHint
	}
	return &ingress.Hint{Offset: sale.Offset(fields[0]), Quantity: fields[1], AcceptedAt: sale.Time(fields[2])}, nil
}
