package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/internal/lab"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// TestWaitlistRun sells 1,000 units to 20,000 shoppers. Half of those who get
// one let their hold of 2 s run out. In the end all units are paid for, and the
// log shows that each that came back went to the first who waited.
func TestWaitlistRun(t *testing.T) {
	const units, buyers = 1000, 20_000
	w := newWorld(t, devstacktest.Real(t), 1)
	w.start(t, "allocator")
	address := w.start(t, "ingress").address
	capacity := int64(buyers)
	w.openSale(t, address, client.NewSale{Product: "seat", Quantity: units, HoldSeconds: 2, Policy: "waitlist", WaitlistCapacity: &capacity})

	ctx, cancel := context.WithCancel(t.Context())
	var shop sync.WaitGroup
	merchant := w.client(t, address)
	shop.Go(func() { w.payHalf(ctx, t, merchant) })
	shop.Go(func() { w.verifyMeanwhile(ctx, t) })
	defer shop.Wait()
	defer cancel()

	result := runCrowd(t, lab.Config{Addresses: []string{address}, Product: "seat", Buyers: buyers, Crowd: "waitlist"})
	// Whoever comes when all is paid for is told so at the door.
	if result.Accepted+result.Refused["sold_out"] != buyers || result.Undecided != 0 || result.MultipleOutcomes != 0 || result.PositionRises != 0 {
		t.Errorf("shoppers were told wrong: %+v", result)
	}
	await(t, "all units being paid for", func() bool {
		s, ok := w.latest(t, 0)
		return ok && s.Confirmed == units
	})
	cancel()
	shop.Wait()

	w.proveLedger(t, 1)
	fromTheList, expired := checkWaitlistOrder(t, w)
	t.Logf("%d holds ran out, %d units went to the waitlist, in its order", expired, fromTheList)
	if expired < units/4 || fromTheList != expired {
		t.Errorf("%d holds ran out and %d units went to those who waited", expired, fromTheList)
	}
}

