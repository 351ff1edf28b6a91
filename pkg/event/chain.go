package event

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Chain is a chained SHA-256: each link is the digest of the one before and of
// an item, so that its head stands for every item and their order. Where a chain
// begins its head is 32 zeros.
//
// A partition has two: one over its records and one over its decisions. They do
// not depend on where batches begin or end.
type Chain struct {
	head   Digest
	buffer []byte // of the last link, for the next one to use
}

// NewChain goes on from a head.
func NewChain(head Digest) *Chain { return &Chain{head: head} }

// Head is the digest of all that was added.
func (c *Chain) Head() Digest { return c.head }

// AddEntry adds a record as it lies in the log: its offset and time, 8 bytes
// each, and key and value, each after its length in 8 bytes; numbers are
// big-endian.
func (c *Chain) AddEntry(e *Entry) {
	b := append(c.buffer[:0], c.head[:]...) //nolint:gocritic // link keeps it for the next one
	b = binary.BigEndian.AppendUint64(b, uint64(e.Offset))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Time))
	b = binary.BigEndian.AppendUint64(b, uint64(len(e.Key)))
	b = append(b, e.Key...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(e.Value)))
	b = append(b, e.Value...)
	c.link(b)
}

// AddDecision adds a decision: each of its fields that is not empty, in the
// order below, as a byte that names the field and its value. A number is a
// zigzag varint, a text follows its length as an unsigned one; offsets are one
// more, so that none is 0, and so is left out. Since empty fields are left out,
// one that comes with a later version changes no digest of what was decided
// without it.
func (c *Chain) AddDecision(d *sale.Decision) {
	f := fields(append(c.buffer[:0], c.head[:]...))
	f.offset(1, d.Cause)
	f.number(2, int64(d.Index))
	f.number(3, int64(d.Time))
	f.number(4, int64(d.Kind))
	switch d.Kind {
	case sale.OfRequest:
		r := &d.Request
		if d.Default {
			f.number(5, 1)
		}
		f.offset(6, r.Offset)
		f.offset(7, r.Sale)
		f.text(8, string(r.Product))
		f.text(9, string(r.Buyer))
		f.number(10, r.Quantity)
		f.number(11, int64(r.AcceptedAt))
		f.text(12, string(r.State))
		f.text(13, string(r.Reason))
		f.offset(14, r.First)
		f.number(15, int64(r.Granted))
		f.offset(16, r.HeldSince)
		f.number(17, int64(r.HoldFor))
		f.text(18, r.Payment)
	case sale.OfCommand:
		r := &d.Result
		f.offset(19, r.Command)
		f.text(8, string(r.Product))
		f.offset(7, r.Sale)
		f.offset(6, r.Request)
		f.text(20, string(r.Code))
	case sale.OfStart:
		f.offset(21, d.Start.Below)
		f.number(22, int64(d.Start.At))
	}
	c.link(f)
}

func (c *Chain) link(b []byte) {
	c.buffer = b
	c.head = sha256.Sum256(b)
}

// fields is what a decision's fields are written to.
type fields []byte

func (f *fields) number(name byte, value int64) {
	if value != 0 {
		*f = binary.AppendVarint(append(*f, name), value)
	}
}

func (f *fields) offset(name byte, value sale.Offset) { f.number(name, int64(value)+1) }

func (f *fields) text(name byte, value string) {
	if value != "" {
		*f = binary.AppendUvarint(append(*f, name), uint64(len(value)))
		*f = append(*f, value...)
	}
}

// MarkBytes is how long a mark is.
const MarkBytes = 4

// AppendMark appends the first bytes of the head: kept for every record, they
// tell at which one a chain departs from another.
func (c *Chain) AppendMark(to []byte) []byte { return append(to, c.head[:MarkBytes]...) }
