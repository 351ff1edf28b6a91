package postgres

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// column makes the array of one column's values, which unnest turns back into
// rows.
func column[Row, Value any](rows []Row, of func(*Row) Value) []Value {
	values := make([]Value, len(rows))
	for i := range rows {
		values[i] = of(&rows[i])
	}
	return values
}

// Each table's columns are named once, in the order in which the functions
// below read and write them.
const (
	requestColumns = `request, sale, product, buyer, quantity, accepted_at, state, reason, first, held_since, payment, cause, decided_at`
	requestArrays  = `$2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[]`

	resultColumns = `command, product, sale, request, code, decided_at`
	resultArrays  = `$2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[]`

	startColumns = `below, at, cause`
	startArrays  = `$2::bigint[], $3::bigint[], $4::bigint[]`

	saleColumns = `sale, product, rules, buyer_key, quantity, hold_seconds, per_buyer_limit, max_quantity_per_request, policy, stage, created_at, version, revision, available, reserved, held, confirmed, requests, sold_out, rejected, defaults`
	saleArrays  = `$2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::jsonb[]`
)

func requestArguments(partition int32, rows []sale.Request) []any {
	return []any{
		partition,
		column(rows, func(r *sale.Request) int64 { return int64(r.Offset) }),
		column(rows, func(r *sale.Request) int64 { return int64(r.Sale) }),
		column(rows, func(r *sale.Request) string { return string(r.Product) }),
		column(rows, func(r *sale.Request) string { return string(r.Buyer) }),
		column(rows, func(r *sale.Request) int64 { return r.Quantity }),
		column(rows, func(r *sale.Request) int64 { return int64(r.AcceptedAt) }),
		column(rows, func(r *sale.Request) string { return string(r.State) }),
		column(rows, func(r *sale.Request) string { return string(r.Reason) }),
		column(rows, func(r *sale.Request) int64 { return int64(r.First) }),
		column(rows, func(r *sale.Request) int64 { return int64(r.HeldSince) }),
		column(rows, func(r *sale.Request) string { return r.Payment }),
		column(rows, func(r *sale.Request) int64 { return int64(r.Cause) }),
		column(rows, func(r *sale.Request) int64 { return int64(r.DecidedAt) }),
	}
}

func scanRequest(row pgx.CollectableRow) (r sale.Request, err error) {
	err = row.Scan(&r.Offset, &r.Sale, &r.Product, &r.Buyer, &r.Quantity, &r.AcceptedAt,
		&r.State, &r.Reason, &r.First, &r.HeldSince, &r.Payment, &r.Cause, &r.DecidedAt)
	return r, err
}

func resultArguments(partition int32, rows []sale.Result) []any {
	return []any{
		partition,
		column(rows, func(r *sale.Result) int64 { return int64(r.Command) }),
		column(rows, func(r *sale.Result) string { return string(r.Product) }),
		column(rows, func(r *sale.Result) int64 { return int64(r.Sale) }),
		column(rows, func(r *sale.Result) int64 { return int64(r.Request) }),
		column(rows, func(r *sale.Result) string { return string(r.Code) }),
		column(rows, func(r *sale.Result) int64 { return int64(r.Time) }),
	}
}

func scanResult(row pgx.CollectableRow) (r sale.Result, err error) {
	err = row.Scan(&r.Command, &r.Product, &r.Sale, &r.Request, &r.Code, &r.Time)
	return r, err
}

func startArguments(partition int32, rows []sale.Start) []any {
	return []any{
		partition,
		column(rows, func(s *sale.Start) int64 { return int64(s.Below) }),
		column(rows, func(s *sale.Start) int64 { return int64(s.At) }),
		column(rows, func(s *sale.Start) int64 { return int64(s.Cause) }),
	}
}

func scanStart(row pgx.CollectableRow) (s sale.Start, err error) {
	err = row.Scan(&s.Below, &s.At, &s.Cause)
	return s, err
}

