package allocator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var errTopic = errors.New("the topic of decisions is out of reach")

// fakeTopic is the topic of decisions. It may take a part of what it is given,
// and fail.
type fakeTopic struct {
	mu     sync.Mutex
	fate   func(ctx context.Context, partition int32) (taken float64, err error)
	values map[int32][][]byte
}

func (f *fakeTopic) Publish(ctx context.Context, partition int32, lines []byte) error {
	f.mu.Lock()
	fate := f.fate
	f.mu.Unlock()
	taken, err := 1.0, error(nil)
	if fate != nil {
		taken, err = fate(ctx, partition)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.values == nil {
		f.values = make(map[int32][][]byte)
	}
	n := int(taken * float64(bytes.Count(lines, []byte("\n"))))
	for _, value := range event.DecisionLines(lines) {
		if n--; n < 0 {
			break
		}
		f.values[partition] = append(f.values[partition], bytes.Clone(value))
	}
	return err
}

func (f *fakeTopic) fails(fate func(ctx context.Context, partition int32) (float64, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fate = fate
}

func (f *fakeTopic) of(partition int32) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.values[partition])
}

// outboxRow is what a fakeRow has to be published.
type outboxRow struct {
	waiting []Outgoing
	all     []Outgoing // that ever were
}

func (r *outboxRow) write(b *Batch) {
	if len(b.Decisions) > 0 {
		o := Outgoing{From: b.From, To: b.To, Lines: b.Decisions}
		r.waiting, r.all = append(r.waiting, o), append(r.all, o)
	}
}

func (l *fakeLedger) Waiting(_ context.Context, partition int32, from sale.Offset, limit int) ([]Outgoing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.outboxFails; err != nil {
		return nil, err
	}
	var waiting []Outgoing
	for _, o := range l.rows[partition].outbox.waiting {
		if o.From >= from && limit > 0 {
			waiting = append(waiting, o)
			limit -= len(o.Lines)
		}
	}
	return waiting, nil
}

func (l *fakeLedger) Remove(_ context.Context, partition int32, below sale.Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.outboxFails; err != nil {
		return err
	}
	row := l.rows[partition]
	row.outbox.waiting = slices.DeleteFunc(row.outbox.waiting, func(o Outgoing) bool { return o.To <= below })
	return nil
}

// waiting gives what a partition has to publish.
func (w *world) waiting(partition int32) []Outgoing { return w.ledger.row(partition).outbox.waiting }

// committedDecisions gives all of a partition's decisions, in order.
func committedDecisions(all []Outgoing) [][]byte {
	var values [][]byte
	for _, o := range all {
		for _, value := range event.DecisionLines(o.Lines) {
			values = append(values, value)
		}
	}
	return values
}

// once does what a reader of the topic is told to do: it remembers the last
// (cause, index) and leaves out what is not above it.
func once(t *testing.T, values [][]byte) (seen [][]byte) {
	t.Helper()
	cause, index := sale.Offset(-1), 0
	for _, value := range values {
		d, err := event.DecodeDecision(value)
		if err != nil {
			t.Fatal(err)
		}
		if d.Cause > cause || d.Cause == cause && d.Index > index {
			cause, index = d.Cause, d.Index
			seen = append(seen, value)
		}
	}
	return seen
}

// checkPublished: what was published is all that was committed, in order, up to
// what still waits.
func (w *world) checkPublished() {
	w.t.Helper()
	for p, row := range w.ledger.rows {
		expected := committedDecisions(row.outbox.all)
		ids := make(map[string]bool)
		for _, value := range expected {
			d, err := event.DecodeDecision(value)
			if err != nil || ids[d.ID] {
				w.t.Errorf("partition %d: %s is named twice (%v)", p, value, err)
				continue
			}
			ids[d.ID] = true
		}
		seen := once(w.t, w.topic.of(p))
		if len(seen) > len(expected) || !slices.EqualFunc(seen, expected[:len(seen)], bytes.Equal) {
			w.t.Errorf("partition %d: published is not what was committed: %s", p, cmp.Diff(texts(expected), texts(seen)))
			continue
		}
		rest, waiting := expected[len(seen):], committedDecisions(row.outbox.waiting)
		if len(rest) > len(waiting) || !slices.EqualFunc(rest, waiting[len(waiting)-len(rest):], bytes.Equal) {
			w.t.Errorf("partition %d: %d decisions are neither published nor waiting", p, len(rest)-len(waiting))
		}
	}
}

func texts(values [][]byte) []string {
	all := make([]string, len(values))
	for i := range values {
		all[i] = string(values[i])
	}
	return all
}

