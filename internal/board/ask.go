package board

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	// Reads of one request or result that one board has in flight. Who comes
	// later waits for one to end, or for its own deadline.
	maxAsking  = 16
	askTimeout = 5 * time.Second
)

// asks are the questions to the ledger that are in flight, one for each
// request. Whoever asks first does the work, in its own goroutine.
type asks struct {
	mu       sync.Mutex
	inFlight map[sale.Offset]*question
}

type question struct {
	done chan struct{} // closed at its end
	err  error         // valid then
	gone bool          // it failed because the one who did the work went away
}

// ask reads a request from the ledger into memory, once for all who ask for it
// at the same time.
func (p *partition) ask(ctx context.Context, offset sale.Offset) error {
	for {
		p.asks.mu.Lock()
		q := p.asks.inFlight[offset]
		if q == nil {
			break
		}
		p.asks.mu.Unlock()
		select {
		case <-q.done:
			if !q.gone {
				return q.err
			}
		case <-ctx.Done():
			return fmt.Errorf("asking the ledger for request %d-%d: %w", p.number, offset, context.Cause(ctx))
		}
	}
	if p.asks.inFlight == nil {
		p.asks.inFlight = make(map[sale.Offset]*question)
	}
	q := &question{done: make(chan struct{})}
	p.asks.inFlight[offset] = q
	p.asks.mu.Unlock()

	defer func() {
		p.asks.mu.Lock()
		delete(p.asks.inFlight, offset)
		p.asks.mu.Unlock()
		close(q.done)
	}()
	if err := p.fetch(ctx, offset); err != nil {
		q.err = fmt.Errorf("asking the ledger for request %d-%d: %w", p.number, offset, err)
		q.gone = ctx.Err() != nil
	}
	return q.err
}

// fetch reads a request, waits until the board is where the ledger was, and
// remembers the answer.
func (p *partition) fetch(ctx context.Context, offset sale.Offset) error {
	if err := p.takeTurn(ctx); err != nil {
		return err
	}
	reading, cancel := context.WithTimeout(ctx, askTimeout)
	found, err := p.ledger.Request(reading, p.number, offset)
	cancel()
	<-p.asking
	if err != nil {
		return err
	}
	if found.Watermark > p.watermark() {
		if err := p.reach(ctx, found.Watermark); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.unlockAndWake()
	p.remember(offset, found)
	return nil
}

// takeTurn waits for one of the turns at the ledger, which the caller gives
// back.
func (p *partition) takeTurn(ctx context.Context) error {
	p.mu.RLock()
	otherLog := p.heal.otherLog
	p.mu.RUnlock()
	if otherLog {
		return ErrOtherLog
	}
	select {
	case p.asking <- struct{}{}:
		p.board.metrics.asks.Inc()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// WaitResult waits until a command is decided and gives its result. It returns
// ErrNoResult if the record at that offset has none, ctx's error, or that of
// the ledger where it had to be asked.
func (b *Board) WaitResult(ctx context.Context, partition int32, command sale.Offset) (sale.Result, error) {
	p, err := b.partition(partition)
	if err != nil {
		return sale.Result{}, err
	}
	watch := b.Watch(partition, command)
	defer watch.Close()
	for p.watermark() <= command {
		select {
		case <-watch.C:
		case <-ctx.Done():
			return sale.Result{}, fmt.Errorf("waiting for the result of command %d-%d: %w", partition, command, context.Cause(ctx))
		}
	}
	result, err := p.result(ctx, command)
	if err != nil {
		return sale.Result{}, fmt.Errorf("the result of command %d-%d: %w", partition, command, err)
	}
	return result, nil
}

// result gives the result of a command below the watermark. A result never
// changes, so it does not matter where the ledger is that gives it.
func (p *partition) result(ctx context.Context, command sale.Offset) (sale.Result, error) {
	p.mu.RLock()
	result, ok := p.results[command]
	complete := p.complete
	p.mu.RUnlock()
	switch {
	case ok:
		return result, nil
	case command >= complete:
		return sale.Result{}, ErrNoResult
	}
	if err := p.takeTurn(ctx); err != nil {
		return sale.Result{}, err
	}
	defer func() { <-p.asking }()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	result, ok, err := p.ledger.Result(ctx, p.number, command)
	if err == nil && !ok {
		err = ErrNoResult
	}
	return result, err
}
