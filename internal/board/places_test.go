package board_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestPlacesAtEveryWatermark counts, in what the core has, who is ahead of each
// request that waits, wherever the board comes by.
func TestPlacesAtEveryWatermark(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) {
			s := newStack(1, rapid.IntRange(1, 5).Draw(t, "limit"))
			settings := waitlist(int64(rapid.IntRange(1, 4).Draw(t, "quantity")))
			settings.AdmitPerSecond = int64(rapid.IntRange(0, 2).Draw(t, "pace"))
			settings.PerBuyerLimit, settings.MaxQuantityPerRequest = 3, 3
			of := s.createOf("a", settings)
			s.commit()
			s.start()
			defer func() { s.stop() }()
			clock := sale.Time(1000)
			for range rapid.IntRange(20, 120).Draw(t, "records") {
				clock += sale.Time(rapid.IntRange(0, 900).Draw(t, "passes"))
				recent := max(of, s.end()-sale.Offset(rapid.IntRange(0, 40).Draw(t, "request")))
				switch kind := rapid.IntRange(0, 19).Draw(t, "kind"); {
				case kind < 11:
					s.add(clock, "a", sale.Buy{
						Sale: of, Buyer: sale.Buyer(fmt.Sprint(s.end())), AcceptedAt: clock,
						Quantity: int64(max(1, rapid.IntRange(-3, 3).Draw(t, "quantity"))),
					})
				case kind < 16:
					s.add(clock, "a", sale.Release{Request: recent, By: sale.ByShopper})
				case kind < 18:
					s.add(clock, "a", sale.Tick{Committed: s.committed})
				case kind < 19:
					s.add(clock, "a", sale.Pause{Sale: of})
				default:
					s.add(clock, "a", sale.Resume{Sale: of})
				}
				switch m := s.commit(); rapid.IntRange(0, 9).Draw(t, "what becomes of the message") {
				case 0:
				case 1:
					s.feed.send(m)
					s.feed.subscribed()
				case 2:
					s.feed.send(&event.Message{Log: m.Log, From: m.From, To: m.To, Heal: true})
				default:
					s.feed.send(m)
				}
				synctest.Wait()
				s.comparePlaces(t, of)
			}
			advance(1200 * time.Millisecond)
			s.comparePlaces(t, of)
		})
	})
}

// comparePlaces looks at all who wait where the board is.
func (s *stack) comparePlaces(t *rapid.T, of sale.Offset) {
	at := s.Watermark(0)
	for _, r := range s.waiting[at] {
		got, err := s.Lookup(t.Context(), 0, of, r.Offset)
		if err != nil {
			t.Fatalf("request %d at %d: %v", r.Offset, at, err)
		}
		if got.State != r.State || got.Position != s.place(&r, at) {
			t.Fatalf("at %d request %d is %s at place %d, in truth %s at %d", at, r.Offset, got.State, got.Position, r.State, s.place(&r, at))
		}
	}
}

func TestLeavingClosesTheGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 100)
		of := s.createOf("a", waitlist(1))
		winner := s.buy("a", of, "winner")
		first, second, third := s.buy("a", of, "first"), s.buy("a", of, "second"), s.buy("a", of, "third")
		s.commit()
		s.start()
		defer s.stop()
		want := func(step string, of sale.Offset, places ...int64) {
			t.Helper()
			for i, request := range []sale.Offset{first, second, third} {
				if v := s.expect(t, of, request); v.Position != places[i] || v.ETA != board.NoETA {
					t.Errorf("%s: request %d is %s at place %d, ETA %s", step, i, v.State, v.Position, v.ETA)
				}
			}
		}
		want("at first", of, 0, 1, 2)
		s.add(2000, "a", sale.Release{Request: second, By: sale.ByShopper})
		s.feed.send(s.commit())
		want("the second left", of, 0, board.NoPosition, 1)
		s.add(2000, "a", sale.Release{Request: winner, By: sale.ByShopper})
		s.feed.send(s.commit())
		want("a unit came back", of, board.NoPosition, board.NoPosition, 0)
	})
}

func TestTurnsAreInTheOrderOfTheirUnits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 100)
		of := s.createOf("a", waitlist(9))
		s.commit()
		s.start()
		defer s.stop()
		at := s.committed
		reserved := func(offset, granted sale.Offset) sale.Request {
			return sale.Request{Offset: offset, Sale: of, State: sale.Reserved, Granted: granted, First: sale.None, HeldSince: sale.None, Cause: at}
		}
		s.feed.send(&event.Message{Log: topic.String(), From: at, To: at + 1, OldestStart: 1, Requests: []sale.Request{
			reserved(at-1, at), reserved(at-2, at), reserved(at, at-1),
		}})
		for offset, place := range map[sale.Offset]int64{at: 0, at - 2: 1, at - 1: 2} {
			if v, err := s.Lookup(t.Context(), 0, of, offset); err != nil || v.Position != place {
				t.Errorf("request %d is at place %d, expected %d: %v", offset, v.Position, place, err)
			}
		}
	})
}

