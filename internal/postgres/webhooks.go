package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/webhook"
)

const webhooksTimeout = 5 * time.Second

const webhookColumns = `id, type, url, body, attempts, last_status, last_error, failed_at, next_attempt, dead`

// Webhooks keeps the messages to shops that could not be delivered. They are no
// part of the fold of the log: a rebuild does not bring them back.
type Webhooks struct {
	pool *pool
}

var _ webhook.Store = (*Webhooks)(nil)

// NewWebhooks makes a Webhooks, which connects when it is first used.
func NewWebhooks(ctx context.Context, config Config) (*Webhooks, error) {
	pool, err := newPool(ctx, config, map[string]string{
		"application_name":                    "anteroom webhooks",
		"idle_in_transaction_session_timeout": "5s",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "5s",
	})
	if err != nil {
		return nil, err
	}
	return &Webhooks{pool: pool}, nil
}

// Close closes the connections, after the calls that use them have returned.
func (w *Webhooks) Close() { w.pool.Close() }

// Keep implements [webhook.Store].
func (w *Webhooks) Keep(ctx context.Context, k webhook.Kept) error {
	_, err := w.execute(ctx, `
		INSERT INTO webhooks (`+webhookColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO NOTHING`,
		k.ID, k.Type, printable(k.URL), k.Body, k.Attempts, k.LastStatus, printable(k.LastError),
		k.FailedAt.UnixMilli(), k.NextAttempt.UnixMilli(), k.Dead)
	if err != nil {
		return fmt.Errorf("keeping webhook %s: %w", k.ID, err)
	}
	return nil
}

// Due implements [webhook.Store].
func (w *Webhooks) Due(ctx context.Context, now, until time.Time, limit int) ([]webhook.Kept, error) {
	due, err := w.read(ctx, `
		UPDATE webhooks SET next_attempt = $2 WHERE id IN (
			SELECT id FROM webhooks WHERE NOT dead AND next_attempt <= $1
			ORDER BY next_attempt LIMIT $3 FOR UPDATE SKIP LOCKED)
		RETURNING `+webhookColumns, now.UnixMilli(), until.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for webhooks that are due: %w", err)
	}
	return due, nil
}

// Failed implements [webhook.Store].
func (w *Webhooks) Failed(ctx context.Context, k webhook.Kept) error {
	_, err := w.execute(ctx, `
		UPDATE webhooks SET url = $2, attempts = $3, last_status = $4, last_error = $5, failed_at = $6, next_attempt = $7, dead = $8
		WHERE id = $1`,
		k.ID, printable(k.URL), k.Attempts, k.LastStatus, printable(k.LastError),
		k.FailedAt.UnixMilli(), k.NextAttempt.UnixMilli(), k.Dead)
	if err != nil {
		return fmt.Errorf("noting an attempt at webhook %s: %w", k.ID, err)
	}
	return nil
}

// Delivered implements [webhook.Store].
func (w *Webhooks) Delivered(ctx context.Context, id string) error {
	if _, err := w.execute(ctx, `DELETE FROM webhooks WHERE id = $1`, id); err != nil {
		return fmt.Errorf("dropping webhook %s: %w", id, err)
	}
	return nil
}

// Waiting implements [webhook.Store].
func (w *Webhooks) Waiting(ctx context.Context) (waiting int, err error) {
	ctx, cancel := context.WithTimeout(ctx, webhooksTimeout)
	defer cancel()
	err = w.pool.within(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM webhooks WHERE NOT dead`).Scan(&waiting)
	})
	if err != nil {
		return 0, fmt.Errorf("counting webhooks: %w", err)
	}
	return waiting, nil
}

// Dead gives the dead messages, the oldest failure first, at most limit.
func (w *Webhooks) Dead(ctx context.Context, limit int) ([]webhook.Kept, error) {
	dead, err := w.read(ctx, `SELECT `+webhookColumns+` FROM webhooks WHERE dead ORDER BY failed_at, id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("listing dead webhooks: %w", err)
	}
	return dead, nil
}

// Revive has dead messages tried again now, with all their attempts anew: those
// with the ids, or all of them with none. It gives how many there were.
func (w *Webhooks) Revive(ctx context.Context, ids ...string) (revived int64, err error) {
	revived, err = w.execute(ctx, `
		UPDATE webhooks SET dead = false, attempts = 0, next_attempt = 0
		WHERE dead AND (cardinality($1::text[]) = 0 OR id = ANY ($1))`, append([]string{}, ids...))
	if err != nil {
		return 0, fmt.Errorf("reviving dead webhooks: %w", err)
	}
	return revived, nil
}

func (w *Webhooks) execute(ctx context.Context, statement string, arguments ...any) (rows int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, webhooksTimeout)
	defer cancel()
	err = w.pool.within(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, statement, arguments...)
		rows = tag.RowsAffected()
		return err
	})
	return rows, err
}

func (w *Webhooks) read(ctx context.Context, query string, arguments ...any) (all []webhook.Kept, err error) {
	ctx, cancel := context.WithTimeout(ctx, webhooksTimeout)
	defer cancel()
	err = w.pool.within(ctx, func(tx pgx.Tx) error {
		all, err = readAll(ctx, tx, scanWebhook, query, arguments...)
		return err
	})
	return all, err
}

func scanWebhook(row pgx.CollectableRow) (k webhook.Kept, err error) {
	var failedAt, nextAttempt int64
	err = row.Scan(&k.ID, &k.Type, &k.URL, &k.Body, &k.Attempts, &k.LastStatus, &k.LastError, &failedAt, &nextAttempt, &k.Dead)
	k.FailedAt, k.NextAttempt = time.UnixMilli(failedAt), time.UnixMilli(nextAttempt)
	return k, err
}
