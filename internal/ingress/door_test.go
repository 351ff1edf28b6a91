package ingress

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// click presses "Buy" for a hat.
func (i *Ingress) click(t testing.TB, buyer string) answer {
	t.Helper()
	return i.call(t, "POST", "/v1/products/hat/buy", "", as(buyer))
}

// minute is a time after the beginning of every bubble.
func minute(n int) sale.Time {
	return sale.Time(time.Date(2000, 1, 1, 0, n, 0, 0, time.UTC).UnixMilli())
}

// TestDoor has a stranger click at sales of which the board knows that they
// would refuse it. The sale is record 2, ada's request record 3.
func TestDoor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings    func(*sale.Settings)
		after       func(t *testing.T, w *world, i *Ingress)
		status      int
		code        string
		opensAt     string
		least, most int // of Retry-After; 0 is none
	}{
		"opens later": {
			settings: func(s *sale.Settings) { s.OpensAt = minute(10) },
			status:   409, code: "not_open", opensAt: "2000-01-01T00:10:00.000Z", least: 45, most: 60,
		},
		"opens soon": {
			settings: func(s *sale.Settings) { s.OpensAt = minute(10) },
			after:    func(*testing.T, *world, *Ingress) { pass(10*time.Minute - 20*time.Second) },
			status:   409, code: "not_open", opensAt: "2000-01-01T00:10:00.000Z", least: 21, most: 23,
		},
		// The log has not opened it, whatever the clock says.
		"should be open": {
			settings: func(s *sale.Settings) { s.OpensAt = minute(10) },
			after:    func(*testing.T, *world, *Ingress) { pass(11 * time.Minute) },
			status:   409, code: "not_open", opensAt: "2000-01-01T00:10:00.000Z", least: 1, most: 3,
		},
		"paused": {
			after: func(_ *testing.T, w *world, _ *Ingress) {
				w.record(0, "hat", sale.Pause{Sale: 2})
				w.decide(0)
			},
			status: 409, code: "paused", least: 5, most: 10,
		},
		"sold, but held": {
			after: func(t *testing.T, w *world, i *Ingress) {
				i.click(t, "ada").is(202)
				w.decide(0)
			},
			status: 409, code: "sold_out", least: 2, most: 5,
		},
		"sold, and the waitlist is full": {
			settings: func(s *sale.Settings) { s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 1 },
			after: func(t *testing.T, w *world, i *Ingress) {
				i.click(t, "ada").is(202)
				i.click(t, "bob").is(202)
				w.decide(0)
			},
			status: 409, code: "sold_out", least: 2, most: 5,
		},
		"sold for good": {
			settings: func(s *sale.Settings) { s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 10 },
			after: func(t *testing.T, w *world, i *Ingress) {
				i.click(t, "ada").is(202)
				w.record(0, "hat", sale.Confirm{Request: 3, PaymentReference: "p"})
				w.decide(0)
			},
			status: 410, code: "sold_out",
		},
		"closed": {
			after: func(_ *testing.T, w *world, _ *Ingress) {
				w.record(0, "hat", sale.Close{Sale: 2})
				w.decide(0)
			},
			status: 410, code: "closed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
				w.openSale("hat", c.settings)
				synctest.Wait()
				if c.after != nil {
					c.after(t, w, i)
				}
				synctest.Wait()
				before, asked := w.entries(0), w.gate.admits
				w.breakLedger(errors.New("nobody is to ask"))
				a := i.click(t, "stranger")
				a.refused(c.status, c.code)
				var d document
				if err := json.Unmarshal(a.body, &d); err != nil || d.OpensAt != c.opensAt {
					t.Errorf("opens_at %q, expected %q", d.OpensAt, c.opensAt)
				}
				if after, _ := strconv.Atoi(a.header.Get("Retry-After")); after < c.least || after > c.most {
					t.Errorf("Retry-After %d, expected %d to %d", after, c.least, c.most)
				}
				if w.entries(0) != before || w.gate.admits != asked {
					t.Error("the log or the gate was asked")
				}
			})
		})
	}
}

// TestUntilOpening spreads a crowd that is early, and lets nobody come again
// before the opening who could have waited for it.
func TestUntilOpening(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(int64(minute(0)))
	for left, bounds := range map[time.Duration][2]time.Duration{
		time.Hour:          {45 * time.Second, time.Minute},
		time.Minute:        {45 * time.Second, time.Minute},
		59 * time.Second:   {time.Minute, time.Minute},
		10 * time.Second:   {11 * time.Second, 13 * time.Second},
		0:                  {time.Second, 3 * time.Second},
		-time.Hour:         {time.Second, 3 * time.Second},
		-500 * time.Second: {time.Second, 3 * time.Second},
	} {
		told := map[time.Duration]bool{}
		for range 200 {
			wait := untilOpening(sale.Time(now.Add(left).UnixMilli()), now)
			if told[wait] = true; wait < bounds[0] || wait > bounds[1] {
				t.Errorf("%s before it: wait %s", left, wait)
			}
		}
		if len(told) < 100 && bounds[0] != bounds[1] {
			t.Errorf("%s before it: %d different answers", left, len(told))
		}
	}
}

