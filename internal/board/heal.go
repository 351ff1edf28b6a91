package board

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	// Owners repeat their watermark twice a second, so two are missing.
	silence = time.Second
	// What is added at most, so that not all boards read at once.
	silenceJitter = 100 * time.Millisecond

	firstRetry  = 50 * time.Millisecond
	lastRetry   = time.Second
	healTimeout = 10 * time.Second

	// Reads of partitions that one board has in flight.
	maxHealing = 4

	// How long a client that has seen more than the board waits for the
	// message about it, which is usually on its way, before the ledger is
	// read. Without it, every ingress would read all the time that another
	// one hears a message a millisecond earlier.
	grace = 20 * time.Millisecond
)

// heal is what a partition knows about reading the ledger. It belongs to the
// partition's mutex, but for wanted.
type heal struct {
	wanted chan struct{} // has an element when untilRead has to be asked again

	required bool        // one read, whatever the watermark
	to       sale.Offset // reads until the watermark is there
	next     *round      // the read that has not begun

	heard     time.Time // when a message showed that the feed works
	read      time.Time // when the last read ended
	healed    time.Time // when the last one that succeeded ended
	jitter    time.Duration
	notBefore time.Time // after one that was in vain
	failures  int
	otherLog  bool // the last read found another log
}

// round is one read, for those who wait for it.
type round struct {
	done chan struct{} // closed at its end
	err  error         // valid then
}

func newHeal() heal {
	return heal{wanted: make(chan struct{}, 1), next: newRound(), to: sale.None}
}

func newRound() *round { return &round{done: make(chan struct{})} }

// begin starts the clock of silence.
func (p *partition) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heal.heard = time.Now()
	p.heal.jitter = rand.N(silenceJitter)
}

// requireRead asks for a read that has not begun yet.
func (p *partition) requireRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heal.required = true
	p.prompt()
}

// nextRead gives the next read to begin, without asking for it.
func (p *partition) nextRead() *round {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.heal.next
}

// require asks for a read, unless it has begun.
func (p *partition) require(r *round) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heal.next == r {
		p.heal.required = true
		p.prompt()
	}
}

// needRead asks for reads until the watermark has reached to. It is none if
// messages bring it there.
func (p *partition) needRead(to sale.Offset) {
	p.heal.to = max(p.heal.to, to)
	p.prompt()
}

func (p *partition) prompt() {
	select {
	case p.heal.wanted <- struct{}{}:
	default:
	}
}

// untilRead gives the time until the next read of the ledger is due.
func (p *partition) untilRead() time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	now := time.Now()
	h := &p.heal
	due := h.read
	if h.heard.After(due) && p.stopped == "" {
		due = h.heard // else signs of life do not tell when it goes on
	}
	due = due.Add(silence + h.jitter)
	if h.required || h.to > p.watermark() {
		due = now
	}
	if due.Before(h.notBefore) {
		due = h.notBefore
	}
	return due.Sub(now)
}

// lastKnown is when a message or a read last told how the partition stands.
func (p *partition) lastKnown() time.Time {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.heal.healed.After(p.heal.heard) {
		return p.heal.healed
	}
	return p.heal.heard
}

// keepHealed reads the ledger whenever that is due, one read at a time, until
// ctx is done.
func (p *partition) keepHealed(ctx context.Context) error {
	timer := time.NewTimer(p.untilRead())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.heal.wanted:
		case <-timer.C:
		}
		wait := p.untilRead()
		if wait <= 0 {
			select {
			case p.healing <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			if wait = p.untilRead(); wait <= 0 { // a message may have made it needless
				p.readLedger(ctx)
				wait = p.untilRead()
			}
			<-p.healing
		}
		timer.Reset(max(wait, 0))
	}
}

// readLedger heals the partition, once.
func (p *partition) readLedger(ctx context.Context) {
	p.mu.Lock()
	current := p.heal.next
	p.heal.next = newRound()
	p.heal.required = false
	watermark := p.watermark()
	p.mu.Unlock()

	reading, cancel := context.WithTimeout(ctx, healTimeout)
	extract, err := p.ledger.Since(reading, p.number, max(0, watermark), p.limit)
	cancel()
	if err == nil && extract.Topic != p.log {
		err = fmt.Errorf("log %s, expected %s: %w", extract.Topic, p.log, ErrOtherLog)
	}
	if err != nil {
		err = fmt.Errorf("reading partition %d from the ledger: %w", p.number, err)
	}
	p.endRead(current, &extract, err)
	if err != nil && ctx.Err() == nil {
		p.board.logger.WarnContext(ctx, "the board cannot read the ledger", "partition", p.number, "error", err)
	}
}

// endRead takes what a read has given. Messages have been taken meanwhile, so
// it may be behind what is known by now: then it says nothing new.
func (p *partition) endRead(current *round, extract *Extract, err error) {
	p.mu.Lock()
	defer p.unlockAndWake()
	h := &p.heal
	before := p.watermark()
	if err == nil && extract.Watermark >= before {
		p.takeExtract(extract)
		p.takeKept()
		p.measure(before, true)
	}
	if err == nil || errors.Is(err, ErrOtherLog) {
		h.otherLog = err != nil
	}
	h.read = time.Now()
	h.jitter = rand.N(silenceJitter)
	p.board.metrics.heals.Inc()
	if err == nil {
		h.healed = h.read
	} else {
		p.board.metrics.healFailures.Inc()
	}
	// Where a read brings nothing although something is missing, the next one
	// waits.
	if err != nil || (h.to > p.watermark() && p.watermark() == before) {
		retry := min(firstRetry<<min(h.failures, 10), lastRetry)
		h.failures++
		h.notBefore = h.read.Add(retry/2 + rand.N(retry/2))
	} else {
		h.failures = 0
		h.notBefore = time.Time{}
	}
	current.err = err
	close(current.done)
}

// CatchUp waits until the board is at or above watermark, which a client has
// seen elsewhere. All who wait share one read of the ledger. It returns
// ErrBehind if the ledger is not there either, the error of the read, or
// ctx's.
func (b *Board) CatchUp(ctx context.Context, partition int32, watermark sale.Offset) error {
	p, err := b.partition(partition)
	if err != nil {
		return err
	}
	if p.watermark() >= watermark {
		return nil
	}
	return p.reach(ctx, watermark)
}

func (p *partition) reach(ctx context.Context, watermark sale.Offset) error {
	watch := p.board.Watch(p.number, watermark-1)
	defer watch.Close()
	wait := time.NewTimer(grace)
	defer wait.Stop()
	// A read that is in flight may have looked before the watermark was
	// committed, one that begins from now on has not.
	reading := p.nextRead()
	for p.watermark() < watermark {
		select {
		case <-watch.C:
		case <-wait.C:
			p.require(reading)
		case <-reading.done:
			switch {
			case p.watermark() >= watermark:
				return nil
			case reading.err != nil:
				return reading.err
			}
			return fmt.Errorf("partition %d: watermark %d: %w", p.number, watermark, ErrBehind)
		case <-ctx.Done():
			return fmt.Errorf("catching up with partition %d: %w", p.number, context.Cause(ctx))
		}
	}
	return nil
}
