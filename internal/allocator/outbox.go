package allocator

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Decisions is the topic of decisions, for other systems.
type Decisions interface {
	// Publish appends what [event.DecisionLines] gives to a partition, in
	// order, and returns when all of it is there. After an error any part of it
	// may be there.
	Publish(ctx context.Context, partition int32, lines []byte) error
}

// Outbox gives what batches left in the ledger to be published. It needs no
// ownership: what it gives is committed, and what it removes is published.
type Outbox interface {
	// Waiting gives the rows of a partition from an offset on, in order, as
	// many as fit about limit bytes, and at least one if there is any.
	Waiting(ctx context.Context, partition int32, from sale.Offset, limit int) ([]Outgoing, error)
	// Remove drops the partition's rows below an offset.
	Remove(ctx context.Context, partition int32, below sale.Offset) error
}

// Outgoing is what a batch has to be published.
type Outgoing struct {
	From, To sale.Offset
	Lines    []byte // as event.DecisionBatch.Encode wrote them
}

const (
	// What is committed waits in memory to be published. Above this, in bytes,
	// it waits in the ledger alone, and is read from there.
	maxOutgoing = 16 << 20
	// What is published or read at once, in bytes; one batch may be more.
	outgoingPortion = 4 << 20
	// How often rows are removed, at most.
	removeInterval = 100 * time.Millisecond
	outboxTimeout  = 10 * time.Second
	publishPace    = 30 * time.Second // for one portion; then it is published anew
	// Between two attempts, as a loop's.
	firstPublishRetry = 100 * time.Millisecond
	lastPublishRetry  = 5 * time.Second
	publishAlarm      = 30 * time.Second // between two lines about it
)

// outboxMetrics are those of what is published.
type outboxMetrics struct {
	published prometheus.Counter
	failures  prometheus.Counter
	lag       *prometheus.GaugeVec
}

func newOutboxMetrics(r prometheus.Registerer) *outboxMetrics {
	factory := promauto.With(r)
	return &outboxMetrics{
		published: factory.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_decisions_published_bytes_total", Help: "Decisions that were appended to the topic of decisions, in bytes.",
		}),
		failures: factory.NewCounter(prometheus.CounterOpts{
			Name: "anteroom_decisions_publish_failures_total", Help: "Attempts to publish decisions, or to read or remove those that wait, which failed and are repeated.",
		}),
		lag: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "anteroom_decisions_unpublished_records", Help: "Records that are decided and whose decisions are not published.",
		}, []string{"partition"}),
	}
}

// standings are where a partition's sales stood after the batch that was sealed
// last. A nil one is that of an owner that publishes no decisions.
type standings map[sale.Offset]event.Standing

func (a *Allocator) standings(claim Claim) standings {
	if a.config.Decisions == nil {
		return nil
	}
	of := make(standings)
	for i := range claim.State.Sales {
		s := &claim.State.Sales[i]
		of[s.ID] = event.StandingOf(s)
	}
	return of
}

// decided begins to gather what a batch has to tell other systems, with the
// sales that it changed. Its decisions are added beside the loop.
func (s standings) decided(changed []SaleChange) *event.DecisionBatch {
	if s == nil {
		return nil
	}
	b := event.NewDecisionBatch()
	for i := range changed {
		of := &changed[i].Sale
		b.AddSale(*of, s[of.ID])
		s[of.ID] = event.StandingOf(of)
	}
	return b
}

// encode writes what the batch has to be published, once.
func (b *Batch) encode(topic event.TopicID) (err error) {
	if b.decided == nil {
		return nil
	}
	for i := range b.decisions {
		b.decided.Add(&b.decisions[i])
	}
	if !b.decided.Empty() {
		b.Decisions, err = b.decided.Encode(topic, b.Partition, b.Now)
	}
	b.decided = nil
	return err
}

// publisher publishes a partition's decisions in order, beside the loop, which
// it never holds up. What an owner leaves unpublished its successor finds in
// the ledger, and publishes first.
type publisher struct {
	partition int32
	decisions Decisions
	outbox    Outbox
	metrics   *outboxMetrics
	logger    *slog.Logger

	mu        sync.Mutex
	queue     []Outgoing  // follows what is published, without gaps, unless behind
	bytes     int         // in queue
	behind    bool        // the ledger has rows that the queue lacks; then it is empty
	committed sale.Offset // nothing above it is known to be committed
	woken     chan struct{}

	// The run loop's own.
	published sale.Offset // everything below is published
	last      sale.Offset // where the last row that is published ends
	removed   sale.Offset // rows below are gone
	notBefore time.Time   // of the next removal
	alarmed   time.Time
}

// newPublisher makes the publisher of an owner that begins at next. What it
// finds in the ledger comes first.
func (a *Allocator) newPublisher(partition int32, next sale.Offset, logger *slog.Logger) *publisher {
	if a.config.Decisions == nil {
		return nil
	}
	return &publisher{
		partition: partition, decisions: a.config.Decisions, outbox: a.config.Outbox, metrics: a.outbox, logger: logger,
		behind: true, committed: next, woken: make(chan struct{}, 1),
	}
}

