package postgres

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Most of the requests that a crowd's batch makes are alike: their own records
// decided them, in one sale and in one way. What such ones share is sent once,
// and their arrays are written as the server reads them. Left to pgx, which asks
// a codec about each value, all columns of all rows are arrays.
const insertAlike = `
	INSERT INTO requests (partition, ` + requestColumns + `)
	SELECT $1, request, $2, $3, buyer, $4, accepted_at, $5, $6, $7, CASE WHEN $8 THEN request ELSE -1 END,
		$9, request, decided_at, $10, $11
	FROM (SELECT unnest($12) AS request, unnest($13) AS buyer, unnest($14) AS accepted_at, unnest($15) AS decided_at) AS batch`

const (
	// Fewer are not worth a statement of their own.
	leastAlike = 100
	// More are several statements, so that what is sent stays small.
	mostAlike = 5000
)

// shape is what requests that are alike have in common.
type shape struct {
	sale     sale.Offset
	product  sale.Product
	quantity int64
	state    sale.State
	reason   sale.Reason
	first    sale.Offset
	holds    bool // since its own record
	payment  string
	granted  sale.Offset
	holdFor  sale.Time
}

// shapeOf is false for a request that a later record than its own decided.
func shapeOf(r *sale.Request) (shape, bool) {
	holds := r.HeldSince == r.Offset
	return shape{
		r.Sale, r.Product, r.Quantity, r.State, r.Reason, r.First, holds, r.Payment, r.Granted, r.HoldFor,
	}, r.Cause == r.Offset && (holds || r.HeldSince == sale.None)
}

// group is requests that are alike.
type group struct {
	shape shape
	rows  []*sale.Request
}

// alike tells the requests that are like many others from those that are not.
func alike(requests []sale.Request) (groups []group, others []sale.Request) {
	if len(requests) < leastAlike {
		return nil, requests
	}
	places := make(map[shape]int) // in groups
	last := -1                    // of the request before; most are like it
	for i := range requests {
		r := &requests[i]
		of, simple := shapeOf(r)
		if !simple {
			others = append(others, *r)
			continue
		}
		if last < 0 || groups[last].shape != of {
			place, known := places[of]
			if !known {
				place = len(groups)
				places[of] = place
				groups = append(groups, group{shape: of})
			}
			last = place
		}
		groups[last].rows = append(groups[last].rows, r)
	}
	groups = slices.DeleteFunc(groups, func(g group) bool {
		if len(g.rows) >= leastAlike {
			return false
		}
		for _, r := range g.rows {
			others = append(others, *r)
		}
		return true
	})
	return groups, others
}

// insert writes new requests that are alike.
func (g *group) insert(ctx context.Context, tx pgx.Tx, partition int32) error {
	for rows := range slices.Chunk(g.rows, mostAlike) {
		if err := g.insertChunk(ctx, tx, partition, rows); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) insertChunk(ctx context.Context, tx pgx.Tx, partition int32, rows []*sale.Request) error {
	var p parameters
	p.text(pgtype.Int4OID, strconv.Itoa(int(partition)))
	s := &g.shape
	p.number(int64(s.sale))
	p.text(pgtype.TextOID, string(s.product))
	p.number(s.quantity)
	p.text(pgtype.TextOID, string(s.state))
	p.text(pgtype.TextOID, string(s.reason))
	p.number(int64(s.first))
	p.text(pgtype.BoolOID, strconv.FormatBool(s.holds))
	p.text(pgtype.TextOID, s.payment)
	p.number(int64(s.granted))
	p.number(int64(s.holdFor))
	p.numbers(rows, func(r *sale.Request) int64 { return int64(r.Offset) })
	p.texts(rows, func(r *sale.Request) string { return string(r.Buyer) })
	p.numbers(rows, func(r *sale.Request) int64 { return int64(r.AcceptedAt) })
	p.numbers(rows, func(r *sale.Request) int64 { return int64(r.DecidedAt) })
	return tx.Conn().PgConn().ExecParams(ctx, insertAlike, p.values, p.types, p.formats, nil).Read().Err
}

// parameters are a statement's, as the protocol has them.
type parameters struct {
	values  [][]byte
	types   []uint32
	formats []int16
}

func (p *parameters) add(kind uint32, format int16, value []byte) {
	p.values, p.types, p.formats = append(p.values, value), append(p.types, kind), append(p.formats, format)
}

func (p *parameters) text(kind uint32, value string) {
	p.add(kind, pgx.TextFormatCode, []byte(value))
}

func (p *parameters) number(value int64) {
	p.text(pgtype.Int8OID, strconv.FormatInt(value, 10))
}

func (p *parameters) numbers(rows []*sale.Request, of func(*sale.Request) int64) {
	array := arrayOf(pgtype.Int8OID, len(rows), 8*len(rows))
	for _, r := range rows {
		array = binary.BigEndian.AppendUint32(array, 8)
		array = binary.BigEndian.AppendUint64(array, uint64(of(r)))
	}
	p.add(pgtype.Int8ArrayOID, pgx.BinaryFormatCode, array)
}

func (p *parameters) texts(rows []*sale.Request, of func(*sale.Request) string) {
	bytes := 0
	for _, r := range rows {
		bytes += len(of(r))
	}
	array := arrayOf(pgtype.TextOID, len(rows), bytes)
	for _, r := range rows {
		text := of(r)
		array = binary.BigEndian.AppendUint32(array, uint32(len(text)))
		array = append(array, text...)
	}
	p.add(pgtype.TextArrayOID, pgx.BinaryFormatCode, array)
}

// arrayOf begins an array of so many values, none of which is NULL, with room
// for so many bytes of them: as array_recv of Postgres reads it, the number of
// dimensions, whether there are NULLs, the type, how many values, and the first
// one's index, each in 4 bytes. Each value follows its length.
func arrayOf(kind uint32, values, bytes int) []byte {
	array := make([]byte, 0, 5*4+4*values+bytes)
	for _, n := range []uint32{1, 0, kind, uint32(values), 1} {
		array = binary.BigEndian.AppendUint32(array, n)
	}
	return array
}
