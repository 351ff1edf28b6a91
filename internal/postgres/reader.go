package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// readTimeout bounds each of a Reader's calls, on top of the caller's context.
const readTimeout = 15 * time.Second

// readerSettings make every transaction one read-only snapshot.
func readerSettings() map[string]string {
	return map[string]string{
		"application_name":                    "anteroom reader",
		"default_transaction_isolation":       "repeatable read",
		"default_transaction_read_only":       "on",
		"idle_in_transaction_session_timeout": "10s",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "5s",
	}
}

// Reader is the ledger as those read it who cannot change it.
type Reader struct {
	pool *pool
}

var _ board.Ledger = (*Reader)(nil)

// NewReader makes a Reader, which connects when it is first used.
func NewReader(ctx context.Context, config Config) (*Reader, error) {
	pool, err := newPool(ctx, config, readerSettings())
	if err != nil {
		return nil, err
	}
	return &Reader{pool: pool}, nil
}

// Close closes the connections, after the calls that use them have returned.
func (r *Reader) Close() { r.pool.Close() }

// snapshot calls read in a transaction that sees one state of the database.
func (r *Reader) snapshot(ctx context.Context, read func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tx, err := r.pool.begin(ctx)
	if err != nil {
		return err
	}
	defer end(ctx, tx)
	return read(ctx, tx)
}

const (
	resultsBeyond = `SELECT command FROM results WHERE partition = $1 AND command >= $2 ORDER BY command DESC OFFSET $3 LIMIT 1`

	requestsWaiting = `SELECT request, sale, state, granted FROM requests
		WHERE partition = $1 AND state IN ('waitlisted', 'reserved')`

	resultsSince = `SELECT ` + resultColumns + ` FROM results WHERE partition = $1 AND command >= $2 ORDER BY command`
)

// Since implements [board.Ledger]. Of a partition that is being rebuilt it gives
// allocator.ErrRebuilding: what the ledger has of it is the past, and a board
// that knew nothing would tell it as the present. One that the ledger does not
// know is allocator.ErrNoPartition.
func (r *Reader) Since(ctx context.Context, partition int32, from sale.Offset, limit int) (board.Extract, error) {
	var extract board.Extract
	err := r.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) error {
		row, err := readPartition(ctx, tx, selectPartition, partition)
		if err != nil {
			return err
		}
		if row.rebuilding {
			return allocator.ErrRebuilding
		}
		extract = board.Extract{
			Topic: row.topic, Epoch: row.epoch, Watermark: row.next, Now: row.now, Stopped: row.stopped,
			From: from, OldestStart: row.oldestStart,
		}
		for _, query := range []string{requestsBeyond, resultsBeyond} {
			var beyond sale.Offset
			err := tx.QueryRow(ctx, query, partition, int64(from), max(limit, 0)).Scan(&beyond)
			if errors.Is(err, pgx.ErrNoRows) {
				continue
			}
			if err != nil {
				return fmt.Errorf("finding how far the limit reaches: %w", err)
			}
			extract.From = max(extract.From, beyond+1)
		}
		if extract.Requests, err = readAll(ctx, tx, scanRequest, requestsSince, partition, int64(extract.From)); err != nil {
			return fmt.Errorf("reading requests: %w", err)
		}
		if extract.Results, err = readAll(ctx, tx, scanResult, resultsSince, partition, int64(extract.From)); err != nil {
			return fmt.Errorf("reading results: %w", err)
		}
		if extract.From > from { // else all who wait are among the requests
			if extract.Waiting, err = readAll(ctx, tx, scanWaiting, requestsWaiting, partition); err != nil {
				return fmt.Errorf("reading those who wait: %w", err)
			}
		}
		if extract.Sales, err = readSales(ctx, tx, partition); err != nil {
			return err
		}
		extract.Starts, err = readStarts(ctx, tx, partition, row.oldestStart)
		return err
	})
	if err != nil {
		return board.Extract{}, fmt.Errorf("reading partition %d since offset %d: %w", partition, from, err)
	}
	return extract, nil
}

func scanWaiting(row pgx.CollectableRow) (w board.Waiting, err error) {
	err = row.Scan(&w.Offset, &w.Sale, &w.State, &w.Granted)
	return w, err
}

// Request implements [board.Ledger].
func (r *Reader) Request(ctx context.Context, partition int32, offset sale.Offset) (board.Found, error) {
	var found board.Found
	err := r.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) error {
		row, err := readPartition(ctx, tx, selectPartition, partition)
		if err != nil {
			return err
		}
		found.Watermark = row.next
		found.Row, err = readOne(ctx, tx, scanRequest,
			`SELECT `+requestColumns+` FROM requests WHERE partition = $1 AND request = $2`, partition, int64(offset))
		if err != nil {
			return fmt.Errorf("reading the request's row: %w", err)
		}
		return nil
	})
	if err != nil {
		return board.Found{}, fmt.Errorf("reading request %d-%d: %w", partition, offset, err)
	}
	return found, nil
}

// Result implements [board.Ledger]. One that is missing because the partition is
// being rebuilt is allocator.ErrRebuilding.
func (r *Reader) Result(ctx context.Context, partition int32, command sale.Offset) (sale.Result, bool, error) {
	var result *sale.Result
	err := r.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		result, err = readOne(ctx, tx, scanResult,
			`SELECT `+resultColumns+` FROM results WHERE partition = $1 AND command = $2`, partition, int64(command))
		if err != nil || result != nil {
			return err
		}
		row, err := readPartition(ctx, tx, selectPartition, partition)
		if err == nil && row.rebuilding {
			err = allocator.ErrRebuilding
		}
		return err
	})
	if err != nil {
		return sale.Result{}, false, fmt.Errorf("reading the result of command %d-%d: %w", partition, command, err)
	}
	if result == nil {
		return sale.Result{}, false, nil
	}
	return *result, true, nil
}

// readOne reads the row that a query gives, or nil if it gives none.
func readOne[Row any](ctx context.Context, tx pgx.Tx, scan pgx.RowToFunc[Row], query string, arguments ...any) (*Row, error) {
	rows, err := readAll(ctx, tx, scan, query, arguments...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}
