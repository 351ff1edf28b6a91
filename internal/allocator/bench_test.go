package allocator

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	benchBuys    = 1_000_000
	benchPortion = 5000 // entries of one Read: about 1 MB, as a fetch brings
)

// BenchmarkCrowd decides 1,000,000 buys for 2 units, with a log in memory and a
// ledger that does nothing, and holds it against the parts that cannot be
// spared: reading the records' JSON, and the core, one after the other.
func BenchmarkCrowd(b *testing.B) {
	entries := crowd(b)
	var alone, whole time.Duration
	b.Run("core", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			state := sale.New()
			var changes sale.Changes
			for i := range entries {
				if err := state.Apply(entries[i].Record(), &changes); err != nil {
					b.Fatal(err)
				}
				if i%benchPortion == 0 {
					changes.Reset()
				}
			}
		}
		alone = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(benchBuys/alone.Seconds(), "records/s")
	})
	b.Run("loop", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			benchRun(b, entries, false)
		}
		whole = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(benchBuys/whole.Seconds(), "records/s")
		if alone > 0 {
			b.ReportMetric(whole.Seconds()/alone.Seconds(), "x-core")
		}
	})
	b.Run("loop that publishes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			benchRun(b, entries, true)
		}
		if published := b.Elapsed() / time.Duration(b.N); whole > 0 {
			b.ReportMetric(published.Seconds()/whole.Seconds(), "x-loop")
		}
	})
}

func benchRun(b *testing.B, entries []event.Entry, publishes bool) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	part := &benchPart{entries: entries, done: make(chan struct{})}
	config := Config{
		Log: part, Membership: part, Ledger: part, Feed: part,
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	}
	if publishes {
		config.Decisions, config.Outbox = benchTopic{}, benchTopic{}
	}
	a, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-part.done:
	case err := <-ended:
		b.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// crowd makes the log.
func crowd(b *testing.B) []event.Entry {
	b.Helper()
	entries := make([]event.Entry, 0, benchBuys+2)
	add := func(body sale.Body) {
		value, err := event.Encode(body)
		if err != nil {
			b.Fatal(err)
		}
		at := sale.Offset(len(entries))
		entries = append(entries, event.Entry{Offset: at, Time: 1_750_000_000_000 + sale.Time(at/200), Key: []byte("ring"), Value: value})
	}
	add(sale.Schema{Version: sale.NewestSchema})
	add(aSale(2, 480))
	for i := range benchBuys {
		add(sale.Buy{Sale: 1, Buyer: sale.Buyer(fmt.Sprintf("1:%043d", i)), Quantity: 1, AcceptedAt: 1_750_000_000_000})
	}
	return entries
}

// benchPart is everything around an allocator, as cheap as it can be. Ticks are
// let fall: the log is what it is.
type benchPart struct {
	entries []event.Entry
	next    int
	done    chan struct{}
}

func (p *benchPart) Topic() event.TopicID                             { return event.TopicID{} }
func (p *benchPart) Open(int32, sale.Offset) (Reader, error)          { return p, nil }
func (p *benchPart) Publish(context.Context, []byte) error            { return nil }
func (p *benchPart) Prove(context.Context) error                      { return nil }
func (p *benchPart) Close()                                           {}
func (p *benchPart) Stop(context.Context, int32, int64, string) error { return nil }

func (p *benchPart) Bounds(context.Context, int32) (start, end sale.Offset, err error) {
	return 0, sale.Offset(len(p.entries)), nil
}

func (p *benchPart) Entry(context.Context, int32, sale.Offset) (event.Entry, error) {
	return event.Entry{}, errOutOfRange
}

func (p *benchPart) Append(int32, []byte, []byte, func(sale.Offset, error)) error { return nil }

func (p *benchPart) Read(ctx context.Context) ([]event.Entry, sale.Offset, error) {
	if p.next == len(p.entries) {
		<-ctx.Done()
		return nil, 0, ctx.Err()
	}
	from := p.next
	p.next = min(from+benchPortion, len(p.entries))
	return p.entries[from:p.next], sale.Offset(len(p.entries)), nil
}

func (p *benchPart) Run(ctx context.Context, assigned, _ func([]int32)) error {
	assigned([]int32{0})
	<-ctx.Done()
	return ctx.Err()
}

func (p *benchPart) Claim(context.Context, int32, func(context.Context) error) (Claim, error) {
	return Claim{Epoch: 1}, nil
}

func (p *benchPart) Commit(_ context.Context, batch *Batch) error {
	if int(batch.To) == len(p.entries) {
		close(p.done)
	}
	return nil
}

// benchTopic is where decisions go, as cheap as it can be.
type benchTopic struct{}

func (benchTopic) Publish(context.Context, int32, []byte) error { return nil }
func (benchTopic) Waiting(context.Context, int32, sale.Offset, int) ([]Outgoing, error) {
	return nil, nil
}
func (benchTopic) Remove(context.Context, int32, sale.Offset) error { return nil }