func saleArguments(partition int32, rows []sale.Sale) ([]any, error) {
	defaults := make([]string, len(rows))
	for i := range rows {
		encoded, err := json.Marshal(rows[i].Defaults)
		if err != nil {
			return nil, fmt.Errorf("encoding the defaults of sale %d: %w", rows[i].ID, err)
		}
		defaults[i] = string(encoded)
	}
	return []any{
		partition,
		column(rows, func(s *sale.Sale) int64 { return int64(s.ID) }),
		column(rows, func(s *sale.Sale) string { return string(s.Product) }),
		column(rows, func(s *sale.Sale) int64 { return int64(s.Rules) }),
		column(rows, func(s *sale.Sale) string { return s.BuyerKey }),
		column(rows, func(s *sale.Sale) int64 { return s.Quantity }),
		column(rows, func(s *sale.Sale) int64 { return s.HoldSeconds }),
		column(rows, func(s *sale.Sale) int64 { return s.PerBuyerLimit }),
		column(rows, func(s *sale.Sale) int64 { return s.MaxQuantityPerRequest }),
		column(rows, func(s *sale.Sale) string { return string(s.Policy) }),
		column(rows, func(s *sale.Sale) string { return string(s.Stage) }),
		column(rows, func(s *sale.Sale) int64 { return int64(s.CreatedAt) }),
		column(rows, func(s *sale.Sale) int64 { return s.Version }),
		column(rows, func(s *sale.Sale) int64 { return int64(s.Revision) }),
		column(rows, func(s *sale.Sale) int64 { return s.Available }),
		column(rows, func(s *sale.Sale) int64 { return s.Reserved }),
		column(rows, func(s *sale.Sale) int64 { return s.Held }),
		column(rows, func(s *sale.Sale) int64 { return s.Confirmed }),
		column(rows, func(s *sale.Sale) int64 { return s.Requests }),
		column(rows, func(s *sale.Sale) int64 { return s.SoldOut }),
		column(rows, func(s *sale.Sale) int64 { return s.Rejected }),
		defaults,
	}, nil
}

func scanSale(row pgx.CollectableRow) (s sale.Sale, err error) {
	var defaults []byte
	if err := row.Scan(saleTargets(&s, &defaults)...); err != nil {
		return s, err
	}
	return s, decodeDefaults(&s, defaults)
}

// saleTargets is where the values of saleColumns go.
func saleTargets(s *sale.Sale, defaults *[]byte) []any {
	return []any{
		&s.ID, &s.Product, &s.Rules, &s.BuyerKey, &s.Quantity, &s.HoldSeconds, &s.PerBuyerLimit,
		&s.MaxQuantityPerRequest, &s.Policy, &s.Stage, &s.CreatedAt, &s.Version, &s.Revision, &s.Available,
		&s.Reserved, &s.Held, &s.Confirmed, &s.Requests, &s.SoldOut, &s.Rejected, defaults,
	}
}

func decodeDefaults(s *sale.Sale, encoded []byte) error {
	if err := json.Unmarshal(encoded, &s.Defaults); err != nil {
		return fmt.Errorf("decoding the defaults of sale %d: %w", s.ID, err)
	}
	return nil
}

const (
	selectSales    = `SELECT ` + saleColumns + ` FROM sales WHERE partition = $1 ORDER BY sale`
	selectStarts   = `SELECT ` + startColumns + ` FROM starts WHERE partition = $1 AND below >= $2 ORDER BY below`
	selectRequests = `SELECT ` + requestColumns + ` FROM requests WHERE partition = `
)

func readSales(ctx context.Context, tx pgx.Tx, partition int32) ([]sale.Sale, error) {
	sales, err := readAll(ctx, tx, scanSale, selectSales, partition)
	if err != nil {
		return nil, fmt.Errorf("reading the partition's sales: %w", err)
	}
	return sales, nil
}

func readStarts(ctx context.Context, tx pgx.Tx, partition int32, oldest sale.Offset) ([]sale.Start, error) {
	starts, err := readAll(ctx, tx, scanStart, selectStarts, partition, int64(oldest))
	if err != nil {
		return nil, fmt.Errorf("reading the partition's starts: %w", err)
	}
	return starts, nil
}

// readAll reads what a query gives.
func readAll[Row any](ctx context.Context, tx pgx.Tx, scan pgx.RowToFunc[Row], query string, arguments ...any) ([]Row, error) {
	rows, err := tx.Query(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}
