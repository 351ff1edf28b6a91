package board_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// TestAnswersAreTrueOrNone drives a board with a random log, of which messages
// are lost, repeated, reordered, merged and cut, while reads of the ledger
// fail or come late, and compares every answer with the core's.
func TestAnswersAreTrueOrNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) {
			w := &world{T: t, stack: newStack(1, rapid.IntRange(1, 12).Draw(t, "limit"))}
			if rapid.Bool().Draw(t, "a log of saletest") {
				w.truth = newTruth(0)
				w.ledger.truths[0] = w.truth
				w.given = saletest.Log(t)
			}
			w.boundaries = []sale.Offset{0}
			w.start()
			defer func() { w.stop() }()
			for range rapid.IntRange(10, 60).Draw(t, "steps") {
				w.step()
				w.compareWatches()
			}
			w.settle()
		})
	})
}

// world is one run of the property.
type world struct {
	*rapid.T
	*stack
	clock      sale.Time
	given      []sale.Record              // the log that is appended; without one, records are made up
	places     map[sale.Offset]board.View // of requests that this board has shown to wait
	boundaries []sale.Offset              // between committed batches
	inFlight   []*event.Message
	watermark  sale.Offset // seen last of this board
	watches    []*watched
}

// watched is a watch and what was seen when it last said to look.
type watched struct {
	*board.Watch
	of, offset sale.Offset
	seen       board.View
	look       bool
}

