package ingress

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

const (
	partitions    = 2
	merchantToken = "merchant-secret"
	operatorToken = "operator-secret"
)

var topic = event.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9}

// world is everything around an ingress, in memory: the log, an owner that
// runs the real core, its ledger, the feed, the gate and the bindings.
type world struct {
	mu    sync.Mutex
	parts [partitions]*owned

	appendError error // of Append
	holdAcks    bool  // acknowledgements wait for release
	failAcks    bool  // acknowledgements are errors
	held        []func()

	feeds     []chan []byte
	mute      int // feeds, from the last one on, that get no messages
	ledgerErr error
	stopped   string // why the partitions cannot go on

	gate *fakeGate
	bind error
}

// owned is a partition with what its owner has committed.
type owned struct {
	entries   []event.Entry
	core      *sale.Partition
	watermark sale.Offset
	rows      map[sale.Offset]sale.Request
	results   map[sale.Offset]sale.Result
}

func newWorld() *world {
	w := &world{gate: newFakeGate()}
	for n := range w.parts {
		w.parts[n] = &owned{core: sale.New(), rows: map[sale.Offset]sale.Request{}, results: map[sale.Offset]sale.Result{}}
		w.record(int32(n), "", sale.Schema{Version: sale.NewestSchema})
	}
	return w
}

func (w *world) Topic() event.TopicID { return topic }
func (w *world) Partitions() int32    { return partitions }

func (w *world) Append(partition int32, key, value []byte, done func(sale.Offset, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.appendError != nil {
		return w.appendError
	}
	p := w.parts[partition]
	offset := sale.Offset(len(p.entries))
	p.entries = append(p.entries, event.Entry{
		Offset: offset, Time: sale.Time(time.Now().UnixMilli()), Key: bytes.Clone(key), Value: bytes.Clone(value),
	})
	acknowledge := func() { done(offset, nil) }
	if w.failAcks {
		acknowledge = func() { done(sale.None, errors.New("the broker is gone")) }
	}
	if w.holdAcks {
		w.held = append(w.held, acknowledge)
	} else {
		go acknowledge()
	}
	return nil
}

// acknowledge lets the acknowledgements go that were held.
func (w *world) acknowledge() {
	w.mu.Lock()
	held := w.held
	w.held, w.holdAcks = nil, false
	w.mu.Unlock()
	for _, done := range held {
		done()
	}
}

// record appends a record as somebody else would.
func (w *world) record(partition int32, product sale.Product, body sale.Body) {
	w.recordAt(time.Now(), partition, product, body)
}

// recordAt appends a record whose broker has a clock of its own.
func (w *world) recordAt(at time.Time, partition int32, product sale.Product, body sale.Body) {
	value, err := event.Encode(body)
	if err != nil {
		panic(err)
	}
	p := w.parts[partition]
	w.mu.Lock()
	defer w.mu.Unlock()
	p.entries = append(p.entries, event.Entry{
		Offset: sale.Offset(len(p.entries)), Time: sale.Time(at.UnixMilli()), Key: []byte(product), Value: value,
	})
}

// decide does an owner's work up to the end of the log, ticks for new holds
// excepted.
func (w *world) decide(partition int32) { w.decideTo(partition, -1) }

func (w *world) decideTo(partition int32, to sale.Offset) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.parts[partition]
	if to < 0 {
		to = sale.Offset(len(p.entries))
	}
	m := event.Message{
		Log: topic.String(), Partition: partition, Epoch: 1, From: p.watermark, To: to, End: sale.Offset(len(p.entries)),
	}
	var changes sale.Changes
	for _, entry := range p.entries[p.watermark:to] {
		if err := p.core.Apply(entry.Record(), &changes); err != nil {
			panic(err)
		}
	}
	rows := map[sale.Offset]sale.Request{}
	for _, d := range changes.Decisions {
		switch {
		case d.Kind == sale.OfRequest && !d.Default:
			rows[d.Request.Offset] = d.Request
		case d.Kind == sale.OfCommand:
			p.results[d.Result.Command] = d.Result
			m.Results = append(m.Results, d.Result)
		case d.Kind == sale.OfStart:
			m.Starts = append(m.Starts, d.Start)
		}
	}
	for offset, row := range rows {
		p.rows[offset] = row
		m.Requests = append(m.Requests, row)
	}
	m.Sales, m.Now, m.OldestStart = changes.Sales(), p.core.Now(), p.core.OldestStart()
	p.watermark = to
	encoded, err := event.EncodeMessage(&m)
	if err != nil {
		panic(err)
	}
	for _, feed := range w.feeds[:len(w.feeds)-w.mute] {
		feed <- encoded
	}
}

// deciding has an owner decide whatever is appended, for as long as the test
// runs.
func (w *world) deciding(t *testing.T, partition int32) {
	ctx, cancel := context.WithCancel(context.Background())
	var owner sync.WaitGroup
	owner.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if w.undecided(partition) {
					w.decide(partition)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		owner.Wait()
	})
}

func (w *world) undecided(partition int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.parts[partition]
	return p.watermark < sale.Offset(len(p.entries))
}

// start begins the holds that are decided.
func (w *world) start(partition int32) {
	w.record(partition, "", sale.Tick{Committed: w.parts[partition].watermark})
	w.decide(partition)
}

