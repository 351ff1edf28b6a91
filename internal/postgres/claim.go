package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// lockAttempts is how often a claim tries to lock the partition's row, for
// lock_timeout each. The first only waits.
const lockAttempts = 3

// statePage is how many requests one statement of a claim reads: so few that
// statement_timeout is far, and that a page mostly fits into the connection's
// buffers, so that the server is not kept waiting with the row locked.
const statePage = 5000

const lockPartition = selectPartition + ` FOR UPDATE`

// Claim implements [allocator.Ledger]. prove is called while the row is locked,
// and has to return within idle_in_transaction_session_timeout; it is also
// called before sessions are ended that hold the row.
func (o *Owner) Claim(ctx context.Context, partition int32, prove func(context.Context) error) (allocator.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		claim, err := o.claim(ctx, claiming{partition: partition, prove: prove, endHolders: attempt > 1})
		if err == nil {
			return claim, nil
		}
		if attempt == lockAttempts || !isLockTimeout(err) {
			return allocator.Claim{}, fmt.Errorf("claiming partition %d: %w", partition, err)
		}
		if err := prove(ctx); err != nil {
			return allocator.Claim{}, fmt.Errorf("claiming partition %d, which another session holds: %w", partition, err)
		}
	}
}

// claiming is one attempt at a claim.
type claiming struct {
	partition  int32
	prove      func(context.Context) error
	endHolders bool // end the sessions that hold the row
}

func (o *Owner) claim(ctx context.Context, c claiming) (allocator.Claim, error) {
	tx, err := o.pool.begin(ctx)
	if err != nil {
		return allocator.Claim{}, err
	}
	defer end(ctx, tx)

	row, err := o.lock(ctx, tx, c)
	if err != nil {
		return allocator.Claim{}, err
	}
	if row.rebuilding {
		return allocator.Claim{}, allocator.ErrRebuilding
	}
	if err := c.prove(ctx); err != nil {
		return allocator.Claim{}, fmt.Errorf("proving to be the partition's member: %w", err)
	}
	claim := allocator.Claim{Topic: row.topic, Last: row.last, RecordChain: row.recordChain, DecisionChain: row.decisionChain}
	err = tx.QueryRow(ctx, `
		UPDATE partitions SET epoch = epoch + 1, owner = $2, stopped = '' WHERE partition = $1 RETURNING epoch`,
		c.partition, o.name).Scan(&claim.Epoch)
	if err != nil {
		return allocator.Claim{}, fmt.Errorf("raising the epoch: %w", err)
	}
	if claim.State, err = readState(ctx, tx, c.partition, row); err != nil {
		return allocator.Claim{}, err
	}
	if err := tx.Commit(ctx); err != nil {
		return allocator.Claim{}, fmt.Errorf("committing: %w", err)
	}
	return claim, nil
}

func (o *Owner) lock(ctx context.Context, tx pgx.Tx, c claiming) (partitionRow, error) {
	if c.endHolders {
		stop := o.endHolders(ctx, c.partition, tx.Conn().PgConn().PID())
		defer stop()
	}
	return readPartition(ctx, tx, lockPartition, c.partition)
}

// readState reads what a partition's state is restored from. Several statements
// read one state, because nobody writes it without the lock that tx has.
func readState(ctx context.Context, tx pgx.Tx, partition int32, row partitionRow) (sale.Snapshot, error) {
	state := sale.Snapshot{Next: row.next, Now: row.now, Schema: row.schema, Malformed: row.malformed}
	var err error
	if state.Sales, err = readSales(ctx, tx, partition); err != nil {
		return state, err
	}
	if state.Starts, err = readStarts(ctx, tx, partition, row.oldestStart); err != nil {
		return state, err
	}
	if state.Requests, err = readRequests(ctx, tx, partition, remembered(state.Sales)); err != nil {
		return state, fmt.Errorf("reading the partition's requests: %w", err)
	}
	return state, nil
}

// remembered gives the sales that have not retired, as Postgres writes an array.
func remembered(sales []sale.Sale) string {
	array := []byte{'{'}
	for i := range sales {
		if sales[i].RetiredAt != 0 {
			continue
		}
		if len(array) > 1 {
			array = append(array, ',')
		}
		array = strconv.AppendInt(array, int64(sales[i].ID), 10)
	}
	return string(append(array, '}'))
}

// readRequests reads the requests that a state is restored from: those of the
// sales given, but not those that were refused for good and take part in
// nothing. It reads in pages, each a statement with a timeout of its own,
// through a cursor, which scans the table once however badly its size is
// estimated; in no order, so nothing is sorted.
//
// The sales are part of the statement's text. So the planner knows how few of
// the rows are theirs, and where most are of sales that have retired, it goes by
// the index requests_sale and reads none of those.
func readRequests(ctx context.Context, tx pgx.Tx, partition int32, sales string) ([]sale.Request, error) {
	if _, err := tx.Exec(ctx, `DECLARE state NO SCROLL CURSOR FOR `+stateRequests(partition, sales)); err != nil {
		return nil, err
	}
	fetch := fmt.Sprintf(`FETCH %d FROM state`, statePage)
	var requests []sale.Request
	for {
		// Described anew in each transaction, because each has another cursor.
		page, err := readAll(ctx, tx, scanRequest, fetch, pgx.QueryExecModeDescribeExec)
		if err != nil {
			return nil, err
		}
		requests = append(requests, page...)
		if len(page) < statePage {
			return requests, nil
		}
	}
}

func stateRequests(partition int32, sales string) string {
	return fmt.Sprintf(selectRequests+`%d AND sale = ANY ('%s'::bigint[])
		AND state <> 'sold_out' AND (state <> 'rejected' OR reason = 'duplicate')`, partition, sales)
}
