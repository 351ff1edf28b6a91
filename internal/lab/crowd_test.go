package lab

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

var withoutTimes = cmp.Options{
	cmpopts.IgnoreFields(Result{}, "AcceptMS", "OutcomeMS", "RefuseMS", "ClickSeconds", "Seconds"), cmpopts.EquateEmpty(),
}

func check(t *testing.T, got Result, err error, want Result) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, withoutTimes); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestHonest(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: func(number string) []status {
		switch number {
		case "3", "30": // they poll: a stream does not say that nothing has changed
			return []status{queued(2), queued(2), queued(0), state(unchanged), state(sale.Held)}
		case "4":
			return []status{state(sale.Waitlisted), state(sale.Expired)}
		}
		return []status{queued(2), queued(1), state(sale.SoldOut)}
	}})
	config := s.crowd(40)
	config.Follow, config.MerchantToken = 3, "merchant"
	var line atomic.Int64
	result, err := Run(t.Context(), config, func(p Progress) { line.Store(p.Line) })
	check(t, result, err, Result{
		Buyers: 40, Accepted: 40, Sold: 2, Streams: 3,
		Outcomes: map[sale.State]int{sale.Confirmed: 2, sale.Expired: 1, sale.SoldOut: 37},
	})
	if result.OutcomeMS.P50 <= 0 || result.OutcomeMS.Max < result.AcceptMS.P50 || result.Seconds < result.OutcomeMS.P50/1000 {
		t.Errorf("times that cannot be: %+v", result)
	}
	if line.Load() != 7 {
		t.Errorf("progress tells of a line of %d, want the service's 7", line.Load())
	}
}

func TestLies(t *testing.T) {
	t.Parallel()
	one := func(s sale.State) map[sale.State]int { return map[sale.State]int{s: 1} }
	for name, c := range map[string]struct {
		script []status
		follow int
		want   Result
	}{
		"held, then sold out": {
			script: []status{queued(1), state(sale.Held), state(sale.SoldOut)},
			want:   Result{MultipleOutcomes: 1, Outcomes: one(sale.SoldOut)},
		},
		"sold out, at a second look held": {
			script: []status{state(sale.SoldOut), state(sale.Held)},
			want:   Result{MultipleOutcomes: 1, Outcomes: one(sale.Held)},
		},
		"sold out, at a second look queued": {
			script: []status{queued(1), state(sale.SoldOut), queued(0)},
			want:   Result{MultipleOutcomes: 1, Outcomes: one(sale.Queued)},
		},
		"sold out by WebSocket, at a second look held": {
			script: []status{queued(1), state(sale.SoldOut), state(sale.Held)}, follow: 1000,
			want: Result{MultipleOutcomes: 1, Streams: 1, Outcomes: one(sale.Held)},
		},
		"a position that rises": {
			script: []status{queued(3), queued(2), queued(5), queued(5), state(sale.SoldOut)},
			want:   Result{PositionRises: 1, Outcomes: one(sale.SoldOut)},
		},
		"a position that rises from the first place": {
			script: []status{queued(0), state(unchanged), queued(1), state(sale.SoldOut)},
			want:   Result{PositionRises: 1, Outcomes: one(sale.SoldOut)},
		},
		"a position that rises, by WebSocket": {
			script: []status{queued(3), queued(2), queued(5), state(sale.SoldOut)}, follow: 1000,
			want: Result{PositionRises: 1, Streams: 1, Outcomes: one(sale.SoldOut)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, &shop{script: always(c.script...)})
			config := s.crowd(1)
			config.Follow = c.follow
			c.want.Buyers, c.want.Accepted = 1, 1
			result, err := Run(t.Context(), config, nil)
			check(t, result, err, c.want)
		})
	}
}

