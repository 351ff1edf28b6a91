package postgres

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/rebuild"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// rebuildLog is a log in memory, a slice for each partition.
type rebuildLog struct {
	topic   event.TopicID
	entries [][]event.Entry
	portion int // entries in one read; 0: all
	// reading, if set, is called before each read.
	reading func(ctx context.Context, partition int32, next sale.Offset) error
}

func (l *rebuildLog) Topic() event.TopicID { return l.topic }
func (l *rebuildLog) Partitions() int32    { return int32(len(l.entries)) }

func (l *rebuildLog) Bounds(_ context.Context, partition int32) (start, end sale.Offset, err error) {
	return 0, sale.Offset(len(l.entries[partition])), nil
}

func (l *rebuildLog) Open(partition int32, from sale.Offset) (audit.Reader, error) {
	return &rebuildReader{log: l, partition: partition, next: from}, nil
}

type rebuildReader struct {
	log       *rebuildLog
	partition int32
	next      sale.Offset
}

func (r *rebuildReader) Read(ctx context.Context) ([]event.Entry, error) {
	if r.log.reading != nil {
		if err := r.log.reading(ctx, r.partition, r.next); err != nil {
			return nil, err
		}
	}
	rest := r.log.entries[r.partition][r.next:]
	if len(rest) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if r.log.portion > 0 {
		rest = rest[:min(r.log.portion, len(rest))]
	}
	r.next += sale.Offset(len(rest))
	return bytesCloned(rest), nil
}

func (r *rebuildReader) Close() {}

// bytesCloned gives entries of the caller's own.
func bytesCloned(entries []event.Entry) []event.Entry {
	own := make([]event.Entry, len(entries))
	for i, e := range entries {
		e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
		own[i] = e
	}
	return own
}

// rebuildEntries draws a log of saletest.
func rebuildEntries(seed int) []event.Entry {
	return saletest.Entries(rapid.Custom(saletest.Log).Example(seed))
}

// newRebuild makes a rebuild of a log into a database, by small batches.
func newRebuild(t testing.TB, url string, log *rebuildLog) rebuild.Config {
	t.Helper()
	ledger, err := NewRebuild(url, nil)
	check(t, err)
	t.Cleanup(func() { ledger.Close(context.Background()) })
	return rebuild.Config{History: &audit.History{Log: log}, Ledger: ledger, BatchRecords: 7}
}

// ownLedger commits a log as an owner does, in batches of different sizes, with
// the chains.
func ownLedger(t testing.TB, url string, partition int32, entries []event.Entry) {
	t.Helper()
	owner, err := NewOwner(t.Context(), Config{URL: url, Name: "test"})
	check(t, err)
	defer owner.Close()
	d := drive(t.Context(), t, owner, partition)
	records, decisions := event.NewChain(event.Digest{}), event.NewChain(event.Digest{})
	var marks []byte
	for i := range entries {
		record := entries[i].Record()
		before := len(d.changes.Decisions)
		d.apply(record)
		for j := range d.changes.Decisions[before:] {
			decisions.AddDecision(&d.changes.Decisions[before+j])
		}
		records.AddEntry(&entries[i])
		marks = records.AppendMark(marks)
		if i%5 != 3 && i%11 != 0 && i != len(entries)-1 {
			continue
		}
		batch := d.seal()
		batch.Last, batch.RecordChain, batch.DecisionChain, batch.Marks = entries[i].Digest(), records.Head(), decisions.Head(), marks
		check(t, d.owner.Commit(t.Context(), batch))
		marks = nil
	}
}

// lose takes everything out of the database.
func lose(t testing.TB, url string) {
	t.Helper()
	devstacktest.Execute(t, url, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
}

// partitionOf gives all that the ledger has of a partition, but for its owner
// and for where its batches were cut. Starts that count no more are left out:
// they go with a batch that has others.
func partitionOf(t testing.TB, url string, partition int32) string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	check(t, err)
	defer closeConnection(t.Context(), connection)
	var all bytes.Buffer
	for _, query := range []string{
		`SELECT to_jsonb(partitions) - 'partition' - 'epoch' - 'owner' FROM partitions WHERE partition = $1`,
		`SELECT jsonb_agg(to_jsonb(requests) - 'partition' ORDER BY request) FROM requests WHERE partition = $1`,
		`SELECT jsonb_agg(to_jsonb(results) - 'partition' ORDER BY command) FROM results WHERE partition = $1`,
		`SELECT jsonb_agg(to_jsonb(sales) - 'partition' ORDER BY sale) FROM sales WHERE partition = $1`,
		`SELECT jsonb_agg(to_jsonb(starts) - 'partition' ORDER BY below) FROM starts JOIN partitions USING (partition)
			WHERE partition = $1 AND below >= oldest_start`,
		`SELECT to_jsonb(string_agg(marks, '' ORDER BY from_offset)) FROM batches WHERE partition = $1`,
		`SELECT jsonb_build_array(record_chain, decision_chain) FROM batches WHERE partition = $1 ORDER BY from_offset DESC LIMIT 1`,
		`SELECT to_jsonb(count(*) - count(DISTINCT to_offset) + count(*) FILTER (WHERE octet_length(marks) <> 4 * (to_offset - from_offset)))
			FROM batches WHERE partition = $1`,
	} {
		rows, err := connection.Query(t.Context(), query, partition)
		check(t, err)
		for rows.Next() {
			var line *string
			check(t, rows.Scan(&line))
			if line == nil {
				line = new(string)
			}
			fmt.Fprintln(&all, *line)
		}
		check(t, rows.Err())
	}
	return all.String()
}

// databaseOf gives everything in the database, and its schema's version.
func databaseOf(t testing.TB, url string) string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	check(t, err)
	defer closeConnection(t.Context(), connection)
	var all bytes.Buffer
	for _, table := range []string{"partitions", "products", "sales", "requests", "results", "starts", "outbox", "goose_db_version"} {
		var content *string
		check(t, connection.QueryRow(t.Context(), `SELECT jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t))::text FROM `+table+` AS t`).Scan(&content))
		if content != nil {
			fmt.Fprintln(&all, table, *content)
		}
	}
	return all.String()
}
