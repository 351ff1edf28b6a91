package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var (
	_ allocator.Log = (*Log)(nil)
	_ ingress.Log   = (*Log)(nil)
)

var (
	// ErrClosed is what Append returns after Close, and what records get that
	// Close gave up on.
	ErrClosed = errors.New("the log is closed")
	// ErrTooLarge means that a record is larger than any that anteroom writes.
	ErrTooLarge = errors.New("the record is too large")
	// ErrNoPartition means that the topic had no such partition when it was
	// last looked at.
	ErrNoPartition = errors.New("the log has no such partition")
	// ErrOffsetUnknown means that the record is in the log, at an offset that
	// the broker did not tell.
	ErrOffsetUnknown = errors.New("the record's offset is unknown")
	// ErrRecreated means that the topic was deleted and made again under the
	// same name: the log that the process works on is gone.
	ErrRecreated = errors.New("the topic was deleted and made again")
)

// MaxRecordBytes is how large key and value of a record may be together: more
// than any call's body makes. With MaxWaiting it bounds memory, at far more than
// a flood of buys of some 200 bytes comes to.
const MaxRecordBytes = 32 << 10

// Log is the topic, open for appending and reading. Each role opens its own:
// the producer of an allocator's Log has connections, a buffer and an age of its
// own, so that an owner's ticks neither queue behind a flood of buys of the
// same process nor are shed with it.
//
// Its methods may be called from several goroutines.
type Log struct {
	config  Config
	logger  *slog.Logger
	id      event.TopicID
	client  *kgo.Client // the producer; also for requests
	metered []kgo.Opt   // shared with readers
	opened  time.Time   // where its clock starts

	spare    sync.Pool    // of *pending
	waiting  atomic.Int64 // records without an acknowledgement, and 1 for not being closed
	idle     chan struct{}
	shedding atomic.Bool // for telling once

	growing sync.Mutex // held while lines is replaced
	lines   atomic.Pointer[[]*unacknowledged]

	appending sync.RWMutex // held for reading by Append, so that Close finds none underway
	closed    bool
}

// Open checks the topic as Check does and makes a producer for it that is
// ready to append.
func Open(ctx context.Context, config Config) (*Log, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	l := newLog(config)
	l.client, err = newClient(config, slices.Concat(l.metered, []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), // and idempotent, which is the default
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		// One request at a time and no linger: what arrives while it is under way
		// forms the next one, so batches grow with the load, and a lone record
		// never waits.
		kgo.ProducerLinger(0),
		kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProduceRequestTimeout(replicaTimeout),
		// Records are tried for as long as the process lives: RecordRetries and
		// RecordDeliveryTimeout are unlimited by default.
		kgo.UnknownTopicRetries(-1),
		// The Log counts for itself and refuses earlier, by MaxWaiting.
		kgo.MaxBufferedRecords(config.MaxWaiting + 1024),
	})...)
	if err != nil {
		return nil, err
	}
	if err := l.prepare(ctx); err != nil {
		l.client.Close()
		return nil, err
	}
	return l, nil
}

// newLog makes a Log without a client.
func newLog(config Config) *Log {
	l := &Log{
		config:  config,
		logger:  config.Logger.With("topic", config.Topic, "client", config.Name),
		metered: measured(config),
		opened:  time.Now(),
		idle:    make(chan struct{}),
	}
	l.waiting.Store(1)
	l.lines.Store(&[]*unacknowledged{})
	return l
}

// prepare binds the producer to the topic's id and gets it a producer id, so
// that the first record finds everything ready.
func (l *Log) prepare(ctx context.Context) error {
	topic, err := check(ctx, l.client, l.config)
	if err != nil {
		return err
	}
	l.id = topic.ID
	l.know(len(topic.Partitions))

	// The producer takes up a topic with the first record that is given to it,
	// and from then on never appends to another topic of that name. Given one
	// for no partition, it takes up the topic and refuses the record.
	refused := make(chan error, 1)
	l.client.Produce(ctx, &kgo.Record{Topic: l.config.Topic, Partition: -1}, func(_ *kgo.Record, err error) { refused <- err })
	if err := <-refused; err == nil {
		return errors.New("binding the producer to the topic: a record for no partition was taken")
	}
	if _, _, err := l.client.ProducerID(ctx); err != nil {
		return fmt.Errorf("asking for a producer id: %w", err)
	}
	return l.confirm(ctx)
}

// confirm asks whether the topic's name still stands for this log. Ids are
// never used again: what was asked before it was asked of this log.
func (l *Log) confirm(ctx context.Context) error {
	described, err := describe(ctx, l.client, l.config.Topic)
	if err != nil {
		return err
	}
	if described.TopicID != l.id {
		return l.recreated()
	}
	l.know(len(described.Partitions))
	return nil
}

func (l *Log) recreated() error {
	// To an owner this is a log that does not continue what its ledger holds.
	return fmt.Errorf("topic %s, known by id %s: %w: %w; restore the topic, or restart with a ledger that is rebuilt from it",
		l.config.Topic, l.id, ErrRecreated, allocator.ErrDiscontinuous)
}

// know notes how many partitions the topic has. There are never fewer.
func (l *Log) know(partitions int) {
	l.growing.Lock()
	defer l.growing.Unlock()
	lines := *l.lines.Load()
	if partitions <= len(lines) {
		return
	}
	more := slices.Clone(lines)
	for len(more) < partitions {
		more = append(more, newUnacknowledged())
	}
	l.lines.Store(&more)
	if len(lines) > 0 {
		l.client.ForceMetadataRefresh() // so that the producer knows them too
	}
}

