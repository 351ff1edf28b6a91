package board_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var topic = event.TopicID{1}

var errDown = errors.New("the ledger is down")

// ledger is the truth as far as it is committed.
type ledger struct {
	mu      sync.Mutex
	truths  []*truth
	topic   event.TopicID
	stopped string
	down    bool
	delay   time.Duration // between a snapshot and its answer

	reads, requests, results int
	reading, mostReading     int
}

// set changes the ledger.
func (l *ledger) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *ledger) wait(ctx context.Context, delay time.Duration) error {
	if delay == 0 {
		return nil
	}
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *ledger) Since(ctx context.Context, partition int32, from sale.Offset, limit int) (board.Extract, error) {
	l.mu.Lock()
	l.reads++
	l.reading++
	l.mostReading = max(l.mostReading, l.reading)
	tr := l.truths[partition]
	extract := tr.extract(from, tr.committed, limit)
	extract.Topic, extract.Stopped = l.topic, l.stopped
	down, delay := l.down, l.delay
	l.mu.Unlock()

	err := l.wait(ctx, delay)
	l.mu.Lock()
	l.reading--
	l.mu.Unlock()
	if down {
		return board.Extract{}, errDown
	}
	return extract, err
}

func (l *ledger) Request(ctx context.Context, partition int32, offset sale.Offset) (board.Found, error) {
	l.mu.Lock()
	l.requests++
	tr := l.truths[partition]
	found := board.Found{Watermark: tr.committed, Row: tr.row(offset, tr.committed)}
	down, delay := l.down, l.delay
	l.mu.Unlock()
	if down {
		return board.Found{}, errDown
	}
	return found, l.wait(ctx, delay)
}

func (l *ledger) Result(ctx context.Context, partition int32, command sale.Offset) (sale.Result, bool, error) {
	l.mu.Lock()
	l.results++
	tr := l.truths[partition]
	result, ok := tr.results[command]
	ok = ok && command < tr.committed
	down, delay := l.down, l.delay
	l.mu.Unlock()
	if down {
		return sale.Result{}, false, errDown
	}
	return result, ok, l.wait(ctx, delay)
}

// feed gives its test the subscriber's callbacks.
type feed struct {
	subscribed func()
	receive    func([]byte)
	ended      chan error
	silent     bool // it does not subscribe by itself
}

func (f *feed) Run(ctx context.Context, subscribed func(), receive func([]byte)) error {
	f.subscribed, f.receive = subscribed, receive
	if !f.silent {
		subscribed()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-f.ended:
		return err
	}
}

func (f *feed) send(m *event.Message) {
	encoded, err := event.EncodeMessage(m)
	if err != nil {
		panic(err)
	}
	f.receive(encoded)
}

// stack is a board that runs in a bubble, and all around it.
type stack struct {
	*board.Board
	*truth // partition 0
	ledger *ledger
	feed   *feed
	limit  int
	stop   func()
}

// advance lets the bubble's time pass.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func newStack(partitions int32, limit int) *stack {
	s := &stack{ledger: &ledger{topic: topic}, limit: limit}
	for number := range partitions {
		tr := newTruth(number)
		tr.add(0, "", sale.Schema{Version: sale.NewestSchema})
		s.ledger.truths = append(s.ledger.truths, tr)
	}
	s.truth = s.ledger.truths[0]
	return s
}

// start makes a board and runs it. Once it returns, the board has read what it
// could.
func (s *stack) start() {
	s.feed = &feed{ended: make(chan error, 1)}
	s.startOn(s.feed)
}

func (s *stack) startOn(f *feed) {
	s.feed = f
	b, err := board.New(board.Config{
		Log: topic, Partitions: int32(len(s.ledger.truths)), Ledger: s.ledger, Feed: f, Limit: s.limit,
	})
	if err != nil {
		panic(err)
	}
	s.Board = b
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			panic(err)
		}
	}
	synctest.Wait()
}

// commit makes the ledger know all of the log, and gives the message.
func (s *stack) commit() *event.Message {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	from := s.truth.committed
	s.truth.committed = s.truth.end()
	return s.truth.message(from, s.truth.committed)
}

func (s *stack) create(product sale.Product, quantity int64) sale.Offset {
	return s.add(1000, product, sale.Create{Rules: 1, BuyerKey: "k", Settings: sale.Settings{
		Quantity: quantity, HoldSeconds: 60, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue,
	}})
}

// waitlist is the settings of a sale with a waitlist.
func waitlist(quantity int64) sale.Settings {
	return sale.Settings{
		Quantity: quantity, HoldSeconds: 60, MaxHoldSeconds: 600, PerBuyerLimit: 1, MaxQuantityPerRequest: 1,
		Policy: sale.PolicyWaitlist, WaitlistCapacity: 1_000_000,
	}
}

func (s *stack) createOf(product sale.Product, settings sale.Settings) sale.Offset {
	return s.add(1000, product, sale.Create{Rules: sale.NewestRules, BuyerKey: "k", Settings: settings, Later: true})
}

func (s *stack) buy(product sale.Product, of sale.Offset, buyer string) sale.Offset {
	return s.add(1000, product, sale.Buy{Sale: of, Buyer: sale.Buyer(buyer), Quantity: 1, AcceptedAt: 900})
}

// bubble runs a test in fake time. No goroutine may be left at its end.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
