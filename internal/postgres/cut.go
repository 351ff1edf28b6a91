package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// auditSettings make every transaction one read-only snapshot that may last: an
// audit reads it while it replays the log. Until it ends, the server keeps rows
// that were overwritten meanwhile.
func auditSettings() map[string]string {
	return map[string]string{
		"application_name":                    "anteroom audit",
		"default_transaction_isolation":       "repeatable read",
		"default_transaction_read_only":       "on",
		"idle_in_transaction_session_timeout": "10min",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "10min",
		"cursor_tuple_fraction":               "0.01", // rows come as they are read, in the order of an index
	}
}

// Auditor is the ledger as an audit reads it.
type Auditor struct {
	pool *pool
}

var _ audit.Ledger = (*Auditor)(nil)

// NewAuditor makes an Auditor, which connects when it is first used.
func NewAuditor(ctx context.Context, config Config) (*Auditor, error) {
	pool, err := newPool(ctx, config, auditSettings())
	if err != nil {
		return nil, err
	}
	return &Auditor{pool: pool}, nil
}

// Close closes the connections, after the calls that use them have returned.
func (a *Auditor) Close() { a.pool.Close() }

// Cut implements [audit.Ledger].
func (a *Auditor) Cut(ctx context.Context, read func(context.Context, audit.Cut) error) error {
	tx, err := a.pool.begin(ctx)
	if err != nil {
		return err
	}
	defer end(context.WithoutCancel(ctx), tx)
	return read(ctx, &auditCut{tx: tx})
}

// auditCut is one snapshot of the database.
type auditCut struct {
	tx      pgx.Tx
	cursors int // made so far
}

// Partitions implements [audit.Cut].
func (c *auditCut) Partitions(ctx context.Context) ([]audit.PartitionRow, error) {
	numbers, err := readAll(ctx, c.tx, pgx.RowTo[int32], `SELECT partition FROM partitions ORDER BY partition`)
	if err != nil {
		return nil, err
	}
	rows := make([]audit.PartitionRow, len(numbers))
	for i, number := range numbers {
		row, err := readPartition(ctx, c.tx, selectPartition, number)
		if err != nil {
			return nil, err
		}
		rows[i] = audit.PartitionRow{
			Partition: number, Topic: row.topic, Next: row.next, Now: row.now, Schema: row.schema, Malformed: row.malformed,
			Last: row.last, OldestStart: row.oldestStart, Rebuilding: row.rebuilding, Stopped: row.stopped,
			RecordChain: row.recordChain, DecisionChain: row.decisionChain, ChainStart: row.chainStart,
		}
	}
	return rows, nil
}

// Bindings implements [audit.Cut].
func (c *auditCut) Bindings(ctx context.Context) (map[sale.Product]int32, error) {
	rows, err := c.tx.Query(ctx, `SELECT product, partition FROM products`)
	if err != nil {
		return nil, err
	}
	bindings := make(map[sale.Product]int32)
	var product sale.Product
	var partition int32
	_, err = pgx.ForEachRow(rows, []any{&product, &partition}, func() error {
		bindings[product] = partition
		return nil
	})
	return bindings, err
}

// Sales implements [audit.Cut].
func (c *auditCut) Sales(ctx context.Context, partition int32) ([]sale.Sale, error) {
	return readSales(ctx, c.tx, partition)
}

// Starts implements [audit.Cut].
func (c *auditCut) Starts(ctx context.Context, partition int32, oldest sale.Offset) ([]sale.Start, error) {
	return readStarts(ctx, c.tx, partition, oldest)
}

// Requests implements [audit.Cut].
func (c *auditCut) Requests(ctx context.Context, partition int32) (audit.Rows[sale.Request], error) {
	return openByCause(ctx, c, partition)
}

// Results implements [audit.Cut].
func (c *auditCut) Results(ctx context.Context, partition int32) (audit.Rows[sale.Result], error) {
	return openCursor(ctx, c, rowPage, scanResult, fmt.Sprintf(`SELECT `+resultColumns+` FROM results WHERE partition = %d ORDER BY command`, partition))
}

// Batches implements [audit.Cut].
func (c *auditCut) Batches(ctx context.Context, partition int32) (audit.Rows[audit.BatchRow], error) {
	return openCursor(ctx, c, batchPage, scanBatch, fmt.Sprintf(`
		SELECT from_offset, to_offset, record_chain, decision_chain, marks
		FROM batches WHERE partition = %d ORDER BY from_offset`, partition))
}

func scanBatch(row pgx.CollectableRow) (b audit.BatchRow, err error) {
	var records, decisions []byte
	if err := row.Scan(&b.From, &b.To, &records, &decisions, &b.Marks); err != nil {
		return b, err
	}
	b.RecordChain, b.DecisionChain = event.Digest(records), event.Digest(decisions) // CHECKs see to their lengths
	return b, nil
}

// cursor gives a query's rows in pages.
type cursor[Row any] struct {
	tx    pgx.Tx
	fetch string
	page  int
	scan  pgx.RowToFunc[Row]
	over  bool
}

// openCursor declares a cursor. It ends with the transaction.
func openCursor[Row any](ctx context.Context, c *auditCut, page int, scan pgx.RowToFunc[Row], query string) (audit.Rows[Row], error) {
	c.cursors++
	name := fmt.Sprintf("audit_%d", c.cursors)
	if _, err := c.tx.Exec(ctx, `DECLARE `+name+` NO SCROLL CURSOR FOR `+query); err != nil {
		return nil, err
	}
	return &cursor[Row]{tx: c.tx, fetch: fmt.Sprintf(`FETCH %d FROM %s`, page, name), page: page, scan: scan}, nil
}

// How many rows one page has at most. A batch has marks of up to 200 kB.
const (
	rowPage   = 2000
	batchPage = 50
)

// Page implements [audit.Rows].
func (c *cursor[Row]) Page(ctx context.Context) ([]Row, error) {
	if c.over {
		return nil, nil
	}
	// Described anew for each cursor.
	page, err := readAll(ctx, c.tx, c.scan, c.fetch, pgx.QueryExecModeDescribeExec)
	c.over = len(page) < c.page
	return page, err
}