// breakLedger makes all reads fail, or none.
func (w *world) breakLedger(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledgerErr = err
}

func (w *world) entries(partition int32) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.parts[partition].entries)
}

func (w *world) Since(ctx context.Context, partition int32, from sale.Offset, _ int) (board.Extract, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ledgerErr != nil {
		return board.Extract{}, w.ledgerErr
	}
	p := w.parts[partition]
	state := p.core.Snapshot()
	e := board.Extract{
		Topic: topic, Epoch: 1, Watermark: p.watermark, Now: state.Now, Stopped: w.stopped, From: from,
		Sales: state.Sales, Starts: state.Starts, OldestStart: p.core.OldestStart(),
	}
	for _, row := range p.rows {
		if row.Cause >= from {
			e.Requests = append(e.Requests, row)
		}
	}
	for _, result := range p.results {
		if result.Command >= from {
			e.Results = append(e.Results, result)
		}
	}
	return e, ctx.Err()
}

func (w *world) Request(ctx context.Context, partition int32, offset sale.Offset) (board.Found, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ledgerErr != nil {
		return board.Found{}, w.ledgerErr
	}
	p := w.parts[partition]
	found := board.Found{Watermark: p.watermark}
	if row, ok := p.rows[offset]; ok {
		found.Row = &row
	}
	return found, ctx.Err()
}

func (w *world) Result(_ context.Context, partition int32, command sale.Offset) (sale.Result, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	result, ok := w.parts[partition].results[command]
	return result, ok, w.ledgerErr
}

func (w *world) Bind(_ context.Context, _ sale.Product, wanted *int32) (int32, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wanted != nil {
		return *wanted, w.bind
	}
	return 0, w.bind
}

// List pages through the rows, as the ledger does.
func (w *world) List(ctx context.Context, page Page) ([]sale.Request, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ledgerErr != nil {
		return nil, w.ledgerErr
	}
	var rows []sale.Request
	for _, row := range w.parts[page.Partition].rows {
		if row.Sale == page.Sale && row.Offset > page.After && (page.State == "" || row.State == page.State) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b sale.Request) int { return cmp.Compare(a.Offset, b.Offset) })
	return rows[:min(len(rows), page.Limit)], ctx.Err()
}

// feed is one board's subscription.
type feed struct{ messages chan []byte }

func (f feed) Run(ctx context.Context, subscribed func(), receive func([]byte)) error {
	subscribed()
	for {
		select {
		case m := <-f.messages:
			receive(m)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newBoard makes a board that the world sends messages to.
func newBoard(t testing.TB, w *world) *board.Board {
	t.Helper()
	subscription := feed{make(chan []byte, 1000)}
	w.mu.Lock()
	w.feeds = append(w.feeds, subscription.messages)
	w.mu.Unlock()
	b, err := board.New(board.Config{Log: topic, Partitions: partitions, Ledger: w, Feed: subscription})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ingressOf starts an ingress with a board of its own, for as long as the test
// runs.
func (w *world) ingressOf(t testing.TB, change func(*Config)) *Ingress {
	t.Helper()
	b := newBoard(t, w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the board: %v", err)
		}
	})
	if err := b.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	config := Config{
		Log: w, Gate: w.gate, Bindings: w, Requests: w, Board: b,
		Tickets: keyring(t), Buyers: pseudonyms(t),
		MerchantToken: merchantToken, OperatorToken: operatorToken,
	}
	if change != nil {
		change(&config)
	}
	i, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

const keySetting = "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func keyring(t testing.TB) *ticket.Keyring {
	t.Helper()
	keys, err := ticket.ParseKeys("tickets", keySetting)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := ticket.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func pseudonyms(t testing.TB) *ticket.Pseudonyms {
	t.Helper()
	keys, err := ticket.ParseKeys("buyers", keySetting)
	if err != nil {
		t.Fatal(err)
	}
	names, err := ticket.NewPseudonyms(keys)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// openSale opens a sale of a product in partition 0.
func (w *world) openSale(product sale.Product, change func(*sale.Settings)) {
	settings := sale.Settings{Quantity: 1, HoldSeconds: 60, MaxHoldSeconds: 120, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue}
	if change != nil {
		change(&settings)
	}
	settings.MaxHoldSeconds = max(settings.MaxHoldSeconds, settings.HoldSeconds)
	w.record(0, product, sale.Create{Rules: sale.NewestRules, Settings: settings, BuyerKey: "k1", Actor: "operator", Later: true})
	w.decide(0)
}

// scheduleAgain closes the sale of "shirt", and schedules another one.
func (w *world) scheduleAgain() {
	w.record(0, "shirt", sale.Close{Sale: 1})
	w.openSale("shirt", func(s *sale.Settings) { s.OpensAt = sale.Time(time.Now().Add(time.Hour).UnixMilli()) })
}

// inBubble runs a test with a clock of its own: "shirt" is on sale.
func inBubble(t *testing.T, change func(*Config), test func(t *testing.T, w *world, i *Ingress)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.openSale("shirt", nil)
		w.decide(1)
		i := w.ingressOf(t, change)
		test(t, w, i)
	})
}

// pass lets time pass on the bubble's clock.
func pass(d time.Duration) { <-time.After(d) }
