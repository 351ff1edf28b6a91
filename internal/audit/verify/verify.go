package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Errors of Run, beside those of ports and replays.
var (
	// ErrOtherLog means that the ledger is a fold of another topic.
	ErrOtherLog = errors.New("the ledger was made from another log")
	// ErrNotRestored means that a partition has no rows to compare.
	ErrNotRestored = errors.New("the ledger's rows are not restored from the log: run anteroom audit rebuild")
	// ErrUnknownProduct means that nothing was ever sold under a product's name.
	ErrUnknownProduct = errors.New("no sale of the product is known")
)

// Result is what Run has found.
type Result struct {
	Equal            bool      `json:"equal"`
	Records          int64     `json:"records"`
	Decisions        int64     `json:"decisions"`
	Partitions       []Verdict `json:"partitions"`
	Seconds          float64   `json:"seconds"`
	RecordsPerSecond float64   `json:"records_per_second"`
}

// Verdict is what Run has found of one partition.
type Verdict struct {
	Partition int32 `json:"partition"`
	// Records of [From, To) were decided again. Before From a snapshot stands
	// for them.
	From sale.Offset `json:"from"`
	To   sale.Offset `json:"to"`
	// Heads of the chains at To, in hexadecimal.
	RecordDigest   string `json:"record_digest"`
	DecisionDigest string `json:"decision_digest"`
	Undecided      int64  `json:"undecided"` // records at the log's end that the ledger had not decided yet

	Equal           bool        `json:"equal"`
	Differences     int64       `json:"differences"`
	FirstDifference *Difference `json:"first_difference"`
}

// Config says what is compared.
type Config struct {
	History *audit.History
	Ledger  audit.Ledger
	Product sale.Product // only the partition that it belongs to, and others that sold it; empty: all
	Keep    audit.Keeper // keeps the states that were found equal; nil: nobody
}