func (w *world) step() {
	actions := []struct {
		name   string
		weight int
		do     func()
	}{
		{"append", 6, w.appendRecords},
		{"commit", 6, w.commitBatch},
		{"deliver", 10, w.deliver},
		{"drop", 2, w.drop},
		{"merge", 2, w.merge},
		{"life", 1, w.life},
		{"strange", 1, w.strange},
		{"time", 2, func() { advance(time.Duration(w.draw("ms", 1, 700)) * time.Millisecond) }},
		{"ledger", 2, w.changeLedger},
		{"subscribe", 1, func() { w.feed.subscribed() }},
		{"restart", 1, w.restart},
		{"watch", 2, w.watchOne},
		{"compare", 4, w.compare},
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	pick := w.draw("action", 0, total-1)
	for _, a := range actions {
		if pick -= a.weight; pick < 0 {
			w.Logf("%s (log %d, committed %d, board %d)", a.name, w.end(), w.committed, w.Watermark(0))
			a.do()
			break
		}
	}
	synctest.Wait()
	w.checkWatermark()
}

func (w *world) draw(label string, from, to int) int {
	return rapid.IntRange(from, to).Draw(w.T, label)
}

func (w *world) checkWatermark() {
	at := w.Watermark(0)
	if at < w.watermark {
		w.Fatalf("the watermark fell from %d to %d", w.watermark, at)
	}
	if at > w.committed {
		w.Fatalf("the watermark is %d, committed is %d", at, w.committed)
	}
	w.watermark = at
}

func (w *world) appendRecords() {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	if w.given != nil {
		for range min(w.draw("records", 1, 20), len(w.given)-int(w.end())) {
			r := w.given[w.end()]
			w.add(r.Time, r.Product, r.Body)
		}
		return
	}
	for range w.draw("records", 1, 10) {
		w.clock += sale.Time(w.draw("pass", 0, 300))
		product := sale.Product([]string{"a", "b"}[w.draw("product", 0, 1)])
		of := sale.Offset(0) // the product's latest sale, and now and then another
		other := w.draw("other sale", 0, 19) == 0
		for id, revisions := range w.sales {
			if revisions[0].Product == product || other {
				of = max(of, id)
			}
		}
		somewhere := sale.Offset(w.draw("request", max(0, int(w.end())-30), int(w.end())))
		var body sale.Body
		switch kind := w.draw("kind", 0, 29); {
		case kind < 1 || of == 0:
			body = w.drawCreate()
		case kind < 15:
			body = sale.Buy{
				Sale: of, Buyer: sale.Buyer(fmt.Sprint("b", w.draw("buyer", 0, 9))),
				Quantity: int64(max(1, w.draw("wish", -4, 3))), AcceptedAt: w.clock,
			}
		case kind < 17:
			body = sale.Confirm{Request: somewhere, PaymentReference: "p"}
		case kind < 19:
			body = sale.Release{Request: somewhere, By: sale.ByShopper}
		case kind < 20: // nothing that can be read
		case kind < 23:
			body = w.drawSteering(of, somewhere)
		default:
			body = sale.Tick{Committed: sale.Offset(w.draw("committed", int(w.end())/2, int(w.end())))}
		}
		w.add(w.clock, product, body)
	}
}

// drawCreate mostly makes a sale with a waitlist and a pace.
func (w *world) drawCreate() sale.Body {
	settings := waitlist(int64(w.draw("quantity", 1, 6)))
	settings.HoldSeconds, settings.MaxHoldSeconds = int64(w.draw("hold", 1, 2)), 3
	settings.PerBuyerLimit, settings.MaxQuantityPerRequest = 2, 2
	settings.AdmitPerSecond = int64(max(0, w.draw("pace", -2, 3)))
	settings.MaxActiveHolds = int64(max(0, w.draw("at once", -2, 3)))
	settings.WaitlistCapacity = int64(w.draw("capacity", 0, 10))
	if w.draw("queue", 0, 3) == 0 {
		settings.Policy = sale.PolicyQueue
	}
	return sale.Create{Rules: sale.NewestRules, BuyerKey: "k", Settings: settings, Later: true}
}

// drawSteering makes one of the rarer commands.
func (w *world) drawSteering(of, request sale.Offset) sale.Body {
	version := w.sales[of][len(w.sales[of])-1].Version
	url := fmt.Sprint("https://shop/", w.end())
	quantity := int64(w.draw("units", 1, 9))
	return []sale.Body{
		sale.Pause{Sale: of},
		sale.Resume{Sale: of},
		sale.Resume{Sale: of},
		sale.Extend{Request: request, Seconds: 3},
		sale.Return{Request: request},
		sale.Update{Sale: of, Version: version, Change: sale.Change{CheckoutURL: &url}},
		sale.Update{Sale: of, Version: version, Change: sale.Change{Quantity: &quantity}},
		sale.Close{Sale: of},
	}[w.draw("steering", 0, 7)]
}

func (w *world) commitBatch() {
	if m := w.stack.commit(); m.From < m.To {
		w.boundaries = append(w.boundaries, m.To)
		w.inFlight = append(w.inFlight, m)
	}
}

// deliver hands over one message, mostly the oldest, and sometimes keeps it.
func (w *world) deliver() {
	if len(w.inFlight) == 0 {
		return
	}
	i := 0
	if w.draw("reorder", 0, 2) == 0 {
		i = w.draw("which", 0, len(w.inFlight)-1)
	}
	m := w.inFlight[i]
	if w.draw("repeat", 0, 4) > 0 {
		w.inFlight = slices.Delete(w.inFlight, i, i+1)
	}
	w.feed.send(m)
}

func (w *world) drop() {
	if len(w.inFlight) > 0 {
		i := w.draw("which", 0, len(w.inFlight)-1)
		w.inFlight = slices.Delete(w.inFlight, i, i+1)
	}
}

// merge publishes what several batches changed, again, in one message.
func (w *world) merge() {
	from := w.draw("from", 0, len(w.boundaries)-1)
	to := w.draw("to", from, len(w.boundaries)-1)
	m := w.message(w.boundaries[from], w.boundaries[to])
	if w.draw("heal", 0, 3) == 0 {
		m = &event.Message{Log: m.Log, From: m.From, To: m.To, End: m.End, Now: m.Now, OldestStart: m.OldestStart, Heal: true}
	}
	w.inFlight = append(w.inFlight, m)
}

func (w *world) life() {
	w.feed.send(&event.Message{Log: topic.String(), From: w.committed, To: w.committed, End: w.end(), Now: w.now[w.committed]})
}

// strange sends what a board has to ignore.
func (w *world) strange() {
	m := w.message(0, w.committed)
	m.To += 1000
	m.Sales, m.Requests = nil, nil
	switch w.draw("what", 0, 3) {
	case 0:
		m.Log = event.TopicID{2}.String()
	case 1:
		m.Partition = 1
	case 2:
		m.From, m.To = 10, 5
	case 3:
		w.feed.receive([]byte("{"))
		return
	}
	w.feed.send(m)
}

func (w *world) changeLedger() {
	w.ledger.set(func() {
		w.ledger.down = w.draw("down", 0, 2) == 0
		w.ledger.delay = 0
		if w.draw("slow", 0, 1) == 0 {
			w.ledger.delay = time.Duration(w.draw("delay", 1, 1500)) * time.Millisecond
		}
	})
}

func (w *world) restart() {
	w.stop()
	w.watches = nil
	w.places = nil
	w.watermark = sale.None
	w.start()
}

// compare looks at every request and every command of the log.
func (w *world) compare() {
	for _, record := range w.records {
		switch body := record.Body.(type) {
		case sale.Buy:
			if body.Sale >= 0 { // else it has no ticket
				w.lookup(body.Sale, record.Offset)
			}
		case nil:
			w.lookup(0, record.Offset)
		case sale.Confirm, sale.Release, sale.Create, sale.Extend, sale.Return, sale.Update, sale.Pause, sale.Resume, sale.Close:
			w.compareResult(record.Offset)
		}
	}
	synctest.Wait()
	w.compareSales()
}

// lookup compares an answer with the truth, and gives it if there is one.
func (w *world) lookup(of, offset sale.Offset) (board.View, bool) {
	before := w.Watermark(0)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	got, err := w.Lookup(ctx, 0, of, offset)
	if err != nil {
		w.excuse(err, before, fmt.Sprintf("request %d", offset))
		return got, false
	}
	if got.Watermark < before {
		w.Fatalf("request %d was answered at %d, the board was at %d", offset, got.Watermark, before)
	}
	got = w.withoutETA(w, got)
	if diff := cmp.Diff(w.view(of, offset, got.Watermark), got); diff != "" {
		w.Fatalf("request %d at watermark %d (-truth +board):\n%s", offset, got.Watermark, diff)
	}
	if last, ok := w.places[offset]; ok && last.State == got.State && got.Position > last.Position {
		w.Fatalf("the place of request %d rose from %d to %d", offset, last.Position, got.Position)
	}
	if got.Position != board.NoPosition {
		if w.places == nil {
			w.places = make(map[sale.Offset]board.View)
		}
		w.places[offset] = got
	}
	return got, true
}

// excuse fails the test unless there was a reason for no answer.
func (w *world) excuse(err error, watermark sale.Offset, what string) {
	healthy := !w.ledger.down && w.ledger.delay == 0 && watermark != sale.None
	excused := errors.Is(err, errDown) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, board.ErrNotReady)
	if !excused || (healthy && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errDown)) {
		w.Fatalf("%s, board at %d: %v", what, watermark, err)
	}
}