func TestNeverDecided(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script []status
		follow int
	}{
		"queued for ever":                 {script: []status{queued(1)}},
		"unchanged for ever":              {script: []status{queued(1), state(unchanged)}},
		"a stream that says nothing more": {script: []status{queued(1), queued(0)}, follow: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, &shop{script: always(c.script...)})
			config := s.crowd(5)
			config.Follow, config.Patience = c.follow, 100*time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			result, err := Run(ctx, config, nil)
			want := Result{Buyers: 5, Accepted: 5, Undecided: 5, Outcomes: map[sale.State]int{sale.Queued: 5}}
			if c.follow > 0 {
				want.Streams = 5
			}
			check(t, result, err, want)
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{refuse: func(number string, _ int) int {
		return map[string]int{
			"0": http.StatusGone, "1": http.StatusGone, "2": http.StatusConflict, "3": http.StatusInternalServerError,
			"4": http.StatusServiceUnavailable, "5": cutOff,
		}[number]
	}})
	config := s.crowd(6)
	config.Patience = 10 * time.Millisecond
	result, err := Run(t.Context(), config, nil)
	check(t, result, err, Result{
		Buyers:  6,
		Refused: map[string]int{"sold_out": 2, "not_open": 1, "http_500": 1, "unavailable": 1, "no_answer": 1},
	})
}

// TestClicksAgain: a shopper without an answer clicks again, as the same buyer.
func TestClicksAgain(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(state(sale.Expired)), refuse: func(_ string, nth int) int {
		return map[int]int{1: http.StatusServiceUnavailable, 2: cutOff}[nth]
	}})
	result, err := Run(t.Context(), s.crowd(1), nil)
	check(t, result, err, Result{Buyers: 1, Accepted: 1, Outcomes: map[sale.State]int{sale.Expired: 1}})
	if diff := cmp.Diff(map[string]int{"c-0": 3}, s.clicks); diff != "" {
		t.Errorf("clicks by buyer (-want +got):\n%s", diff)
	}
}

// TestWinnersPayLast: and while they wait with their hold, others may come.
func TestWinnersPayLast(t *testing.T) {
	t.Parallel()
	const buyers = 20
	s := &shop{script: always(state(sale.Held)), refuse: func(number string, nth int) int {
		if number == "7" && nth == 1 {
			return http.StatusServiceUnavailable // this one clicks late
		}
		return asScripted
	}}
	var early, late atomic.Int64
	s.paid = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.left) < buyers {
			early.Add(1)
		} else {
			late.Add(1)
		}
	}
	open(t, s)
	config := s.crowd(buyers)
	config.Connections, config.MaxWaiting, config.MerchantToken = 2, 2, "merchant"
	result, err := Run(t.Context(), config, nil)
	check(t, result, err, Result{
		Buyers: buyers, Accepted: buyers, Sold: buyers, Outcomes: map[sale.State]int{sale.Confirmed: buyers},
	})
	if early.Load() > 0 || late.Load() != buyers {
		t.Errorf("%d paid before everybody had a ticket, %d after, want 0 and %d", early.Load(), late.Load(), buyers)
	}
}

// TestInterrupted ends a crowd in the middle: what it saw so far is given.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(1))})
	config := s.crowd(10_000_000)
	config.MaxWaiting, config.Follow = 100, 20
	ctx, cancel := context.WithCancel(t.Context())
	result, err := Run(ctx, config, func(p Progress) {
		if p.Accepted > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || result.Accepted == 0 {
		t.Errorf("interrupted: %+v, %v, want what was seen and %v", result, err, context.Canceled)
	}
	if clicked := s.buyers(); clicked > config.MaxWaiting {
		t.Errorf("%d clicked while nobody had an outcome, want at most %d", clicked, config.MaxWaiting)
	}
}

// TestPollAfter: whoever hears that nothing has changed asks again as late as
// the last status asked for.
func TestPollAfter(t *testing.T) {
	t.Parallel()
	first, last := queued(1), queued(1)
	first.PollAfterMS, last.PollAfterMS = 60_000, 0
	s := open(t, &shop{script: always(first, state(unchanged), last)})
	c := &crowd{config: s.crowd(1), caller: newCaller(s.crowd(1)), tally: newTally(1)}
	defer c.caller.close()
	shopper := &shopper{position: -1}
	c.take(t.Context(), shopper)
	for _, answer := range []string{"a ticket", "304", "a status that says none"} {
		if pause := time.Until(shopper.due); shopper.step != ask || pause < 50*time.Second || pause > 66*time.Second {
			t.Errorf("after %s: step %d in %v, want to ask in 60 to 66 s", answer, shopper.step, pause)
		}
		c.take(t.Context(), shopper)
	}
}
