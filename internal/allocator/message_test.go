package allocator

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// A reader that takes every message knows what the ledger knows.
func TestMessagesCarryEverything(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.ledger.set(func(l *fakeLedger) {
			l.onCommit = func(*Batch) commitFate { return commitFate{slow: 7 * time.Millisecond} }
		})
		_, of := opened(w, 20, 5)
		var buys []sale.Offset
		for i := range 300 {
			buys = append(buys, w.buy(of, fmt.Sprint("buyer-", i%50)))
			if i%3 == 0 {
				w.log.put(0, "ring", sale.Confirm{Request: buys[i/2], PaymentReference: "pay"})
			}
			if i%5 == 0 {
				w.log.put(0, "ring", sale.Release{Request: buys[i/3], By: sale.ByMerchant})
			}
			pass(3 * time.Millisecond)
		}
		pass(20 * time.Second)

		log := w.log.all(0)
		var at sale.Offset
		requests, results, starts := make(map[sale.Offset]sale.Request), make(map[sale.Offset]sale.Result), sale.Starts(nil)
		sales := make(map[sale.Offset]sale.Sale)
		for _, m := range w.feed.of(0)[1:] { // after the sign of life at 0
			if m.From != at {
				t.Fatalf("a message of [%d, %d) follows %d", m.From, m.To, at)
			}
			if m.From == m.To && len(m.Requests)+len(m.Results)+len(m.Starts)+len(m.Sales) > 0 {
				t.Errorf("a sign of life carries %+v", m.Message)
			}
			if m.Now != log[m.To-1].Time { // the broker's clock is monotone here
				t.Errorf("at %d log time is %d, the message says %d", m.To, log[m.To-1].Time, m.Now)
			}
			at = m.To
			for _, r := range m.Requests {
				requests[r.Offset] = r
			}
			for _, r := range m.Results {
				if _, twice := results[r.Command]; twice {
					t.Errorf("the result of %d came twice", r.Command)
				}
				results[r.Command] = r
			}
			for _, s := range m.Sales {
				sales[s.ID] = s
			}
			starts = append(starts, m.Starts...)
		}
		row := w.ledger.row(0)
		if diff := gocmp.Diff(row.requests, requests) + gocmp.Diff(row.results, results) + gocmp.Diff(row.sales, sales) +
			gocmp.Diff(row.starts, starts, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("a reader of the messages has not what the ledger has (-ledger +reader):\n%s", diff)
		}
		w.checkFold(0)
	})
}

func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		opened(w, 1, 30)
		before := len(w.feed.of(0))
		pass(10 * time.Second)
		heard := w.feed.of(0)[before:]
		if len(heard) != 20 {
			t.Errorf("%d signs of life in 10 s, expected 2 a second", len(heard))
		}
		for _, m := range heard {
			if m.From != 2 || m.To != 2 {
				t.Errorf("idle at 2, and it says [%d, %d)", m.From, m.To)
			}
		}
		// They go on while the ledger hangs, and say what is committed.
		w.ledger.set(func(l *fakeLedger) { l.onCommit = func(*Batch) commitFate { return commitFate{hangs: true} } })
		w.log.put(0, "lamp", aSale(1, 30))
		before = len(w.feed.of(0))
		pass(5 * time.Second)
		heard = w.feed.of(0)[before:]
		if len(heard) != 10 || heard[9].To != 2 || heard[9].Now != fold(t, w.log.all(0)[:2]).Now {
			t.Errorf("%d signs of life while the ledger hung, the last one %+v", len(heard), heard[len(heard)-1].Message)
		}
		w.ledger.set(func(l *fakeLedger) { l.onCommit = nil })
		pass(10 * time.Second)
	})
}

// A feed that hangs or fails delays no commit; afterwards a reader sees that
// something is missing.
func TestFeedIsAway(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p, of := opened(w, 1, 3600)
		w.buy(of, "first")
		pass(time.Second)
		heard := len(w.feed.of(0))
		at := w.feed.of(0)[heard-1].To

		w.feed.fails(hangs)
		for i := range 300 {
			appended := time.Now()
			end := w.buy(of, fmt.Sprint("buyer-", i)) + 1
			synctest.Wait()
			if w.ledger.next(0) != end || !time.Now().Equal(appended) {
				t.Fatalf("a feed that hangs held record %d up", end-1)
			}
			pass(10 * time.Millisecond)
		}
		if dropped, _ := p.metric("anteroom_announcements_dropped_total", 0); dropped < 300-maxWaitingMessages-5 {
			t.Errorf("%v messages were dropped", dropped)
		}
		w.feed.fails(nil)
		pass(3 * time.Second)
		later := w.feed.of(0)[heard:]
		if len(later) == 0 {
			t.Fatal("nothing is heard after the feed came back")
		}
		if i := slices.IndexFunc(later, func(m messageHeard) bool { return m.From > at }); i != 0 {
			t.Errorf("after %d came %v: a reader does not see that something is missing", at, later[max(i, 0)].Message)
		}
		if last := later[len(later)-1]; last.To != w.ledger.next(0) {
			t.Errorf("the last message says %d, the ledger is at %d", last.To, w.ledger.next(0))
		}
	})
}

// Messages that wait for a feed are bounded in size, too: what could only say
// Heal keeps no rows.
func TestWaitingMessagesAreSmall(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		a := newAnnouncer(w.log.topic, w.feed, newMetrics(prometheus.NewRegistry()))
		requests := make([]sale.Request, maxBatchRecords)
		a.announce(&Batch{From: 10, To: 10 + maxBatchRecords, Requests: requests, OldestStart: 7, Now: 5}, 0)
		m := <-a.messages
		if !m.Heal || m.Requests != nil || m.From != 10 || m.To != 10+maxBatchRecords || m.OldestStart != 7 || m.Now != 5 {
			t.Errorf("a message with %d rows waits, Heal is %t", len(m.Requests), m.Heal)
		}
		for n := 1; n <= maxBatchRecords; n *= 2 { // no message heals that need not
			a.announce(&Batch{To: maxBatchRecords, Requests: requests[:n]}, 0)
			m := <-a.messages
			encoded, err := event.EncodeMessage(&event.Message{Requests: requests[:n]})
			if err != nil {
				t.Fatal(err)
			}
			whole, err := event.DecodeMessage(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if m.Heal && !whole.Heal {
				t.Errorf("%d rows fit into a message, and it says Heal", n)
			}
		}
	})
}
