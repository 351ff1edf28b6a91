package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/anteroomhq/anteroom/internal/allocator"
)

// ownerApplication marks the sessions of owners, and so those that a claim may
// end.
const ownerApplication = "anteroom owner"

// Bounds of an owner's calls. Each is far above what the call takes, and comes
// on top of the caller's context and of the session's own timeouts.
const (
	claimTimeout  = 30 * time.Second
	commitTimeout = 10 * time.Second
	stopTimeout   = 5 * time.Second
)

// ownerSettings keep an owner that is frozen in the middle of a transaction
// from holding the others up. COPY is never used: no timeout ends the server's
// wait for its data. What these do not reach, frozen.go does.
func ownerSettings() map[string]string {
	return map[string]string{
		"application_name":                    ownerApplication,
		"idle_in_transaction_session_timeout": "2s",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "5s",
	}
}

// Owner is the ledger as an allocator uses it.
type Owner struct {
	pool     *pool
	name     string
	packager *packager
}

var _ allocator.Ledger = (*Owner)(nil)

// NewOwner makes an Owner, which connects when it is first used. It needs a
// connection for each partition that is owned, or they wait for each other.
func NewOwner(ctx context.Context, config Config) (*Owner, error) {
	pool, err := newPool(ctx, config, ownerSettings())
	if err != nil {
		return nil, err
	}
	packager, err := newPackager()
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Owner{pool: pool, name: printable(config.Name), packager: packager}, nil
}

// Close closes the connections, after the calls that use them have returned.
func (o *Owner) Close() { o.pool.Close() }

// Stop implements [allocator.Ledger].
func (o *Owner) Stop(ctx context.Context, partition int32, epoch int64, why string) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	tx, err := o.pool.begin(ctx)
	if err != nil {
		return fmt.Errorf("noting why partition %d stopped: %w", partition, err)
	}
	defer end(ctx, tx)
	_, err = tx.Exec(ctx, `UPDATE partitions SET stopped = $3 WHERE partition = $1 AND epoch = $2`, partition, epoch, printable(why))
	if err != nil {
		return fmt.Errorf("noting why partition %d stopped: %w", partition, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("noting why partition %d stopped: %w", partition, err)
	}
	return nil
}

// printable makes text that Postgres can store of any text.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}