// All decisions of a partition are published in the order in which they were
// made, and nothing of them stays in the ledger.
func TestPublished(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.ledger.set(func(l *fakeLedger) {
			l.onCommit = func(*Batch) commitFate { return commitFate{slow: 3 * time.Millisecond} }
		})
		_, of := opened(w, 2, 3)
		lamps := w.log.put(0, "lamp", aSale(1, 30))
		for i := range 50 {
			w.buy(of, fmt.Sprint("buyer-", i))
			w.log.put(0, "lamp", sale.Buy{Sale: lamps, Buyer: sale.Buyer(fmt.Sprint("buyer-", i)), Quantity: 1})
			pass(time.Millisecond)
		}
		pass(10 * time.Second)
		row := w.ledger.row(0)
		if diff := cmp.Diff(texts(committedDecisions(row.outbox.all)), texts(w.topic.of(0))); diff != "" {
			t.Errorf("(-committed +published):\n%s", diff)
		}
		if n := len(row.outbox.waiting); n > 0 {
			t.Errorf("%d rows stay", n)
		}
		types := make(map[event.DecisionType]int64)
		for _, value := range w.topic.of(0) {
			d, err := event.DecodeDecision(value)
			if err != nil {
				t.Fatal(err)
			}
			types[d.Type] += max(d.Count, 1)
		}
		for kind, n := range map[event.DecisionType]int64{
			event.SaleOpened: 2, event.RequestHeld: 3, event.RequestExpired: 2, event.CommandDone: 2, event.RequestsSoldOut: 97,
		} {
			if types[kind] != n {
				t.Errorf("%d %s, expected %d: %v", types[kind], kind, n, types)
			}
		}
	})
}

// What an owner did not publish, whatever became of it, its successor does.
func TestPublishedAfterDeath(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fate     func(context.Context, int32) (float64, error)
		outbox   error
		repeated bool
	}{
		"nothing was published": {fate: func(context.Context, int32) (float64, error) { return 0, errTopic }},
		"a half was":            {fate: func(context.Context, int32) (float64, error) { return 0.5, errTopic }, repeated: true},
		"it was never heard of": {fate: func(ctx context.Context, _ int32) (float64, error) { <-ctx.Done(); return 0, ctx.Err() }},
		"all was, nobody knows": {fate: func(context.Context, int32) (float64, error) { return 1, errTopic }, repeated: true},
		"it was not removed":    {outbox: errConnection, repeated: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(t *testing.T, w *world) {
				first, of := opened(w, 2, 3600)
				pass(time.Second)
				w.topic.fails(c.fate)
				w.ledger.set(func(l *fakeLedger) { l.outboxFails = c.outbox })
				held := w.buy(of, "ann")
				w.buy(of, "bob")
				w.buy(of, "cid")
				pass(time.Second)
				if w.state(held) != sale.Held {
					t.Fatalf("it is %s: what is not published must not keep it from being decided", w.state(held))
				}
				first.stop()
				if len(w.waiting(0)) == 0 {
					t.Fatal("nothing waits")
				}
				w.topic.fails(nil)
				w.ledger.set(func(l *fakeLedger) { l.outboxFails = nil })

				w.start().member.assign(0)
				pass(time.Second)
				if n := len(w.waiting(0)); n > 0 {
					t.Errorf("%d rows stay", n)
				}
				published := w.topic.of(0)
				if diff := cmp.Diff(texts(committedDecisions(w.ledger.row(0).outbox.all)), texts(once(t, published))); diff != "" {
					t.Errorf("(-committed +published):\n%s", diff)
				}
				if repeated := len(once(t, published)) < len(published); repeated != c.repeated {
					t.Errorf("repeated: %t", repeated)
				}
			})
		})
	}
}

// A former owner that goes on publishing repeats, and takes nothing away that
// is not published.
func TestPublishedByTwo(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		first, of := opened(w, 2, 3600)
		pass(time.Second)
		thaw := make(chan struct{})
		frozen := true
		w.topic.fails(func(context.Context, int32) (float64, error) {
			if frozen { // the first owner, and it does not hear that it is over
				frozen = false
				<-thaw
			}
			return 1, nil
		})
		w.buy(of, "ann")
		pass(time.Second)
		w.start().member.assign(0)
		pass(time.Second)
		w.buy(of, "bob")
		pass(time.Second)
		close(thaw)
		pass(time.Second)
		first.member.lose(0)
		published := w.topic.of(0)
		if diff := cmp.Diff(texts(committedDecisions(w.ledger.row(0).outbox.all)), texts(once(t, published))); diff != "" {
			t.Errorf("(-committed +published):\n%s", diff)
		}
		if len(published) == len(once(t, published)) {
			t.Error("the first owner published nothing late: the test shows nothing")
		}
	})
}

// Where nobody is to be told, nothing is encoded.
func TestNotPublished(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.topic = nil
		_, of := opened(w, 1, 3600)
		w.buy(of, "ann")
		pass(time.Second)
		if n := len(w.ledger.row(0).outbox.all); n > 0 {
			t.Errorf("%d batches with decisions", n)
		}
		w.topic = new(fakeTopic)
	})
}

