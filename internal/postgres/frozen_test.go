package postgres

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

const lockRow = `UPDATE partitions SET log_time = 1 WHERE partition = 1`

// frozen is an owner's session that holds the row of partition 1 and whose
// owner does nothing any more.
type frozen struct {
	name   string
	freeze func(t *testing.T, session *pgconn.PgConn)
}

func frozenOwners() []frozen {
	return []frozen{
		{"idle in its transaction", func(t *testing.T, session *pgconn.PgConn) {
			run(t, session, lockRow)
		}},
		{"in the middle of a message", func(t *testing.T, session *pgconn.PgConn) {
			run(t, session, lockRow)
			// The head of a message that is never finished.
			_, err := session.Conn().Write([]byte{'B', 0, 1, 0, 0, 'x'})
			check(t, err)
		}},
		{"between Execute and Sync", stopBeforeSync},
		{"not reading", func(t *testing.T, session *pgconn.PgConn) {
			run(t, session, lockRow)
			session.Frontend().SendQuery(&pgproto3.Query{String: `SELECT repeat('x', 1000000) FROM generate_series(1, 1000)`})
			check(t, session.Frontend().Flush())
		}},
	}
}

func run(t *testing.T, session *pgconn.PgConn, statement string) {
	t.Helper()
	_, err := session.Exec(t.Context(), statement).ReadAll()
	check(t, err)
}

// stopBeforeSync locks the row with a statement whose Sync is not sent, and
// returns when the server has executed it.
func stopBeforeSync(t *testing.T, session *pgconn.PgConn) {
	t.Helper()
	frontend := session.Frontend()
	frontend.SendParse(&pgproto3.Parse{Query: lockRow})
	frontend.SendBind(&pgproto3.Bind{})
	frontend.SendExecute(&pgproto3.Execute{})
	frontend.Send(&pgproto3.Flush{})
	check(t, frontend.Flush())
	for {
		message, err := frontend.Receive()
		check(t, err)
		if _, done := message.(*pgproto3.CommandComplete); done {
			return
		}
	}
}

// ownerSession opens an owner's session and begins a transaction in it.
func ownerSession(t *testing.T, url, application string) *pgconn.PgConn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	check(t, err)
	for name, value := range ownerSettings() {
		config.RuntimeParams[name] = value
	}
	config.RuntimeParams["application_name"] = application
	connection, err := pgx.ConnectConfig(t.Context(), config)
	check(t, err)
	session, err := connection.PgConn().Hijack()
	check(t, err)
	t.Cleanup(func() { _ = session.Conn.Close() }) // in most tests the server has
	constructed, err := pgconn.Construct(session)
	check(t, err)
	run(t, constructed, "BEGIN")
	return constructed
}

// TestAFrozenOwnerDoesNotHoldTheOthersUp wherever it was frozen.
func TestAFrozenOwnerDoesNotHoldTheOthersUp(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		for _, f := range frozenOwners() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				b := again(t, b)
				migrated(t, b.PostgresURL, 2)
				session := ownerSession(t, b.PostgresURL, ownerApplication)
				f.freeze(t, session)
				next := drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
				next.open(1)
				next.commit(t.Context())
				// The server has ended the session: there is an end to what it says.
				_, err := io.Copy(io.Discard, session.Conn())
				if err != nil && !errors.Is(err, io.EOF) {
					t.Log("the session ended with", err)
				}
			})
		}
	})
}

// again gives backends of the same kind.
func again(t *testing.T, b devstacktest.Backends) devstacktest.Backends {
	if b.Kind == devstacktest.KindReal {
		return devstacktest.Real(t)
	}
	return devstacktest.Embedded(t)
}

// TestAClaimEndsOnlyWhatItMay: without proof nobody is ended, and nobody who is
// not an owner.
func TestAClaimEndsOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		t.Run("without proof", func(t *testing.T) {
			t.Parallel()
			b := again(t, b)
			migrated(t, b.PostgresURL, 2)
			session := ownerSession(t, b.PostgresURL, ownerApplication)
			stopBeforeSync(t, session)
			lost := errors.New("lost")
			_, err := newOwner(t, b.PostgresURL).Claim(t.Context(), 1, func(context.Context) error { return lost })
			if !errors.Is(err, lost) {
				t.Errorf("%v, want the error of prove", err)
			}
			thaw(t, session)
		})
		t.Run("bystanders", func(t *testing.T) {
			t.Parallel()
			b, elsewhere := again(t, b), again(t, b)
			migrated(t, b.PostgresURL, 3)
			migrated(t, elsewhere.PostgresURL, 3)
			stopBeforeSync(t, ownerSession(t, b.PostgresURL, ownerApplication))
			otherPartition := ownerSession(t, b.PostgresURL, ownerApplication)
			run(t, otherPartition, `SET idle_in_transaction_session_timeout = 0`)
			run(t, otherPartition, `UPDATE partitions SET log_time = 1 WHERE partition = 2`)
			otherDatabase := ownerSession(t, elsewhere.PostgresURL, ownerApplication)
			run(t, otherDatabase, `SET idle_in_transaction_session_timeout = 0`)
			run(t, otherDatabase, lockRow)
			idle := connect(t, b.PostgresURL)
			check(t, idle.Ping(t.Context()))

			drive(t.Context(), t, newOwner(t, b.PostgresURL), 1)
			run(t, otherPartition, `COMMIT`)
			run(t, otherDatabase, `COMMIT`)
			check(t, idle.Ping(t.Context()))
		})
		t.Run("somebody else", func(t *testing.T) {
			t.Parallel()
			b := again(t, b)
			migrated(t, b.PostgresURL, 2)
			session := ownerSession(t, b.PostgresURL, "an operator")
			stopBeforeSync(t, session)
			var proofs atomic.Int32
			_, err := newOwner(t, b.PostgresURL).Claim(t.Context(), 1, func(context.Context) error {
				proofs.Add(1)
				return nil
			})
			if !isLockTimeout(err) {
				t.Errorf("%v, want a lock timeout", err)
			}
			if proofs.Load() != lockAttempts-1 {
				t.Errorf("%d proofs, want one before each attempt but the first", proofs.Load())
			}
			thaw(t, session)
		})
	})
}

// thaw fails unless the session that was stopped before its Sync still lives.
func thaw(t *testing.T, session *pgconn.PgConn) {
	t.Helper()
	session.Frontend().SendSync(&pgproto3.Sync{})
	check(t, session.Frontend().Flush())
	for {
		message, err := session.Frontend().Receive()
		if err != nil {
			t.Fatalf("the session was ended: %v", err)
		}
		switch message := message.(type) {
		case *pgproto3.ErrorResponse:
			t.Fatalf("the session was ended: %s", message.Message)
		case *pgproto3.ReadyForQuery:
			return
		}
	}
}

// TestOwnersSessionsHaveTimeouts: they end what claims need not wait for.
func TestOwnersSessionsHaveTimeouts(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		owner := newOwner(t, b.PostgresURL)
		for name, want := range map[string]string{
			"idle_in_transaction_session_timeout": "2s", "lock_timeout": "2s", "statement_timeout": "5s",
			"application_name": ownerApplication, "tcp_keepalives_idle": "5", "tcp_user_timeout": "8000",
		} {
			var value string
			check(t, owner.pool.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&value))
			if value != want {
				t.Errorf("%s is %s, want %s", name, value, want)
			}
		}
	})
}
