package allocator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var errConnection = errors.New("the connection was lost")

const lockTimeout = 2 * time.Second

// fakeLedger refuses what Postgres refuses.
type fakeLedger struct {
	mu       sync.Mutex
	rows     map[int32]*fakeRow
	onCommit func(*Batch) commitFate
	onClaim  func(partition int32) claimFate
	wrong    []string
	claims   []claimSeen
	stops    []stopSeen
	journal  *journal

	outboxFails error
}

// fakeRow is what the ledger has of a partition.
type fakeRow struct {
	lock chan struct{} // a transaction has the row while it has put something in here

	topic       event.TopicID
	epoch       int64
	next        sale.Offset
	now         sale.Time
	schema      int
	malformed   int64
	last        event.Digest
	oldestStart sale.Offset
	rebuilding  bool
	stopped     string

	recordChain, decisionChain event.Digest

	sales    map[sale.Offset]sale.Sale
	requests map[sale.Offset]sale.Request
	results  map[sale.Offset]sale.Result
	starts   sale.Starts

	batches []batchSeen
	outbox  outboxRow
}

type batchSeen struct {
	epoch    int64
	from, to sale.Offset
	at       time.Time

	recordChain, decisionChain event.Digest
	marks                      []byte
}

type claimSeen struct {
	partition int32
	epoch     int64
	at        time.Time
}

type stopSeen struct {
	partition int32
	why       string
}

// commitFate says what becomes of a commit. The zero value is: done at once.
type commitFate struct {
	failed   error         // returned at once, with no effect, unless detached
	detached time.Duration // with failed: the server goes on, and is done after this
	hangs    bool          // nothing happens until the context ends
	slow     time.Duration // the transaction takes this long
	answer   error         // returned in place of success
	silent   bool          // it is done, and the answer never comes
}

// claimFate says what becomes of a claim.
type claimFate struct {
	failed error         // with no effect
	hangs  bool          // until the context ends, the row not locked
	frozen time.Duration // the time between the proof and what follows
	answer error         // returned in place of success
}

func newFakeLedger(topic event.TopicID, partitions int32, journal *journal) *fakeLedger {
	l := &fakeLedger{rows: make(map[int32]*fakeRow), journal: journal}
	for p := range partitions {
		l.rows[p] = &fakeRow{
			lock: make(chan struct{}, 1), topic: topic,
			sales: make(map[sale.Offset]sale.Sale), requests: make(map[sale.Offset]sale.Request), results: make(map[sale.Offset]sale.Result),
		}
	}
	return l
}

// set changes the ledger's behaviour.
func (l *fakeLedger) set(change func(*fakeLedger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *fakeLedger) next(partition int32) sale.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rows[partition].next
}

// row gives a copy of a partition's row, its maps shared: for reading while
// nothing is committed.
func (l *fakeLedger) row(partition int32) fakeRow {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *l.rows[partition]
}

func (l *fakeLedger) claimed() []claimSeen {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.claims)
}

func (l *fakeLedger) stopsSeen() []stopSeen {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.stops)
}

