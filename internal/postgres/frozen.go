package postgres

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Why claims end sessions. An owner can be frozen, by SIGSTOP or with its
// machine, at any instruction, while its session holds the partition's row.
// Wherever the server waits for the owner's next statement,
// idle_in_transaction_session_timeout ends the session after 2 s. There are two
// places where it does not:
//   - Between a statement's Execute and its Sync the server waits for the rest
//     of the message with no timer running: the statement's timeout has ended
//     with Execute, and the transaction is idle only after Sync. pgx writes both
//     in one piece, but a large one can be cut anywhere by the kernel.
//   - While the server writes rows that the frozen owner does not read, it
//     heeds no timeout; tcp_user_timeout ends that, where the system has it.
//
// So a claim that cannot lock the row, and can prove that the group counts it
// in, ends the sessions that hold it. That harms nobody who is right: the
// holder, if it lives, has lost its partition, or will claim again.

const (
	lockNotAvailable   = "55P03" // SQLSTATE of lock_timeout
	endHoldersInterval = 50 * time.Millisecond
)

func isLockTimeout(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && failed.Code == lockNotAvailable
}

// endHolders ends the owners' sessions for which the backend waiter waits,
// until the function that it returns is called. It uses a connection of its
// own, because all of the pool's may be waiting for locks.
func (o *Owner) endHolders(ctx context.Context, partition int32, waiter uint32) (stop func()) {
	stopping := make(chan struct{})
	done := make(chan struct{})
	logger := o.pool.logger.With(slog.Int("partition", int(partition)))
	go func() {
		defer close(done)
		// Whether it worked is seen in the lock, for which the caller waits.
		if err := o.endHoldersUntil(ctx, stopping, waiter, logger); err != nil {
			logger.WarnContext(ctx, "could not end the sessions that hold the partition", slog.Any("error", err))
		}
	}()
	return func() {
		close(stopping)
		<-done
	}
}

func (o *Owner) endHoldersUntil(ctx context.Context, stopping <-chan struct{}, waiter uint32, logger *slog.Logger) error {
	connection, err := pgx.ConnectConfig(ctx, o.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer closeConnection(ctx, connection)
	again := time.NewTicker(endHoldersInterval)
	defer again.Stop()
	for {
		select {
		case <-stopping:
			return nil
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		ended, err := readEnded(ctx, connection, waiter)
		if err != nil {
			return err
		}
		if len(ended) > 0 {
			logger.WarnContext(ctx, "ended the sessions that held the partition", slog.Any("backends", ended))
		}
	}
}

// readEnded ends sessions and gives their process ids. Only sessions of owners,
// of the same role and database; and none that waits for a lock itself, because
// that one is in the queue before waiter and holds nothing.
//
// Which sessions is settled before any is ended: MATERIALIZED keeps the two
// apart. Beside the conditions in one WHERE, pg_terminate_backend would be
// called in whatever order the planner likes, and so for every session of the
// server.
func readEnded(ctx context.Context, connection *pgx.Conn, waiter uint32) ([]int32, error) {
	rows, err := connection.Query(ctx, `
		WITH holders AS MATERIALIZED (
			SELECT pid FROM pg_stat_activity
			WHERE pid = ANY (pg_blocking_pids($1))
				AND datname = current_database() AND usename = current_user AND application_name = $2
				AND wait_event_type IS DISTINCT FROM 'Lock'
		)
		SELECT pid FROM (SELECT pid, pg_terminate_backend(pid) AS ended FROM holders) AS holder WHERE ended`,
		int32(waiter), ownerApplication)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}