// payHalf confirms every second hold that it finds, until ctx is done.
func (w *world) payHalf(ctx context.Context, t *testing.T, merchant *client.Client) {
	holds := make(chan sale.Offset)
	var tills sync.WaitGroup
	defer tills.Wait()
	defer close(holds)
	for range 16 {
		tills.Go(func() {
			for offset := range holds {
				_, err := merchant.Confirm(ctx, fmt.Sprintf("0-%d", offset), fmt.Sprintf("paid-%d", offset))
				if err != nil && ctx.Err() == nil && !client.HasCode(err, "hold_expired") {
					t.Errorf("confirming %d: %v", offset, err)
				}
			}
		})
	}
	seen := sale.Offset(0)
	for ctx.Err() == nil {
		extract, err := w.reader.Since(ctx, 0, seen, 1_000_000)
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
		seen = extract.Watermark
		for _, r := range extract.Requests {
			if r.State == sale.Held && r.Offset%2 == 0 {
				holds <- r.Offset
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// latest gives the partition's latest sale in the ledger.
func (w *world) latest(t *testing.T, partition int32) (sale.Sale, bool) {
	t.Helper()
	extract, err := w.reader.Since(t.Context(), partition, 0, 0)
	if err != nil || len(extract.Sales) == 0 {
		return sale.Sale{}, false
	}
	return extract.Sales[len(extract.Sales)-1], true
}

// checkWaitlistOrder reads partition 0 again. All requests are for one unit, so
// whoever gets one must be the first who waits, and nobody gets one at once
// while others wait.
func checkWaitlistOrder(t *testing.T, w *world) (served, expired int) {
	t.Helper()
	waiting := make(map[sale.Offset]bool)
	var order []sale.Offset // of those who ever waited
	first := 0
	w.decisions(t, 0, func(d sale.Decision) {
		r := d.Request
		if d.Kind != sale.OfRequest || d.Default {
			return
		}
		switch r.State {
		case sale.Waitlisted:
			waiting[r.Offset] = true
			order = append(order, r.Offset)
		case sale.Held:
			for first < len(order) && !waiting[order[first]] {
				first++
			}
			if waiting[r.Offset] {
				served++
				delete(waiting, r.Offset)
			}
			if first < len(order) && order[first] != r.Offset {
				t.Errorf("request %d got a unit at %d while %d waited", r.Offset, d.Cause, order[first])
			}
		case sale.Expired:
			expired++
		case sale.Queued, sale.Reserved, sale.SoldOut, sale.Rejected, sale.Released, sale.Confirmed, sale.Returned:
			delete(waiting, r.Offset)
		}
	})
	if !slices.IsSorted(order) {
		t.Error("the list is not in the order of the log")
	}
	return served, expired
}

// decisions replays a partition up to the ledger's watermark.
func (w *world) decisions(t *testing.T, partition int32, each func(sale.Decision)) {
	t.Helper()
	extract, err := w.reader.Since(t.Context(), partition, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	core := sale.New()
	w.read(t, partition, extract.Watermark, func(entry event.Entry) {
		var changes sale.Changes
		if err := core.Apply(entry.Record(), &changes); err != nil {
			t.Fatal(err)
		}
		for _, d := range changes.Decisions {
			each(d)
		}
	})
}

// runCrowd sends a crowd and waits for it. What is not said is as usual.
func runCrowd(t *testing.T, config lab.Config) lab.Result {
	t.Helper()
	config.Connections, config.MaxWaiting, config.Patience = 64, 50_000, 5*time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	result, err := sendCrowd(ctx, config, func(lab.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %+v", config.Crowd, result)
	return result
}

// TestRejectAtTheDoor sends 50,000 shoppers for one unit to two ingresses. One
// of them is killed and Redis is emptied on the way. Nearly all are answered at
// the door, and the unit is sold.
func TestRejectAtTheDoor(t *testing.T) {
	b := devstacktest.Real(t)
	redis := ownRedis(t, &b)
	w := newWorld(t, b, 1)
	w.start(t, "allocator")
	ingresses := []*process{w.start(t, "ingress"), w.start(t, "ingress")}
	addresses := []string{ingresses[0].address, ingresses[1].address}
	w.openSale(t, addresses[0], client.NewSale{Product: "console", Quantity: 1, HoldSeconds: 3600, Policy: "reject"})
	awaitSale(t, addresses, "console")

	crowds := newCrowds(t, w, addresses, []string{"console", "console"}, 25_000) // the second one pays nothing
	crowds.awaitClicks(t, 10)
	devstacktest.EmptyRedis(t, redis.URL)
	crowds.awaitClicks(t, 5_000)
	ingresses[0].kill()
	devstacktest.EmptyRedis(t, redis.URL)
	crowds.awaitClicks(t, 15_000)
	ingresses[0].run()
	answered := 0
	for _, result := range crowds.wait(t) {
		t.Logf("%+v", result)
		if result.Undecided != 0 || result.MultipleOutcomes != 0 || result.PositionRises != 0 {
			t.Errorf("a shopper was told wrong: %+v", result)
		}
		for code := range result.Refused {
			if code != "sold_out" {
				t.Errorf("shoppers were refused with %s", code)
			}
		}
		answered += result.Refused["sold_out"]
	}
	p := w.proveLedger(t, 1)[0]
	for _, s := range p.sales {
		if s.Held+s.Confirmed != 1 {
			t.Errorf("the unit is not sold: %+v", s)
		}
	}
	t.Logf("%d of 50,000 answered at the door, %d records in the log", answered, p.records)
	if p.records > 500 {
		t.Errorf("%d records reached the log", p.records)
	}
}

// TestLostCreditComesBack takes the only credit of a sale and dies with it, as
// an ingress would that was killed between gate and log. Somebody who goes on
// asking has the unit once the credit has ended, which takes 5 s.
func TestLostCreditComesBack(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 1)
		s := w.serveHere(t)
		address := s.public.Addr().String()
		made := w.openSale(t, address, client.NewSale{Product: "console", Quantity: 1, HoldSeconds: 600, Policy: "reject"})
		of := w.parseID(t, made.Sale)
		var lost ingress.Admission
		await(t, "a credit", func() (taken bool) {
			answered := make(admissions, 1)
			ask := ingress.Ask{Log: s.log.Topic(), Product: "console", Sale: of, Buyer: "nobody", Units: 1}
			s.gate.Admit(ask, answered)
			lost = <-answered
			return lost.Lease != ""
		})
		began := time.Now()
		a := call(t, "POST", "http://"+address+"/v1/products/console/buy", "", "X-Buyer-ID", "ada")
		if a.code != http.StatusConflict || a.body["code"] != "sold_out" {
			t.Errorf("with the credit gone: %v, want 409 sold_out", a)
		}
		ticket := buy(t, address, "console", "bob")
		await(t, "the hold", func() bool { return state(t, address, ticket) == "held" })
		took := time.Since(began)
		t.Logf("sold %s after the credit was lost", took)
		if took > 8*time.Second {
			t.Errorf("the unit stayed unsold for %s", took)
		}
	})
}

// admissions is an ingress.Asker who stays.
type admissions chan ingress.Admission

func (admissions) Left() bool { return false }

func (a admissions) Admitted(admission ingress.Admission, _ error) { a <- admission }

// parseID reads the offset in a public id.
func (w *world) parseID(t *testing.T, id string) sale.Offset {
	t.Helper()
	_, offset, err := ticket.ParsePublicID(id)
	if err != nil {
		t.Fatal(err)
	}
	return sale.Offset(offset)
}

// TestPauseAndOutageEatNoHold pauses a sale for 10 s amid 20,000 buys, and takes
// Postgres away for 10 s. No hold ends before its winner had all of its time.
func TestPauseAndOutageEatNoHold(t *testing.T) {
	t.Parallel()
	b := devstacktest.Real(t)
	postgres := ownPostgres(t, &b)
	w := newWorld(t, b, 1)
	address := w.serveHere(t).public.Addr().String()
	const hold = 4 * time.Second
	w.openSale(t, address, client.NewSale{Product: "seat", Quantity: 500, HoldSeconds: int64(hold / time.Second)})
	operator := w.client(t, address)

	crowds := newCrowds(t, w, []string{address}, []string{"seat"}, 20_000) // nobody pays
	crowds.awaitClicks(t, 200)
	if _, err := operator.Pause(t.Context(), "seat", client.Why{Actor: "test", Reason: "checkout is down"}); err != nil {
		t.Fatal(err)
	}
	wait(t, 10*time.Second)
	if _, err := operator.Resume(t.Context(), "seat", client.Why{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the sale being open", func() bool {
		s, ok := w.latest(t, 0)
		return ok && s.Stage == sale.StageOpen
	})
	if err := postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	wait(t, 10*time.Second)
	if err := postgres.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, result := range crowds.wait(t) {
		if result.Undecided != 0 || result.MultipleOutcomes != 0 || result.PositionRises != 0 {
			t.Errorf("a shopper was told wrong: %+v", result)
		}
	}
	await(t, "holds that ran out", func() bool {
		found := 0
		w.decisions(t, 0, func(d sale.Decision) {
			if d.Kind == sale.OfRequest && d.Request.State == sale.Expired {
				found++
			}
		})
		return found >= 1000
	})
	w.proveLedger(t, 1)
	checkHoldsHadTheirTime(t, w, hold)
}

// checkHoldsHadTheirTime computes, from the log alone, for how long each hold
// that ran out had run while its sale was not paused.
func checkHoldsHadTheirTime(t *testing.T, w *world, hold time.Duration) {
	t.Helper()
	var starts sale.Starts
	var last sale.Sale
	s, ok := w.latest(t, 0)
	if !ok {
		t.Fatal("no sale")
	}
	last = s
	checked := 0
	w.decisions(t, 0, func(d sale.Decision) {
		if d.Kind == sale.OfStart {
			starts = append(starts, d.Start)
		}
		if d.Kind != sale.OfRequest || d.Request.State != sale.Expired {
			return
		}
		start, begun := starts.Of(d.Request.HeldSince)
		if !begun {
			t.Errorf("the hold of %d ran out before it began", d.Request.Offset)
			return
		}
		ran := d.Time - start
		for _, pause := range last.Pauses {
			ran -= max(0, min(d.Time, pause.To)-max(start, pause.From))
		}
		checked++
		if time.Duration(ran)*time.Millisecond < hold {
			t.Errorf("the hold of %d ended after %d ms", d.Request.Offset, ran)
		}
	})
	t.Logf("%d holds that ran out had their time; %d pauses", checked, len(last.Pauses))
	if len(last.Pauses) == 0 {
		t.Error("there was no pause")
	}
}

// TestTwoOperatorsCreateOneSale lets two operators create the same product at
// the same instant, through two ingresses, again and again.
func TestTwoOperatorsCreateOneSale(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 2)
		addresses := []string{w.serveHere(t).public.Addr().String(), w.serveHere(t).public.Addr().String()}
		for round := range 10 {
			product := fmt.Sprintf("product-%d", round)
			codes := make([]int, len(addresses))
			var both sync.WaitGroup
			for i, address := range addresses {
				both.Go(func() {
					a := call(t, "POST", "http://"+address+"/v1/sales", `{"product":"`+product+`","quantity":1}`, "Authorization", "Bearer "+w.secrets.OperatorToken)
					if codes[i] = a.code; a.code == http.StatusConflict && a.body["code"] != "already_open" {
						t.Errorf("the conflict is %v", a)
					}
				})
			}
			both.Wait()
			slices.Sort(codes)
			if !slices.Equal(codes, []int{http.StatusCreated, http.StatusConflict}) {
				t.Errorf("round %d: answered %v, want 201 and 409", round, codes)
			}
		}
	})
}