// TestDoorThatLetsIn clicks where there is something to be had.
func TestDoorThatLetsIn(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 2 })
		synctest.Wait()
		i.click(t, "ada").is(202)
		w.decide(0)
		synctest.Wait()
		i.click(t, "bob").is(202) // for the waitlist
		w.decide(0)
		synctest.Wait()
		i.click(t, "cleo").is(202)
		w.decide(0)
		synctest.Wait()
		i.click(t, "dora").refused(409, "sold_out")
		w.record(0, "hat", sale.Release{Request: 4, By: sale.ByShopper})
		w.decide(0)
		synctest.Wait()
		i.click(t, "dora").is(202)
	})
}

// TestLiveTicketAtAShutDoor repeats clicks where a new one would be refused.
func TestLiveTicketAtAShutDoor(t *testing.T) {
	t.Parallel()
	for name, door := range map[string]struct {
		how      func(w *world)
		code     string
		leftover string // what who has left is told; leaving makes room on the waitlist
	}{
		"sold out": {func(*world) {}, "sold_out", "rate_limited"},
		"paused":   {func(w *world) { w.record(0, "hat", sale.Pause{Sale: 2}) }, "paused", "paused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
				other := w.ingressOf(t, nil)
				w.openSale("hat", func(s *sale.Settings) { s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 1 })
				synctest.Wait()
				ada, bob, cleo := i.click(t, "ada").status(202), i.click(t, "bob").status(202), i.click(t, "cleo").status(202)
				w.decide(0)
				door.how(w)
				w.decide(0)
				synctest.Wait()
				before, asked := w.entries(0), w.gate.admits
				w.breakLedger(errors.New("nobody is to ask"))
				if s := i.click(t, "ada").status(200); s.Ticket != ada.Ticket || s.State != sale.Held {
					t.Errorf("ada: %+v", s)
				}
				if s := i.click(t, "bob").status(200); s.Ticket != bob.Ticket || s.State != sale.Waitlisted {
					t.Errorf("bob: %+v", s)
				}
				for range 2 { // the second one does not look it up
					i.click(t, "cleo").refused(409, door.code)
				}
				if s := i.polls(t, cleo); s.State != sale.SoldOut {
					t.Errorf("cleo: %+v", s)
				}
				i.click(t, "stranger").refused(409, door.code)
				// Where the click did not come through, the buyer has the ticket.
				other.click(t, "ada").refused(409, door.code)
				if w.entries(0) != before || w.gate.admits != asked {
					t.Error("the log or the gate was asked")
				}
				w.breakLedger(nil)
				w.deciding(t, 0)
				i.call(t, "DELETE", "/queue/"+bob.Ticket, "", nil).status(200)
				if a := i.click(t, "bob"); !bytes.Contains(a.body, []byte(`"`+door.leftover+`"`)) {
					t.Errorf("bob, who has left: %s", a.body)
				}
			})
		})
	}
}

// TestTicketThatTheGateKnewAtAShutDoor is for who came by another ingress first.
func TestTicketThatTheGateKnewAtAShutDoor(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		other := w.ingressOf(t, nil)
		w.openSale("hat", func(s *sale.Settings) { s.Quantity, s.PerBuyerLimit, s.MaxQuantityPerRequest = 2, 2, 2 })
		synctest.Wait()
		first := i.click(t, "ada").status(202)
		synctest.Wait()
		other.click(t, "ada").is(200) // from here on it remembers too
		i.click(t, "bob").is(202)
		w.decide(0)
		synctest.Wait()
		if s := other.click(t, "ada").status(200); s.Ticket != first.Ticket || s.State != sale.Held {
			t.Errorf("%+v", s)
		}
		other.call(t, "POST", "/v1/products/hat/buy", `{"quantity":2}`, as("ada")).refused(409, "different_quantity")
		// She has bought, and could buy one more were it not over.
		w.record(0, "hat", sale.Confirm{Request: 3, PaymentReference: "p"})
		w.record(0, "hat", sale.Close{Sale: 2})
		w.decide(0)
		synctest.Wait()
		other.click(t, "bob").refused(410, "closed")
		i.click(t, "bob").status(200) // his hold goes on
		i.click(t, "ada").refused(410, "closed")
	})
}

// TestClickInFlightAtAShutDoor repeats a click whose record is not acknowledged
// when the door shuts.
func TestClickInFlightAtAShutDoor(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", nil)
		synctest.Wait()
		w.holdAcks = true
		first, second := make(chan answer, 1), make(chan answer, 1)
		go func() { first <- i.click(t, "ada") }()
		synctest.Wait()
		w.decide(0)
		synctest.Wait()
		i.click(t, "bob").refused(409, "sold_out")
		go func() { second <- i.click(t, "ada") }()
		synctest.Wait()
		w.acknowledge()
		accepted := (<-first).status(202)
		if s := (<-second).status(200); s.Ticket != accepted.Ticket || s.State != sale.Held {
			t.Errorf("%+v", s)
		}

		// One that nobody can tell of is not told that it is sold out.
		w.openSale("cap", nil)
		synctest.Wait()
		w.failAcks = true
		w.holdAcks = true
		buy := func(product string) answer {
			return i.call(t, "POST", "/v1/products/"+product+"/buy", "", as("ada"))
		}
		go func() { first <- buy("cap") }()
		synctest.Wait()
		w.decide(0)
		synctest.Wait()
		buy("cap").refused(503, "unavailable") // after appendWait
		w.acknowledge()
		(<-first).refused(503, "unavailable")
		synctest.Wait()
		buy("cap").refused(409, "sold_out") // nothing is known of it any more
	})
}