func (w *world) compareResult(command sale.Offset) {
	before := w.Watermark(0)
	if before <= command {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	got, err := w.WaitResult(ctx, 0, command)
	want, ok := w.results[command]
	switch {
	case errors.Is(err, board.ErrNoResult) && !ok: // it was malformed
	case err != nil:
		w.excuse(err, before, fmt.Sprintf("command %d", command))
	case got != want:
		w.Fatalf("command %d: %v, expected %v", command, got, want)
	}
}

func (w *world) compareSales() {
	at := w.Watermark(0)
	if at == sale.None {
		return
	}
	want := w.salesAt(at)
	slices.SortStableFunc(want, func(a, b sale.Sale) int {
		if a.Product < b.Product {
			return -1
		} else if a.Product > b.Product {
			return 1
		}
		return 0
	})
	var got []sale.Sale
	latest := make(map[sale.Product]sale.Offset)
	for _, s := range w.Sales() {
		got = append(got, *s.Sale)
		latest[s.Product] = max(latest[s.Product], s.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Fatalf("sales at %d (-truth +board):\n%s", at, diff)
	}
	for product, id := range latest {
		if s, ok := w.Sale(product); !ok || s.ID != id {
			w.Fatalf("the latest sale of %s is %v, expected %d", product, s.Sale.ID, id)
		}
	}
	if w.LogTime(0) != w.now[at] {
		w.Fatalf("log time is %d, expected %d", w.LogTime(0), w.now[at])
	}
}

func (w *world) watchOne() {
	if w.end() == 0 {
		return
	}
	offset := sale.Offset(w.draw("request", 0, int(w.end())-1))
	if buy, ok := w.records[offset].Body.(sale.Buy); ok && buy.Sale >= 0 {
		w.watches = append(w.watches, &watched{Watch: w.Watch(0, offset), of: buy.Sale, offset: offset, look: true})
	}
}

// compareWatches checks that whoever looks only when told to has seen all.
func (w *world) compareWatches() {
	for _, x := range w.watches {
		select {
		case <-x.C:
			x.look = true
		default:
		}
		if x.look {
			if seen, ok := w.lookup(x.of, x.offset); ok {
				x.seen, x.look = seen, false
			}
		}
	}
	synctest.Wait()
	for _, x := range w.watches {
		at := w.Watermark(0)
		if x.look || at == sale.None || len(x.C) > 0 {
			continue
		}
		now := w.view(x.of, x.offset, at)
		now.Watermark, now.LogTime, now.Position = x.seen.Watermark, x.seen.LogTime, x.seen.Position
		if diff := cmp.Diff(now, x.seen); diff != "" {
			w.Fatalf("the watch of %d was not told at %d (-truth +seen):\n%s", x.offset, at, diff)
		}
	}
}

// settle lets everything heal and checks that the board then knows all.
func (w *world) settle() {
	w.ledger.set(func() { w.ledger.down, w.ledger.delay = false, 0 })
	w.commitBatch()
	advance(4 * time.Second) // a slow read, its wait, silence
	if at := w.Watermark(0); at != w.committed {
		w.Fatalf("after silence the watermark is %d, committed is %d", at, w.committed)
	}
	w.compare()
	w.compareWatches()
	for _, x := range w.watches {
		if x.look {
			w.Fatalf("the request %d that is watched got no answer", x.offset)
		}
		x.Close()
	}
}
