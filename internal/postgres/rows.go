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
	requestColumns = `request, sale, product, buyer, quantity, accepted_at, state, reason, first, held_since, payment, cause, decided_at, granted, hold_for`
	requestArrays  = `$2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[]`
	// The same, as columns of a SELECT.
	requestUnnested = `unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]), unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::text[]), unnest($9::text[]), unnest($10::bigint[]), unnest($11::bigint[]), unnest($12::text[]), unnest($13::bigint[]), unnest($14::bigint[]), unnest($15::bigint[]), unnest($16::bigint[])`

	resultColumns = `command, product, sale, request, code, decided_at`
	resultArrays  = `$2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[]`

	startColumns = `below, at, cause`
	startArrays  = `$2::bigint[], $3::bigint[], $4::bigint[]`

	saleColumns = `sale, product, rules, buyer_key, quantity, hold_seconds, per_buyer_limit, max_quantity_per_request, policy, stage, created_at, version, revision, available, reserved, held, confirmed, requests, sold_out, rejected, defaults, max_hold_seconds, waitlist_capacity, opens_at, closes_at, admit_per_second, max_active_holds, checkout_url, waitlisted, parked, opened_at, closed_at, pauses, pace, retired_at`
	saleArrays  = `$2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::jsonb[], $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[], $29::text[], $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[], $34::jsonb[], $35::jsonb[], $36::bigint[]`
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
		column(rows, func(r *sale.Request) int64 { return int64(r.Granted) }),
		column(rows, func(r *sale.Request) int64 { return int64(r.HoldFor) }),
	}
}

func scanRequest(row pgx.CollectableRow) (r sale.Request, err error) {
	err = row.Scan(&r.Offset, &r.Sale, &r.Product, &r.Buyer, &r.Quantity, &r.AcceptedAt,
		&r.State, &r.Reason, &r.First, &r.HeldSince, &r.Payment, &r.Cause, &r.DecidedAt, &r.Granted, &r.HoldFor)
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
	defaults, err := encoded(rows, func(s *sale.Sale) any { return s.Defaults })
	if err != nil {
		return nil, fmt.Errorf("encoding the defaults of sales: %w", err)
	}
	pauses, err := encoded(rows, func(s *sale.Sale) any { return s.Pauses })
	if err != nil {
		return nil, fmt.Errorf("encoding the pauses of sales: %w", err)
	}
	pace, err := encoded(rows, func(s *sale.Sale) any { return s.Pace })
	if err != nil {
		return nil, fmt.Errorf("encoding the pace of sales: %w", err)
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
		column(rows, func(s *sale.Sale) int64 { return s.MaxHoldSeconds }),
		column(rows, func(s *sale.Sale) int64 { return s.WaitlistCapacity }),
		column(rows, func(s *sale.Sale) int64 { return int64(s.OpensAt) }),
		column(rows, func(s *sale.Sale) int64 { return int64(s.ClosesAt) }),
		column(rows, func(s *sale.Sale) int64 { return s.AdmitPerSecond }),
		column(rows, func(s *sale.Sale) int64 { return s.MaxActiveHolds }),
		column(rows, func(s *sale.Sale) string { return s.CheckoutURL }),
		column(rows, func(s *sale.Sale) int64 { return s.Waitlisted }),
		column(rows, func(s *sale.Sale) int64 { return s.Parked }),
		column(rows, func(s *sale.Sale) int64 { return int64(s.OpenedAt) }),
		column(rows, func(s *sale.Sale) int64 { return int64(s.ClosedAt) }),
		pauses,
		pace,
		column(rows, func(s *sale.Sale) int64 { return int64(s.RetiredAt) }),
	}, nil
}

// encoded makes the array of one column's values, as JSON.
func encoded(rows []sale.Sale, of func(*sale.Sale) any) ([]string, error) {
	values := make([]string, len(rows))
	for i := range rows {
		value, err := json.Marshal(of(&rows[i]))
		if err != nil {
			return nil, err
		}
		values[i] = string(value)
	}
	return values, nil
}

func scanSale(row pgx.CollectableRow) (s sale.Sale, err error) {
	var parts saleParts
	if err := row.Scan(saleTargets(&s, &parts)...); err != nil {
		return s, err
	}
	return s, parts.decode(&s)
}

// saleParts are the columns of a sale that are JSON.
type saleParts struct {
	defaults, pauses, pace []byte
}

// saleTargets is where the values of saleColumns go.
func saleTargets(s *sale.Sale, parts *saleParts) []any {
	return []any{
		&s.ID, &s.Product, &s.Rules, &s.BuyerKey, &s.Quantity, &s.HoldSeconds, &s.PerBuyerLimit,
		&s.MaxQuantityPerRequest, &s.Policy, &s.Stage, &s.CreatedAt, &s.Version, &s.Revision, &s.Available,
		&s.Reserved, &s.Held, &s.Confirmed, &s.Requests, &s.SoldOut, &s.Rejected, &parts.defaults,
		&s.MaxHoldSeconds, &s.WaitlistCapacity, &s.OpensAt, &s.ClosesAt, &s.AdmitPerSecond, &s.MaxActiveHolds,
		&s.CheckoutURL, &s.Waitlisted, &s.Parked, &s.OpenedAt, &s.ClosedAt, &parts.pauses, &parts.pace,
		&s.RetiredAt,
	}
}

func (p *saleParts) decode(s *sale.Sale) error {
	for _, part := range []struct {
		what  string
		value []byte
		into  any
	}{
		{"defaults", p.defaults, &s.Defaults},
		{"pauses", p.pauses, &s.Pauses},
		{"pace", p.pace, &s.Pace},
	} {
		if err := json.Unmarshal(part.value, part.into); err != nil {
			return fmt.Errorf("decoding the %s of sale %d: %w", part.what, s.ID, err)
		}
	}
	if len(s.Pauses) == 0 {
		s.Pauses = nil // as the core has it
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