func TestPlacesOutliveTheirRows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 1)
		of := s.createOf("a", waitlist(1))
		for i := range 10 {
			s.buy("a", of, fmt.Sprint("b", i))
		}
		s.confirmMany(5)
		s.commit()
		s.start() // which reads one row
		defer s.stop()
		last := of + 10
		if v := s.expect(t, of, last); v.Position != 8 {
			t.Errorf("the last is at place %d", v.Position)
		}
		s.add(2000, "a", sale.Release{Request: of + 2, By: sale.ByShopper})
		s.confirmMany(5) // and memory forgets it
		s.feed.send(s.commit())
		if v := s.expect(t, of, last); v.Position != 7 {
			t.Errorf("after one ahead of it has left, the last is at place %d", v.Position)
		}
	})
}

func TestAReadThatSkipsTellsThePlaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 2)
		of := s.createOf("a", waitlist(1))
		for i := range 10 {
			s.buy("a", of, fmt.Sprint("b", i))
		}
		s.commit()
		s.start()
		defer s.stop()
		s.expect(t, of, of+10)
		for i := range 4 {
			s.add(2000, "a", sale.Release{Request: of + 3 + sale.Offset(i), By: sale.ByShopper})
		}
		s.buy("a", of, "new")
		s.commit()
		advance(1200 * time.Millisecond)
		s.expectWatermark(t, s.committed)
		if v := s.expect(t, of, of+10); v.Position != 4 {
			t.Errorf("the last is at place %d", v.Position)
		}
		s.expect(t, of, s.end()-1)
	})
}

func TestARequestThatAPauseKeepsHasNoPosition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 100)
		of := s.createOf("a", waitlist(1))
		s.add(1000, "a", sale.Pause{Sale: of})
		parked := s.buy("a", of, "parked")
		s.commit()
		s.start()
		defer s.stop()
		if v := s.expect(t, of, parked); v.State != sale.Queued || v.Position != board.NoPosition || v.ETA != board.NoETA {
			t.Errorf("the parked one is %+v", v)
		}
		s.add(1000, "a", sale.Resume{Sale: of})
		s.feed.send(s.commit())
		if v := s.expect(t, of, parked); v.State != sale.Held {
			t.Errorf("after the pause it is %s", v.State)
		}
	})
}

func TestWhoHoldsIsToldWhatHisSaleSays(t *testing.T) {
	url := "https://shop/pay"
	changes := []struct {
		name   string
		bodies func(of sale.Offset) []sale.Body
		told   bool
	}{
		{"pause", func(of sale.Offset) []sale.Body { return []sale.Body{sale.Pause{Sale: of}} }, true},
		{"resume", func(of sale.Offset) []sale.Body { return []sale.Body{sale.Resume{Sale: of}} }, true},
		{"both", func(of sale.Offset) []sale.Body { return []sale.Body{sale.Pause{Sale: of}, sale.Resume{Sale: of}} }, true},
		{"checkout_url", func(of sale.Offset) []sale.Body {
			return []sale.Body{sale.Update{Sale: of, Version: 1, Change: sale.Change{CheckoutURL: &url}}}
		}, true},
		{"nothing", func(sale.Offset) []sale.Body { return []sale.Body{sale.Tick{}} }, false},
	}
	for name, send := range map[string]func(*stack, *event.Message){
		"message": func(s *stack, m *event.Message) { s.feed.send(m) },
		"read":    func(_ *stack, _ *event.Message) { advance(1200 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newStack(1, 100)
				of, other := s.createOf("a", waitlist(1)), s.createOf("b", waitlist(1))
				holder, waiter, neighbour := s.buy("a", of, "holder"), s.buy("a", of, "waiter"), s.buy("b", other, "neighbour")
				again := s.buy("a", of, "holder")
				s.add(1000, "a", sale.Tick{Committed: s.end()})
				s.commit()
				s.start()
				defer s.stop()
				ofHolder, ofAgain := s.Watch(0, holder), s.Watch(0, again)
				ofWaiter, ofNeighbour := s.Watch(0, waiter), s.Watch(0, neighbour)
				for i, change := range changes {
					for j, body := range change.bodies(of) {
						s.add(sale.Time(5000+1000*i+100*j), "a", body)
					}
					send(s, s.commit())
					if told(ofHolder) != change.told || told(ofAgain) != change.told {
						t.Errorf("%s: the holder was told: %t", change.name, !change.told)
					}
					if told(ofWaiter) || told(ofNeighbour) {
						t.Errorf("%s: another one was told", change.name)
					}
					s.expect(t, of, holder)
				}
			})
		})
	}
}

func TestWhoMayHoldIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 1)
		of := s.createOf("a", waitlist(1))
		holder := s.buy("a", of, "holder")
		s.add(1000, "a", sale.Tick{Committed: s.end()})
		s.confirmMany(5)
		s.commit()
		s.start()
		defer s.stop()
		w := s.Watch(0, holder) // whose row is not in memory
		s.add(5000, "a", sale.Pause{Sale: of})
		s.feed.send(s.commit())
		if !told(w) {
			t.Error("not told")
		}
	})
}

func TestAnUnknownSaleIsEmpty(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		s.start()
		defer s.stop()
		v, ok := s.Sale("unknown")
		if diff := cmp.Diff(sale.Sale{}, *v.Sale); ok || diff != "" {
			t.Errorf("%t, %s", ok, diff)
		}
	})
}