// What was published just before the end is not left for the next owner.
func TestPublishedAtShutdown(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 2, 3600)
		pass(time.Second)
		w.buy(of, "ann")
		synctest.Wait()
		w.buy(of, "bob")
		synctest.Wait()
		if len(w.waiting(0)) == 0 {
			t.Fatal("its row is gone at once: the test shows nothing")
		}
		p.stop()
		if n := len(w.waiting(0)); n > 0 {
			t.Errorf("%d rows stay", n)
		}
	})
}

// busyOutbox has a batch committed while it finds nothing.
type busyOutbox struct {
	*fakeLedger
	onEmpty func()
}

func (o *busyOutbox) Waiting(ctx context.Context, partition int32, from sale.Offset, limit int) ([]Outgoing, error) {
	waiting, err := o.fakeLedger.Waiting(ctx, partition, from, limit)
	if len(waiting) == 0 && o.onEmpty != nil {
		commit := o.onEmpty
		o.onEmpty = nil
		commit()
	}
	return waiting, err
}

// A batch that is committed while the ledger is asked, and was found empty, is
// published as well.
func TestCommittedWhileCatchingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outbox := &busyOutbox{fakeLedger: newFakeLedger(event.TopicID{}, 1, new(journal))}
		topic := new(fakeTopic)
		a := &Allocator{config: Config{Decisions: topic, Outbox: outbox}, outbox: newOutboxMetrics(prometheus.NewRegistry())}
		p := a.newPublisher(0, 0, new(logBook).logger())
		outbox.onEmpty = func() {
			b := batchesOf(1, 1)[0]
			outbox.mu.Lock()
			outbox.rows[0].outbox.write(b)
			outbox.mu.Unlock()
			p.add(b)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.run(ctx) }()
		pass(time.Second)
		cancel()
		<-done
		if n := len(topic.of(0)); n != 2 || len(outbox.rows[0].outbox.waiting) > 0 {
			t.Errorf("%d decisions are published, %d rows stay", n, len(outbox.rows[0].outbox.waiting))
		}
	})
}

// batchesOf makes batches with so many bytes to publish each.
func batchesOf(n, size int) []*Batch {
	batches := make([]*Batch, n)
	for i := range batches {
		value := fmt.Sprintf(`{"cause":%d}`, i)
		lines := "\t" + value + "\n" + "\t\"" + string(bytes.Repeat([]byte("x"), size)) + "\"\n"
		batches[i] = &Batch{From: sale.Offset(i), To: sale.Offset(i + 1), Decisions: []byte(lines)}
	}
	return batches
}

// While the topic is away, what waits in memory is bounded; afterwards all of
// it is published once, in order. What is committed meanwhile is no less.
func TestPublisherIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := newFakeLedger(event.TopicID{}, 1, new(journal))
		topic := new(fakeTopic)
		away := true
		topic.fails(func(context.Context, int32) (float64, error) {
			if away {
				return 0, errTopic
			}
			<-time.After(20 * time.Millisecond)
			return 1, nil
		})
		a := &Allocator{config: Config{Decisions: topic, Outbox: ledger}, outbox: newOutboxMetrics(prometheus.NewRegistry())}
		logs := new(logBook)
		p := a.newPublisher(0, 0, logs.logger())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.run(ctx) }()
		synctest.Wait() // it has caught up with nothing

		const each = 1 << 20
		batches := batchesOf(40, each)
		add := func(b *Batch) {
			ledger.mu.Lock()
			ledger.rows[0].outbox.write(b)
			ledger.mu.Unlock()
			p.add(b)
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.bytes > maxOutgoing || len(p.queue) > maxOutgoing/each {
				t.Fatalf("%d bytes of %d batches wait in memory", p.bytes, len(p.queue))
			}
		}
		for _, b := range batches[:30] {
			add(b)
			pass(10 * time.Millisecond)
		}
		p.mu.Lock()
		behind := p.behind
		p.mu.Unlock()
		if !behind {
			t.Error("it keeps in memory what the ledger has")
		}
		away = false
		for _, b := range batches[30:] { // while it catches up
			add(b)
			pass(10 * time.Millisecond)
		}
		pass(time.Minute)
		p.mu.Lock()
		behind = p.behind
		p.mu.Unlock()
		if behind {
			t.Error("it has not caught up")
		}
		cancel()
		<-done
		if diff := cmp.Diff(texts(committedDecisions(ledger.rows[0].outbox.all)), texts(topic.of(0))); diff != "" {
			t.Error("published is not what was committed")
		}
		if n := len(ledger.rows[0].outbox.waiting); n > 0 {
			t.Errorf("%d rows stay", n)
		}
		if n := logs.count("trying again"); n < 1 || n > 2 {
			t.Errorf("%d lines about the topic being away", n)
		}
	})
}