// add takes note of a batch that is committed. It never waits. A nil publisher
// publishes nothing.
func (p *publisher) add(b *Batch) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.committed = b.To
	if !p.behind && len(b.Decisions) > 0 {
		p.queue = append(p.queue, Outgoing{From: b.From, To: b.To, Lines: b.Decisions})
		p.bytes += len(b.Decisions)
		if p.bytes > maxOutgoing {
			p.queue, p.bytes, p.behind = nil, 0, true
		}
	}
	p.mu.Unlock()
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// run publishes until ctx is done, and then removes what is published, so that
// the next owner does not repeat it.
func (p *publisher) run(ctx context.Context) {
	if p == nil {
		return
	}
	defer p.metrics.lag.DeleteLabelValues(label(p.partition))
	defer p.leave(ctx)
	remove := time.NewTimer(0)
	defer remove.Stop()
	retry := firstPublishRetry
	for ctx.Err() == nil {
		idle, err := p.step(ctx)
		if err == nil && p.removed < p.last && !time.Now().Before(p.notBefore) {
			p.notBefore = time.Now().Add(removeInterval)
			err = p.remove(ctx)
		}
		p.tell()
		var again <-chan time.Time
		switch {
		case err != nil:
			if ctx.Err() != nil {
				return
			}
			p.failed(err)
			again = time.After(retry/2 + rand.N(retry/2))
			retry = min(2*retry, lastPublishRetry)
		case !idle:
			retry = firstPublishRetry
			continue
		default:
			retry = firstPublishRetry
			if p.removed < p.last {
				remove.Reset(time.Until(p.notBefore))
				again = remove.C
			}
		}
		woken := p.woken
		if err != nil {
			woken = nil
		}
		select {
		case <-woken:
		case <-again:
		case <-ctx.Done():
		}
	}
}

// step publishes a portion. It is idle if there is none.
func (p *publisher) step(ctx context.Context) (idle bool, err error) {
	p.mu.Lock()
	committed, behind := p.committed, p.behind
	p.drop() // what was read from the ledger before it was added
	portion := p.next()
	p.mu.Unlock()
	if behind {
		if portion, err = p.waiting(ctx); err != nil {
			return false, err
		}
		if len(portion) == 0 {
			return p.caughtUp(committed), nil
		}
	}
	if len(portion) == 0 {
		p.published = committed // the rest had no decisions
		return true, nil
	}
	lines := linesOf(portion)
	bounded, cancel := context.WithTimeout(ctx, publishPace)
	defer cancel()
	if err := p.decisions.Publish(bounded, p.partition, lines); err != nil {
		return false, fmt.Errorf("publishing the decisions of [%d, %d): %w", portion[0].From, portion[len(portion)-1].To, err)
	}
	p.metrics.published.Add(float64(len(lines)))
	p.last = portion[len(portion)-1].To
	p.published = p.last
	return false, nil
}

// linesOf joins the lines. A crowd's batch is a portion by itself.
func linesOf(portion []Outgoing) []byte {
	if len(portion) == 1 {
		return portion[0].Lines
	}
	var lines []byte
	for _, o := range portion {
		lines = append(lines, o.Lines...)
	}
	return lines
}

// next gives what is published next, and leaves it in the queue. The caller has
// the lock.
func (p *publisher) next() []Outgoing {
	size := 0
	for i := range p.queue {
		if size += len(p.queue[i].Lines); size > outgoingPortion {
			return p.queue[:max(i, 1)]
		}
	}
	return p.queue
}

// drop takes what is published off the queue. The caller has the lock.
func (p *publisher) drop() {
	for len(p.queue) > 0 && p.queue[0].To <= p.published {
		p.bytes -= len(p.queue[0].Lines)
		p.queue[0] = Outgoing{}
		p.queue = p.queue[1:]
	}
}

func (p *publisher) waiting(ctx context.Context) ([]Outgoing, error) {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	portion, err := p.outbox.Waiting(ctx, p.partition, p.published, outgoingPortion)
	if err != nil {
		return nil, fmt.Errorf("reading the decisions that wait: %w", err)
	}
	return portion, nil
}

// caughtUp ends being behind, if nothing was committed since the ledger was
// asked, and found to have nothing more below committed.
func (p *publisher) caughtUp(committed sale.Offset) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = max(p.published, committed)
	if p.committed != committed {
		return false
	}
	p.behind = false
	return true
}

func (p *publisher) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	if err := p.outbox.Remove(ctx, p.partition, p.last); err != nil {
		return fmt.Errorf("removing the decisions that are published: %w", err)
	}
	p.removed = p.last
	return nil
}

func (p *publisher) leave(ctx context.Context) {
	if p.removed == p.last {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := p.remove(ctx); err != nil {
		p.failed(err)
	}
}

func (p *publisher) tell() {
	p.mu.Lock()
	committed := p.committed
	p.mu.Unlock()
	p.metrics.lag.WithLabelValues(label(p.partition)).Set(float64(max(0, committed-p.published)))
}

func (p *publisher) failed(err error) {
	p.metrics.failures.Inc()
	if now := time.Now(); now.Sub(p.alarmed) >= publishAlarm {
		p.alarmed = now
		p.logger.Warn("decisions wait to be published; trying again", "error", err)
	}
}