// take locks a row as a transaction does.
func (r *fakeRow) take(ctx context.Context) error {
	select {
	case r.lock <- struct{}{}:
		return nil
	case <-time.After(lockTimeout):
		return errors.New("lock timeout")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *fakeRow) release() { <-r.lock }

func (l *fakeLedger) Claim(ctx context.Context, partition int32, prove func(context.Context) error) (Claim, error) {
	l.mu.Lock()
	var fate claimFate
	if l.onClaim != nil {
		fate = l.onClaim(partition)
	}
	row := l.rows[partition]
	l.mu.Unlock()
	switch {
	case fate.failed != nil:
		return Claim{}, fate.failed
	case fate.hangs:
		<-ctx.Done()
		return Claim{}, ctx.Err()
	case row == nil:
		return Claim{}, ErrNoPartition
	}
	if err := row.take(ctx); err != nil {
		return Claim{}, err
	}
	defer row.release()
	l.mu.Lock()
	rebuilding := row.rebuilding
	l.mu.Unlock()
	if rebuilding {
		return Claim{}, ErrRebuilding
	}
	if err := prove(ctx); err != nil {
		return Claim{}, fmt.Errorf("proving: %w", err)
	}
	if fate.frozen > 0 {
		<-time.After(fate.frozen)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	row.epoch++
	row.stopped = ""
	l.claims = append(l.claims, claimSeen{partition: partition, epoch: row.epoch, at: time.Now()})
	if fate.answer != nil {
		return Claim{}, fate.answer
	}
	return Claim{
		Epoch: row.epoch, Topic: row.topic, Last: row.last, State: row.snapshot(),
		RecordChain: row.recordChain, DecisionChain: row.decisionChain,
	}, nil
}

func (r *fakeRow) snapshot() sale.Snapshot {
	starts := slices.DeleteFunc(slices.Clone(r.starts), func(s sale.Start) bool { return s.Below < r.oldestStart })
	return sale.Snapshot{
		Next: r.next, Now: r.now, Schema: r.schema, Malformed: r.malformed, Starts: starts,
		Sales: slices.Collect(maps.Values(r.sales)), Requests: slices.Collect(maps.Values(r.requests)),
	}
}

func (l *fakeLedger) Commit(ctx context.Context, b *Batch) error {
	l.mu.Lock()
	var fate commitFate
	if l.onCommit != nil {
		fate = l.onCommit(b)
	}
	row := l.rows[b.Partition]
	l.mu.Unlock()
	switch {
	case fate.detached > 0:
		go func() {
			<-time.After(fate.detached)
			row.lock <- struct{}{}
			defer row.release()
			_ = l.apply(row, b) // nobody is there to hear
		}()
		return fate.failed
	case fate.failed != nil:
		return fate.failed
	case fate.hangs:
		<-ctx.Done()
		return ctx.Err()
	}
	if err := row.take(ctx); err != nil {
		return err
	}
	defer row.release()
	if fate.slow > 0 {
		select {
		case <-time.After(fate.slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := l.apply(row, b); err != nil {
		return err
	}
	if fate.silent {
		<-ctx.Done()
		return ctx.Err()
	}
	return fate.answer
}

// apply writes the batch, or nothing of it.
func (l *fakeLedger) apply(row *fakeRow, b *Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if row.epoch != b.Epoch || row.next != b.From || row.rebuilding {
		return ErrFenced
	}
	if err := row.check(b); err != nil {
		l.wrong = append(l.wrong, err.Error())
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	for _, r := range b.Requests {
		row.requests[r.Offset] = r
	}
	for _, r := range b.Results {
		row.results[r.Command] = r
	}
	for _, c := range b.Sales {
		c.Sale.Defaults = slices.Clone(c.Sale.Defaults)
		row.sales[c.Sale.ID] = c.Sale
	}
	row.starts = append(row.starts, b.Starts...)
	row.next, row.now, row.schema, row.malformed = b.To, b.Now, b.Schema, b.Malformed
	row.last, row.oldestStart = b.Last, b.OldestStart
	row.recordChain, row.decisionChain = b.RecordChain, b.DecisionChain
	row.batches = append(row.batches, batchSeen{
		epoch: b.Epoch, from: b.From, to: b.To, at: time.Now(),
		recordChain: b.RecordChain, decisionChain: b.DecisionChain, marks: slices.Clone(b.Marks),
	})
	row.outbox.write(b)
	l.journal.note("committed")
	return nil
}

// check holds a batch against the table's constraints.
func (r *fakeRow) check(b *Batch) error {
	if b.To <= b.From {
		return fmt.Errorf("a batch of [%d, %d)", b.From, b.To)
	}
	caused := func(cause sale.Offset) bool { return cause >= b.From && cause < b.To }
	seen := make(map[sale.Offset]bool)
	for _, next := range b.Requests {
		was, known := r.requests[next.Offset]
		switch {
		case seen[next.Offset]:
			return fmt.Errorf("request %d is in the batch twice", next.Offset)
		case !caused(next.Cause):
			return fmt.Errorf("request %d was caused by %d, outside the batch", next.Offset, next.Cause)
		case !known && !caused(next.Offset):
			return fmt.Errorf("request %d is of an earlier batch and has no row", next.Offset)
		case known && (was.State.Final() || !reaches(was.State, next.State)):
			return fmt.Errorf("request %d cannot go from %s to %s", next.Offset, was.State, next.State)
		}
		seen[next.Offset] = true
	}
	for _, result := range b.Results {
		if _, known := r.results[result.Command]; known || !caused(result.Command) {
			return fmt.Errorf("command %d has its result twice, or outside its batch", result.Command)
		}
	}
	for _, start := range b.Starts {
		if !caused(start.Cause) {
			return fmt.Errorf("a start was caused by %d, outside the batch", start.Cause)
		}
	}
	for _, change := range b.Sales {
		was, known := r.sales[change.Sale.ID]
		switch {
		case !known && change.Was != sale.None, known && change.Was != was.Revision:
			return fmt.Errorf("sale %d is not at revision %d", change.Sale.ID, change.Was)
		case !change.Sale.Balanced():
			return fmt.Errorf("the units of sale %d do not add up", change.Sale.ID)
		}
	}
	return nil
}

// reaches reports whether steps lead from one state to another.
func reaches(from, to sale.State) bool {
	for _, state := range []sale.State{
		sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected,
		sale.Released, sale.Confirmed, sale.Expired, sale.Returned,
	} {
		if from.CanBecome(state) && (state == to || reaches(state, to)) {
			return true
		}
	}
	return false
}

func (l *fakeLedger) Stop(_ context.Context, partition int32, epoch int64, why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if row := l.rows[partition]; row.epoch == epoch {
		row.stopped = why
		l.stops = append(l.stops, stopSeen{partition: partition, why: why})
	}
	return nil
}
