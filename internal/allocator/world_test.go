package allocator

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// world is a log, a ledger and a feed, which the processes that are started in
// it share. It lives in one synctest bubble.
type world struct {
	t         *testing.T
	log       *fakeLog
	ledger    *fakeLedger
	feed      *fakeFeed
	credits   *fakeCredits
	topic     *fakeTopic // nil: decisions are not published
	journal   *journal
	processes []*process
}

// inWorld runs a test in a bubble, with a world of so many partitions, whose
// logs begin with a schema record, and checks at its end what must always hold.
func inWorld(t *testing.T, partitions int32, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j := new(journal)
		w := &world{t: t, log: newFakeLog(partitions), feed: &fakeFeed{journal: j}, credits: new(fakeCredits), topic: new(fakeTopic), journal: j}
		w.ledger = newFakeLedger(w.log.topic, partitions, j)
		w.log.committed, w.log.journal = w.ledger.next, j
		for p := range partitions {
			w.log.put(p, "", sale.Schema{Version: sale.NewestSchema})
		}
		test(t, w)
		for _, p := range w.processes {
			p.stop()
		}
		w.check()
	})
}

// check reports what the fakes saw that may never happen.
func (w *world) check() {
	w.t.Helper()
	for _, wrong := range slices.Concat(w.log.wrong, w.ledger.wrong) {
		w.t.Error(wrong)
	}
	w.checkBatches()
	w.checkMessages()
	w.checkPublished()
}

// checkBatches: every record decided once, under epochs that only rise.
func (w *world) checkBatches() {
	w.t.Helper()
	for p, row := range w.ledger.rows {
		next, epoch := sale.Offset(0), int64(0)
		for _, b := range row.batches {
			if b.from != next || b.epoch < epoch {
				w.t.Errorf("partition %d: batch [%d, %d) of epoch %d follows %d of epoch %d", p, b.from, b.to, b.epoch, next, epoch)
			}
			next, epoch = b.to, b.epoch
		}
	}
}

// process is one Allocator with its place in the group.
type process struct {
	*world
	member   *member
	registry *prometheus.Registry
	logs     *logBook
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // after done
}

func (w *world) start() *process {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	p := &process{
		world: w, registry: prometheus.NewRegistry(), logs: new(logBook), cancel: cancel, done: make(chan struct{}),
		member: &member{calls: make(chan func(assigned, lost func([]int32))), ended: make(chan struct{}), failing: make(chan error), journal: w.journal},
	}
	config := Config{
		Log: &handle{fakeLog: w.log}, Membership: p.member, Ledger: w.ledger, Feed: w.feed, Credits: w.credits,
		Registerer: p.registry, Logger: slog.New(p.logs),
	}
	if w.topic != nil {
		config.Decisions, config.Outbox = w.topic, w.ledger
	}
	a, err := New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = a.Run(ctx)
	}()
	w.processes = append(w.processes, p)
	return p
}

// stop shuts the process down and waits for its end.
func (p *process) stop() {
	p.cancel()
	<-p.done
}

// pass lets time go by, and everything that happens in it happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// metric gives the value of a counter or gauge, of the partition if it has that
// label, and false where there is none.
func (p *process) metric(name string, partition int32) (float64, bool) {
	families, err := p.registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && ofPartition(m, partition) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

func ofPartition(m *dto.Metric, partition int32) bool {
	for _, l := range m.GetLabel() {
		if l.GetName() == "partition" && l.GetValue() != label(partition) {
			return false
		}
	}
	return true
}

// member is a process's place in the group, which the test assigns.
type member struct {
	calls   chan func(assigned, lost func([]int32))
	ended   chan struct{}
	failing chan error
	journal *journal

	mu     sync.Mutex
	proof  func(context.Context) error
	proofs []time.Time
}

func (m *member) Run(ctx context.Context, assigned, lost func([]int32)) error {
	defer close(m.ended)
	for {
		select {
		case call := <-m.calls:
			call(assigned, lost)
		case err := <-m.failing:
			return err
		case <-ctx.Done():
			m.journal.note("left the group")
			return ctx.Err()
		}
	}
}

func (m *member) Prove(ctx context.Context) error {
	m.mu.Lock()
	m.proofs = append(m.proofs, time.Now())
	proof := m.proof
	m.mu.Unlock()
	if proof == nil {
		return ctx.Err()
	}
	return proof(ctx)
}

// proves sets what Prove says; nil is that the group counts the member in.
func (m *member) proves(proof func(context.Context) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proof = proof
}

func notCounted(context.Context) error { return errors.New("the group does not count this member in") }

func (m *member) proofTimes() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.proofs)
}

func (m *member) assign(partitions ...int32) {
	m.call(func(assigned, _ func([]int32)) { assigned(partitions) })
}

func (m *member) lose(partitions ...int32) {
	m.call(func(_, lost func([]int32)) { lost(partitions) })
}

func (m *member) call(call func(assigned, lost func([]int32))) {
	select {
	case m.calls <- call:
	case <-m.ended:
	}
}

// fakeFeed keeps what was published.
type fakeFeed struct {
	mu       sync.Mutex
	fate     func(ctx context.Context) error // nil is success
	heard    []messageHeard
	attempts int
	journal  *journal
}

type messageHeard struct {
	*event.Message
	at time.Time
}

func (f *fakeFeed) Publish(ctx context.Context, encoded []byte) error {
	m, err := event.DecodeMessage(encoded)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.attempts++
	fate := f.fate
	f.mu.Unlock()
	if fate != nil {
		if err := fate(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, messageHeard{Message: m, at: time.Now()})
	f.journal.note("published")
	return nil
}

// hangs is the fate of a message to a Redis that does not answer.
func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *fakeFeed) fails(fate func(context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fate = fate
}

// of gives what was heard of a partition.
func (f *fakeFeed) of(partition int32) []messageHeard {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.heard), func(m messageHeard) bool { return m.Partition != partition })
}

// journal keeps the order of things.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// logBook keeps the lines that were logged.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (b *logBook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logBook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logBook) WithGroup(string) slog.Handler            { return b }
func (b *logBook) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
	return nil
}

func (b *logBook) logger() *slog.Logger { return slog.New(b) }

// count gives how many lines contain text.
func (b *logBook) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, line := range b.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
