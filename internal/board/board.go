package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Errors of a board. Whatever a ledger returns is wrapped in another one.
var (
	// ErrNotReady means that the partition has not been read yet.
	ErrNotReady = errors.New("the board has not read the partition yet")
	// ErrNoPartition means that the log has no such partition.
	ErrNoPartition = errors.New("the log has no such partition")
	// ErrNoRow means that a request that was named without its sale has no
	// row: it is undecided, or has a default outcome, or is no request.
	ErrNoRow = errors.New("the request has no row")
	// ErrUnknownSale means that the request's sale is not in memory, or any more.
	ErrUnknownSale = errors.New("the sale is not known")
	// ErrNoResult means that the record at a command's offset is decided and
	// has no result: it is no command, or could not be read.
	ErrNoResult = errors.New("the record has no result")
	// ErrBehind means that the ledger has not reached a watermark either.
	ErrBehind = errors.New("the ledger is behind the watermark")
	// ErrOtherLog means that the ledger is a fold of another log.
	ErrOtherLog = errors.New("the ledger is of another log")
	// ErrUnsettled means that memory changed again and again while the ledger
	// was asked: to be tried again.
	ErrUnsettled = errors.New("the board changes too fast to answer")
)

// DefaultLimit is the number of rows that a partition is first read with.
const DefaultLimit = 200_000

// Config says what a board is of.
type Config struct {
	Log        event.TopicID
	Partitions int32
	Ledger     Ledger
	Feed       Feed

	// Limit is the number of rows, and of results, that one read of the ledger
	// may give. Memory holds at most twice as many of both together for each
	// partition. 0 is DefaultLimit.
	Limit int

	Registerer prometheus.Registerer // nil for none
	Logger     *slog.Logger          // nil for none
}

// Validate reports the first thing that is missing.
func (c Config) Validate() error {
	switch {
	case c.Log == event.TopicID{}:
		return errors.New("board: no log is named")
	case c.Partitions < 1:
		return fmt.Errorf("board: %d partitions", c.Partitions)
	case c.Ledger == nil || c.Feed == nil:
		return errors.New("board: a ledger and a feed are needed")
	case c.Limit < 0:
		return fmt.Errorf("board: a limit of %d rows", c.Limit)
	}
	return nil
}

// Board is the memory of all partitions of a log. Its methods may be called
// from any goroutine.
type Board struct {
	log        string
	feed       Feed
	metrics    *metrics
	logger     *slog.Logger
	partitions []*partition

	unread atomic.Int32 // partitions that have never been read
	ready  chan struct{}

	// Partition of each product. A product belongs to one for ever.
	products sync.Map // sale.Product -> *partition
}

// New makes a board that knows nothing until Run has read the partitions.
func New(config Config) (*Board, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Limit == 0 {
		config.Limit = DefaultLimit
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Board{
		log: config.Log.String(), feed: config.Feed, logger: config.Logger,
		metrics: newMetrics(),
		ready:   make(chan struct{}),
	}
	b.unread.Store(config.Partitions)
	shared := &shared{
		board: b, log: config.Log, ledger: config.Ledger, limit: config.Limit,
		asking:  make(chan struct{}, maxAsking),
		healing: make(chan struct{}, maxHealing),
	}
	for number := range config.Partitions {
		b.partitions = append(b.partitions, newPartition(shared, number))
	}
	if config.Registerer != nil {
		if err := config.Registerer.Register(&collector{board: b}); err != nil {
			return nil, fmt.Errorf("registering the board's metrics: %w", err)
		}
	}
	return b, nil
}

// Run keeps the board up to date until ctx is done, and then returns nil. It
// is to be called once. An error means that the feed has ended by itself.
func (b *Board) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range b.partitions {
		p.begin()
		group.Go(func() error { return p.keepHealed(ctx) })
	}
	group.Go(func() error {
		err := b.feed.Run(ctx, b.subscribed, b.receive)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return errors.New("the board's feed has ended")
		}
		return fmt.Errorf("running the board's feed: %w", err)
	})
	return group.Wait()
}

// subscribed is called when a subscription begins to hold. What was published
// before is lost; what is published from now on is received. So a read that
// begins now misses nothing.
func (b *Board) subscribed() {
	for _, p := range b.partitions {
		p.requireRead()
	}
}

// receive takes a message of the feed.
func (b *Board) receive(encoded []byte) {
	m, err := event.DecodeMessage(encoded)
	switch {
	case err != nil:
		b.metrics.ignored.WithLabelValues("unreadable").Inc()
	case m.Log != b.log:
		b.metrics.ignored.WithLabelValues("other_log").Inc()
	case m.Partition < 0 || int(m.Partition) >= len(b.partitions):
		b.metrics.ignored.WithLabelValues("unknown_partition").Inc()
	case m.From < 0 || m.To < m.From:
		b.metrics.ignored.WithLabelValues("malformed").Inc()
	default:
		b.partitions[m.Partition].hear(m)
	}
}

// Ready reports whether every partition has been read once.
func (b *Board) Ready() bool { return b.unread.Load() == 0 }

// WaitReady waits until Ready.
func (b *Board) WaitReady(ctx context.Context) error {
	select {
	case <-b.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the board's first reads: %w", context.Cause(ctx))
	}
}

func (b *Board) partition(number int32) (*partition, error) {
	if number < 0 || int(number) >= len(b.partitions) {
		return nil, fmt.Errorf("partition %d: %w", number, ErrNoPartition)
	}
	return b.partitions[number], nil
}

// Watermark is the offset below which all is decided, as the board knows it,
// or sale.None for a partition that it has not read.
func (b *Board) Watermark(partition int32) sale.Offset {
	p, err := b.partition(partition)
	if err != nil {
		return sale.None
	}
	return p.watermark()
}

// End is the offset that the log's next record will get, as far as is known.
func (b *Board) End(partition int32) sale.Offset {
	p, err := b.partition(partition)
	if err != nil {
		return 0
	}
	return sale.Offset(p.end.Load())
}

// NoteAppended raises the known end: the log has a record at offset.
func (b *Board) NoteAppended(partition int32, offset sale.Offset) {
	if p, err := b.partition(partition); err == nil {
		p.raiseEnd(offset + 1)
	}
}

// Line is the number of records of the partition that are known to be in the
// log and undecided.
func (b *Board) Line(partition int32) int64 {
	p, err := b.partition(partition)
	if err != nil {
		return 0
	}
	return p.line()
}

// Stopped says why the partition cannot go on, and is empty while it can.
func (b *Board) Stopped(partition int32) string {
	p, err := b.partition(partition)
	if err != nil {
		return ""
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.stopped
}

// LogTime is the partition's log time at the board's watermark.
func (b *Board) LogTime(partition int32) sale.Time {
	p, err := b.partition(partition)
	if err != nil {
		return 0
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.now
}
