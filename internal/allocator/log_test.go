package allocator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var (
	errBroker     = errors.New("the broker is away")
	errOutOfRange = errors.New("the log does not have the offset")
)

// fakeLog is a topic in memory. Its broker's clock is the bubble's, shifted by
// what the test sets; a record's fate is the test's to decide.
type fakeLog struct {
	mu         sync.Mutex
	topic      event.TopicID
	partitions map[int32]*fakePartition
	skew       time.Duration // of the broker's clock
	portion    int           // entries that one Read gives at most; 0 for all
	readDelay  time.Duration
	onAppend   func(partition int32, value []byte) appendFate
	onRead     func(partition int32, next sale.Offset) error
	skipping   bool // a Read leaves its first entry out
	wrong      []string
	journal    *journal

	committed func(partition int32) sale.Offset // what the ledger has
}

// fakePartition keeps the entries of [start, start+len(entries)).
type fakePartition struct {
	start   sale.Offset
	entries []event.Entry
	grown   chan struct{}
	ticks   []tickSeen
}

// tickSeen is a tick that an owner asked to append.
type tickSeen struct {
	committed sale.Offset
	at        time.Time
}

// appendFate says what becomes of an append. The zero value is: in the log at
// once, acknowledged at once.
type appendFate struct {
	refused error         // nothing happens
	delay   time.Duration // until it is in the log
	lost    bool          // it never is; failed says what done is told
	late    time.Duration // from there to the acknowledgement
	failed  error         // what done is told
}

func newFakeLog(partitions int32) *fakeLog {
	l := &fakeLog{topic: event.TopicID{1}, partitions: make(map[int32]*fakePartition)}
	for p := range partitions {
		l.partitions[p] = &fakePartition{grown: make(chan struct{})}
	}
	return l
}

// put adds a record as an ingress does, and gives its offset.
func (l *fakeLog) put(partition int32, product sale.Product, body sale.Body) sale.Offset {
	value, err := event.Encode(body)
	if err != nil {
		panic(err)
	}
	return l.putRaw(partition, []byte(product), value)
}

func (l *fakeLog) putRaw(partition int32, key, value []byte) sale.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	offset := p.start + sale.Offset(len(p.entries))
	p.entries = append(p.entries, event.Entry{
		Offset: offset, Time: sale.Time(time.Now().Add(l.skew).UnixMilli()), Key: key, Value: value,
	})
	close(p.grown)
	p.grown = make(chan struct{})
	return offset
}

func (l *fakeLog) end(partition int32) sale.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	return p.start + sale.Offset(len(p.entries))
}

// all copies what the log has.
func (l *fakeLog) all(partition int32) []event.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]event.Entry(nil), l.partitions[partition].entries...)
}

// ticks gives the ticks that owners appended, or tried to.
func (l *fakeLog) ticks(partition int32) []tickSeen {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]tickSeen(nil), l.partitions[partition].ticks...)
}

// set changes the log's behaviour.
func (l *fakeLog) set(change func(*fakeLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// retain drops the entries below start, as retention does.
func (l *fakeLog) retain(partition int32, start sale.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	p.entries = p.entries[start-p.start:]
	p.start = start
}

// handle is the log as one process uses it. It checks what is promised about
// the ticks of one ownership.
type handle struct {
	*fakeLog
	outstanding sync.Map // by partition: *outstandingTick
}

type outstandingTick struct {
	sync.Mutex
	pending bool
	offset  sale.Offset // where pending is false: the last one's, or None
}

func (l *fakeLog) Topic() event.TopicID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topic
}

func (l *fakeLog) Bounds(_ context.Context, partition int32) (start, end sale.Offset, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	return p.start, p.start + sale.Offset(len(p.entries)), nil
}

func (l *fakeLog) Entry(_ context.Context, partition int32, offset sale.Offset) (event.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	if offset < p.start || offset >= p.start+sale.Offset(len(p.entries)) {
		return event.Entry{}, errOutOfRange
	}
	return p.entries[offset-p.start], nil
}

func (h *handle) Open(partition int32, from sale.Offset) (Reader, error) {
	h.outstanding.Store(partition, &outstandingTick{offset: sale.None})
	return &fakeReader{log: h.fakeLog, partition: partition, next: from}, nil
}

func (h *handle) Append(partition int32, key, value []byte, done func(sale.Offset, error)) error {
	tick, isTick := event.Decode(value).(sale.Tick)
	if !isTick || key != nil {
		return fmt.Errorf("an owner appends ticks alone, not %s", value)
	}
	stored, _ := h.outstanding.Load(partition)
	last := stored.(*outstandingTick)
	last.Lock()
	defer last.Unlock()
	committed := h.committed(partition)
	h.mu.Lock()
	if tick.Committed > committed {
		h.wrong = append(h.wrong, fmt.Sprintf("a tick says that %d is committed, the ledger is at %d", tick.Committed, committed))
	}
	if last.pending || last.offset >= committed {
		h.wrong = append(h.wrong, fmt.Sprintf("a second tick while the one at %d is outstanding", last.offset))
	}
	var fate appendFate
	if h.onAppend != nil {
		fate = h.onAppend(partition, value)
	}
	p := h.partitions[partition]
	p.ticks = append(p.ticks, tickSeen{committed: tick.Committed, at: time.Now()})
	h.mu.Unlock()
	if fate.refused != nil {
		return fate.refused
	}
	last.pending = true
	go func() {
		<-time.After(fate.delay)
		offset := sale.None
		if !fate.lost {
			offset = h.putRaw(partition, key, value)
		}
		<-time.After(fate.late)
		last.Lock()
		last.pending, last.offset = false, sale.None
		if fate.failed == nil {
			last.offset = offset
		}
		last.Unlock()
		done(offset, fate.failed)
	}()
	return nil
}

type fakeReader struct {
	log       *fakeLog
	partition int32
	next      sale.Offset
}

func (r *fakeReader) Read(ctx context.Context) ([]event.Entry, sale.Offset, error) {
	l := r.log
	for {
		l.mu.Lock()
		p, delay := l.partitions[r.partition], l.readDelay
		end, grown := p.start+sale.Offset(len(p.entries)), p.grown
		var err error
		if l.onRead != nil {
			err = l.onRead(r.partition, r.next)
		}
		if r.next < p.start || r.next > end {
			err = fmt.Errorf("reading %d of [%d, %d): %w", r.next, p.start, end, errOutOfRange)
		}
		if err != nil {
			l.mu.Unlock()
			return nil, 0, err
		}
		if r.next < end {
			entries := p.entries[r.next-p.start:]
			if l.portion > 0 && len(entries) > l.portion {
				entries = entries[:l.portion]
			}
			if l.skipping && len(entries) > 1 {
				entries = entries[1:]
			}
			entries = append([]event.Entry(nil), entries...)
			r.next = entries[len(entries)-1].Offset + 1
			l.mu.Unlock()
			if delay > 0 {
				<-time.After(delay)
			}
			return entries, end, nil
		}
		l.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func (r *fakeReader) Close() { r.log.journal.note("closed the reader") }