// Run decides the log again, up to where the ledger has decided it at one
// moment, and compares: each request, result, sale, start, batch and partition
// row, and the chains of digests. Log and ledger go on meanwhile.
func Run(ctx context.Context, config Config) (Result, error) {
	began := time.Now()
	result := Result{Equal: true, Partitions: []Verdict{}}
	err := config.Ledger.Cut(ctx, func(ctx context.Context, cut audit.Cut) error {
		rows, bindings, err := config.rows(ctx, cut)
		if err != nil {
			return err
		}
		var extents []audit.Extent
		verdicts := make(map[int32]*verifier)
		history, chains := *config.History, make(map[int32]sale.Offset)
		history.Snapshots = beginnings{snapshots: config.History.Snapshots, chains: chains}
		for _, row := range rows {
			_, end, err := config.History.Log.Bounds(ctx, row.Partition)
			if err != nil {
				return fmt.Errorf("asking where partition %d ends: %w", row.Partition, err)
			}
			extents = append(extents, audit.Extent{Partition: row.Partition, From: sale.None, To: min(row.Next, end)})
			chains[row.Partition] = row.ChainStart
			verdicts[row.Partition] = newVerifier(ctx, cut, row, bindings)
			verdicts[row.Partition].logEnd, verdicts[row.Partition].keeper = end, config.Keep
		}
		err = history.Replay(ctx, extents, func(e audit.Extent) audit.Visitor { return verdicts[e.Partition] })
		if err != nil {
			return err
		}
		for _, e := range extents {
			verdict := verdicts[e.Partition].verdict
			result.Records += int64(verdict.To - verdict.From)
			result.Decisions += verdicts[e.Partition].decided
			result.Equal = result.Equal && verdict.Equal
			result.Partitions = append(result.Partitions, verdict)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	result.Seconds = time.Since(began).Seconds()
	result.RecordsPerSecond = float64(result.Records) / result.Seconds
	return result, nil
}

// rows gives the rows of the partitions that are compared.
func (c Config) rows(ctx context.Context, cut audit.Cut) ([]audit.PartitionRow, map[sale.Product]int32, error) {
	rows, err := cut.Partitions(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the ledger's partitions: %w", err)
	}
	bindings, err := cut.Bindings(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the ledger's bindings: %w", err)
	}
	sells, err := c.sells(ctx, cut, rows, bindings)
	if err != nil {
		return nil, nil, err
	}
	var chosen []audit.PartitionRow
	for _, row := range rows {
		if c.Product != "" && !sells[row.Partition] {
			continue
		}
		switch {
		case row.Topic != c.History.Log.Topic():
			return nil, nil, fmt.Errorf("partition %d is of topic id %s, the topic is %s: %w", row.Partition, row.Topic, c.History.Log.Topic(), ErrOtherLog)
		case row.Rebuilding:
			return nil, nil, fmt.Errorf("partition %d: %w", row.Partition, ErrNotRestored)
		case row.Partition >= c.History.Log.Partitions():
			return nil, nil, fmt.Errorf("the ledger has partition %d, the topic %d partitions: %w", row.Partition, c.History.Log.Partitions(), ErrOtherLog)
		}
		chosen = append(chosen, row)
	}
	if c.Product == "" && len(chosen) < int(c.History.Log.Partitions()) {
		return nil, nil, fmt.Errorf("the topic has %d partitions, the ledger %d: run anteroom migrate: %w", c.History.Log.Partitions(), len(chosen), ErrNotRestored)
	}
	return chosen, bindings, nil
}

// sells gives the partitions that a product is bound to, or has sales in: a
// binding may have been changed, or a record put into another partition.
func (c Config) sells(ctx context.Context, cut audit.Cut, rows []audit.PartitionRow, bindings map[sale.Product]int32) (map[int32]bool, error) {
	if c.Product == "" {
		return nil, nil
	}
	sells := make(map[int32]bool)
	bound, known := bindings[c.Product]
	for _, row := range rows {
		sales, err := cut.Sales(ctx, row.Partition)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger's sales: %w", err)
		}
		if known && row.Partition == bound || slices.ContainsFunc(sales, func(s sale.Sale) bool { return s.Product == c.Product }) {
			sells[row.Partition] = true
		}
	}
	if len(sells) == 0 {
		return nil, fmt.Errorf("product %q: %w", c.Product, ErrUnknownProduct)
	}
	return sells, nil
}

// verifier holds one partition's replay against its rows.
type verifier struct {
	ctx      context.Context //nolint:containedctx // of one call of Run, which visits
	cut      audit.Cut
	row      audit.PartitionRow
	bindings map[sale.Product]int32
	logEnd   sale.Offset
	keeper   audit.Keeper

	verdict  Verdict
	decided  int64
	findings findings

	keeping  audit.Keeping
	chains   *chainCheck
	requests *requestCheck
	results  *resultCheck
}

func newVerifier(ctx context.Context, cut audit.Cut, row audit.PartitionRow, bindings map[sale.Product]int32) *verifier {
	return &verifier{ctx: ctx, cut: cut, row: row, bindings: bindings}
}

// Begin implements [audit.Visitor]. What came before the first record that is decided
// again is in the rows that a snapshot kept.
func (v *verifier) Begin(r *audit.Replay) error {
	v.verdict = Verdict{Partition: v.row.Partition, From: r.Core().Next()}
	if v.keeper != nil {
		keeping, err := v.keeper.Keep(v.row.Topic, v.row.Partition)
		if err != nil {
			return err
		}
		v.keeping = keeping
	}
	requests, err := v.cut.Requests(v.ctx, v.row.Partition)
	if err != nil {
		return fmt.Errorf("reading the ledger's requests: %w", err)
	}
	results, err := v.cut.Results(v.ctx, v.row.Partition)
	if err != nil {
		return fmt.Errorf("reading the ledger's results: %w", err)
	}
	batches, err := v.cut.Batches(v.ctx, v.row.Partition)
	if err != nil {
		return fmt.Errorf("reading the ledger's batches: %w", err)
	}
	v.requests = &requestCheck{partition: v.row.Partition, findings: &v.findings, later: make(map[sale.Offset]sale.Offset), rows: pages[sale.Request]{rows: requests}}
	v.results = &resultCheck{partition: v.row.Partition, findings: &v.findings, rows: pages[sale.Result]{rows: results}}
	v.chains = &chainCheck{findings: &v.findings, rows: pages[audit.BatchRow]{rows: batches}}
	if v.keeping != nil {
		v.requests.rows.read, v.results.rows.read = v.keeping.Request, v.keeping.Result
	}
	if err := v.chains.begin(v.ctx, r.State()); err != nil {
		return err
	}
	kept := r.Kept()
	if kept == nil {
		return nil
	}
	if err := kept.Requests(func(row sale.Request) error { return v.requests.kept(v.ctx, row) }); err != nil {
		return err
	}
	return kept.Results(func(row sale.Result) error { return v.results.check(v.ctx, &row) })
}

// Step implements [audit.Visitor].
func (v *verifier) Step(r *audit.Replay, s audit.Step) error {
	v.decided += int64(len(s.Decisions))
	if err := v.chains.step(v.ctx, r, s); err != nil {
		return err
	}
	if err := v.requests.step(v.ctx, s); err != nil {
		return err
	}
	for i := range s.Decisions {
		if d := &s.Decisions[i]; d.Kind == sale.OfCommand {
			if err := v.results.check(v.ctx, &d.Result); err != nil {
				return err
			}
		}
	}
	return nil
}

// End implements [audit.Visitor].
func (v *verifier) End(r *audit.Replay) error {
	state := r.State()
	if v.logEnd < v.row.Next {
		v.chains.cutShort()
		v.findings.row(v.logEnd, OfRecord, "", fmt.Sprintf("the log to go to offset %d, which the ledger has decided", v.row.Next), "its end")
	} else if err := v.compareWhole(r, state); err != nil {
		return err
	}
	return v.conclude(state)
}

// Missing takes note of a record that is not in the log, though later ones are.
func (v *verifier) Missing(r *audit.Replay, _ error) error {
	v.chains.cutShort()
	v.findings.row(r.Core().Next(), OfRecord, "", "the record that was decided", "none: later ones follow")
	return v.conclude(r.State())
}

// Undecided takes note of a record that the core cannot decide, if it is not the
// one that was decided.
func (v *verifier) Undecided(r *audit.Replay, s audit.Step, cause error) error {
	if other, err := v.chains.another(v.ctx, s); err != nil || !other {
		return errors.Join(err, cause)
	}
	v.chains.cutShort()
	return v.conclude(r.State())
}

func (v *verifier) conclude(state audit.State) error {
	v.verdict.To = state.Core.Next()
	v.verdict.RecordDigest = state.RecordChain.String()
	v.verdict.DecisionDigest = state.DecisionChain.String()
	v.verdict.Undecided = max(0, int64(v.logEnd-v.row.Next))
	v.verdict.Differences, v.verdict.FirstDifference = v.findings.count, v.findings.first
	v.verdict.Equal = v.findings.count == 0
	if v.keeping == nil {
		return nil
	}
	if !v.verdict.Equal {
		v.keeping.Drop()
		return nil
	}
	return v.keeping.Done(state)
}

// compareWhole compares what can be compared only once all is decided that the
// ledger has. Where the log has other records than were decided, that is the
// difference: what is left at the end follows from it.
func (v *verifier) compareWhole(r *audit.Replay, state audit.State) error {
	if err := v.chains.end(v.ctx, r, v.row); err != nil {
		return err
	}
	if v.findings.departed {
		return nil
	}
	if err := v.requests.end(v.ctx); err != nil {
		return err
	}
	if err := v.results.end(v.ctx); err != nil {
		return err
	}
	v.comparePartition(state)
	if err := v.compareSales(r.Core()); err != nil {
		return err
	}
	return v.compareStarts(r.Core())
}