// Topic is the topic's id, which names the log.
func (l *Log) Topic() event.TopicID { return l.id }

// Partitions is how many partitions the log had when it was last looked at: by
// Open, and by every Bounds and Entry.
func (l *Log) Partitions() int32 { return int32(len(*l.lines.Load())) }

// Append adds a record and calls done once, from another goroutine, with its
// offset or an error, after which the record may still be in the log. done must
// not block: all acknowledgements wait for it. Key and value belong to the Log
// until then and are not to be changed. After an error that is returned nothing
// is appended, done is not called, and they are the caller's again.
//
// It never waits. It returns ingress.ErrOverloaded where the partition's oldest
// record without an acknowledgement is older than ShedAge, or MaxWaiting records
// wait in all. Both end by themselves once the brokers acknowledge again. The
// age is each partition's own: brokers fail one by one, and a line whose broker
// answers goes on.
func (l *Log) Append(partition int32, key, value []byte, done func(sale.Offset, error)) error {
	l.appending.RLock()
	defer l.appending.RUnlock()
	if l.closed {
		return ErrClosed
	}
	lines := *l.lines.Load()
	if partition < 0 || int(partition) >= len(lines) {
		return fmt.Errorf("appending to partition %d of %d: %w", partition, len(lines), ErrNoPartition)
	}
	if len(key)+len(value) > MaxRecordBytes {
		return fmt.Errorf("appending %d bytes: %w", len(key)+len(value), ErrTooLarge)
	}
	line := lines[partition]
	now := time.Since(l.opened)
	if age := line.age(now); age > l.config.ShedAge {
		l.shed("age", age, "partition", partition)
		return ingress.ErrOverloaded
	}
	if waiting := l.waiting.Add(1); waiting > int64(l.config.MaxWaiting)+1 {
		l.release()
		l.shed("waiting", waiting)
		return ingress.ErrOverloaded
	}
	p := l.pending()
	p.line, p.sequence, p.done = line, line.add(now), done
	p.record = kgo.Record{Topic: l.config.Topic, Partition: partition, Key: key, Value: value}
	// Not a request's context: a cancelled one would fail its neighbours too.
	// Close bounds the record's life.
	l.client.TryProduce(context.Background(), &p.record, p.promise)
	return nil
}

// pending is a record without an acknowledgement. The producer is done with a
// record once it calls its promise, so that the next one takes its place.
type pending struct {
	record   kgo.Record
	line     *unacknowledged
	sequence uint64
	done     func(sale.Offset, error)
	promise  func(*kgo.Record, error) // made once, and kept
}

func (l *Log) pending() *pending {
	if p, ok := l.spare.Get().(*pending); ok {
		return p
	}
	p := new(pending)
	p.promise = func(record *kgo.Record, err error) { l.acknowledged(p, record, err) }
	return p
}

// acknowledged is called once for each record that was appended.
func (l *Log) acknowledged(p *pending, record *kgo.Record, err error) {
	p.line.remove(p.sequence)
	l.resume()
	offset, err := l.outcome(record, err)
	done := p.done
	p.record, p.line, p.done = kgo.Record{}, nil, nil // it holds on to nothing
	l.spare.Put(p)
	done(offset, err)
	l.release()
}

func (l *Log) outcome(record *kgo.Record, err error) (sale.Offset, error) {
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return sale.None, ErrClosed
	case errors.Is(err, kerr.UnknownTopicID):
		return sale.None, l.recreated()
	case err != nil:
		return sale.None, fmt.Errorf("appending to partition %d: %w", record.Partition, err)
	case record.Offset < 0:
		return sale.None, ErrOffsetUnknown
	}
	return sale.Offset(record.Offset), nil
}

// shed and resume tell when refusing begins and when it ends, once each.
func (l *Log) shed(why ...any) {
	if !l.shedding.Load() && l.shedding.CompareAndSwap(false, true) {
		l.logger.Warn("the brokers do not keep up; refusing records", why...)
	}
}

func (l *Log) resume() {
	if !l.shedding.Load() {
		return
	}
	now := time.Since(l.opened)
	for _, line := range *l.lines.Load() {
		if line.age(now) > l.config.ShedAge {
			return
		}
	}
	if l.waiting.Load() <= int64(l.config.MaxWaiting)/2 && l.shedding.CompareAndSwap(true, false) {
		l.logger.Info("the brokers keep up again")
	}
}

func (l *Log) release() {
	if l.waiting.Add(-1) == 0 {
		close(l.idle)
	}
}

// Close refuses further records, waits until those it has are acknowledged or
// ctx is done, and ends the producer; what is then left gets ErrClosed, and may
// be in the log or not. Every done has returned when Close returns. Readers end
// by their own Close, before it.
func (l *Log) Close(ctx context.Context) error {
	l.appending.Lock()
	was := l.closed
	l.closed = true
	l.appending.Unlock()
	if was {
		<-l.idle
		return nil
	}
	err := l.client.Flush(ctx)
	if err != nil {
		err = fmt.Errorf("waiting for %d acknowledgements: %w", l.waiting.Load()-1, err)
	}
	l.client.Close()
	l.release()
	<-l.idle
	return err
}
