package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// run has the generator do phases, and gives what it says of each.
func run(ctx context.Context, t *testing.T, phases ...Phase) []line {
	t.Helper()
	var in, out bytes.Buffer
	for _, phase := range phases {
		encoded, err := json.Marshal(phase)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(encoded, '\n'))
	}
	if err := Run(ctx, &in, &out); err != nil {
		t.Fatal(err)
	}
	lines := read(t, &out)
	if len(lines) != len(phases) {
		t.Fatalf("%d phases brought %d results", len(phases), len(lines))
	}
	return lines
}

// read gives all lines but those of progress.
func read(t *testing.T, out io.Reader) []line {
	t.Helper()
	var lines []line
	for decoder := json.NewDecoder(out); ; {
		var l line
		switch err := decoder.Decode(&l); {
		case errors.Is(err, io.EOF):
			return lines
		case err != nil:
			t.Fatal(err)
		case l.Progress == nil:
			lines = append(lines, l)
		}
	}
}

func results(ctx context.Context, t *testing.T, phases ...Phase) []Result {
	t.Helper()
	var all []Result
	for i, l := range run(ctx, t, phases...) {
		if l.Error != "" {
			t.Fatalf("phase %d: %s", i, l.Error)
		}
		all = append(all, *l.Result)
	}
	return all
}

// counts compares what was counted, and checks that it adds up.
func counts(t *testing.T, want, got Result) {
	t.Helper()
	ignored := cmpopts.IgnoreFields(Result{},
		"Seconds", "AnsweredPerSecond", "SucceededPerSecond", "FirstUnixMS", "LastUnixMS", "AnswerMS", "AcceptMS", "SendMS", "OutcomeMS", "ShedMS", "Waited", "WaitMS",
		"AnswerCurve", "OutcomeCurve", "Timeline", "LastOutcomeMS", "MostWaiting", "CPUSeconds", "PeakRSSBytes")
	if diff := cmp.Diff(want, got, ignored, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	failed, refused, timeline := 0, 0, 0
	for _, n := range got.Errors {
		failed += n
	}
	for _, n := range got.Refused {
		refused += n
	}
	for _, point := range got.Timeline {
		timeline += point.Answered
	}
	if got.Arrivals != got.Answered+failed || got.Answered != got.Succeeded+refused || timeline != got.Answered {
		t.Errorf("it does not add up: %+v", got)
	}
}

func TestEveryBuyerClicksOnce(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(3))})
	for _, arrivals := range []Arrivals{
		{}, {Kind: Burst}, {Kind: Constant, Rate: 10_000}, {Kind: Poisson, Rate: 10_000}, {Kind: Ramp, ToRate: 100_000, For: time.Second},
	} {
		phase := s.crowd(200)
		phase.Crowd = "c-" + string(arrivals.Kind)
		phase.Arrivals, phase.Quantity = arrivals, 1
		got := results(t.Context(), t, phase)[0]
		counts(t, Result{
			Do: Click, Arrivals: 200, Answered: 200, Succeeded: 200, Accepted: 200, Statuses: map[int]int{202: 200},
			Outcomes: map[sale.State]int{sale.Queued: 200},
		}, got)
		if got.Seconds <= 0 || got.AnswerMS.P50 <= 0 || got.AnswerMS.Max < got.AnswerMS.P50 || len(got.AnswerCurve) != 30 {
			t.Errorf("%s: times that cannot be: %+v", arrivals.Kind, got)
		}
	}
	all := s.buyers()
	if len(all) != 1000 || slices.Max(slices.Collect(maps.Values(all))) != 1 {
		t.Errorf("%d buyers clicked, want 1000 that clicked once", len(all))
	}
}

func TestClicksEndInTime(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(3))})
	phase := s.crowd(0)
	phase.Arrivals = Arrivals{Kind: Constant, Rate: 1000, For: 50 * time.Millisecond}
	closed := s.crowd(0)
	closed.Arrivals.For = 20 * time.Millisecond
	got := results(t.Context(), t, phase, closed)
	if got[0].Arrivals != 50 || got[1].Arrivals < 4 {
		t.Errorf("%d clicks at 1000/s for 50 ms, and %d in a closed loop of 20 ms; want 50, and some", got[0].Arrivals, got[1].Arrivals)
	}
}

func TestProductsInTurn(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(3))})
	phase := s.crowd(30)
	phase.Product, phase.Products = "", []string{"one", "two", "three"}
	results(t.Context(), t, phase)
	for _, product := range phase.Products {
		if n := s.counted("buy " + product); n != 10 {
			t.Errorf("%d buys of %s, want 10", n, product)
		}
	}
}

func TestAnswersByKind(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(is(sale.Held)), refuse: func(number, _ int) int {
		return []int{0, http.StatusGone, http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusInternalServerError, cutOff, http.StatusNoContent}[number%7]
	}})
	got := results(t.Context(), t, s.crowd(70))[0]
	counts(t, Result{
		Do: Click, Arrivals: 70, Answered: 60, Succeeded: 10, Accepted: 10, Shed: 20, Untold: 10,
		Refused:  map[string]int{"sold_out": 10, "unavailable": 10, "rate_limited": 10, "http_500": 10, "http_204": 10},
		Errors:   map[string]int{ErrorConnection: 10},
		Statuses: map[int]int{202: 10, 204: 10, 410: 10, 429: 10, 500: 10, 503: 10},
		Outcomes: map[sale.State]int{sale.Held: 10},
	}, got)
	if got.OutcomeMS.Max <= 0 {
		t.Error("a service that decides at the click has no click to outcome")
	}
	if got.ShedMS.P50 <= 0 || got.ShedMS.Max > got.AnswerMS.Max {
		t.Errorf("the refused heard it after %+v, all after %+v", got.ShedMS, got.AnswerMS)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	phase := (&shop{address: listener.Addr().String()}).crowd(5)
	counts(t, Result{Do: Click, Arrivals: 5, Errors: map[string]int{ErrorConnect: 5}}, results(t.Context(), t, phase)[0])
}

// stalled is a shop whose first answer takes until all clicks were due.
func stalled(t *testing.T, clicks int, due time.Duration) Phase {
	t.Helper()
	s := open(t, &shop{script: always(queued(3)), refuse: func(number, _ int) int {
		if number == 0 {
			<-time.After(due)
		}
		return 0
	}})
	phase := s.crowd(clicks)
	phase.Connections = 1
	phase.Arrivals = Arrivals{Kind: Constant, Rate: float64(clicks) / due.Seconds() * 4} // the last is due after a quarter
	return phase
}

func TestLatencyCountsFromTheSchedule(t *testing.T) {
	t.Parallel()
	const due = 200 * time.Millisecond
	got := results(t.Context(), t, stalled(t, 40, due))[0]
	if got.Answered != 40 {
		t.Fatalf("%d answers, want 40", got.Answered)
	}
	// Each click was due in the first quarter, and none was answered before
	// the end.
	const least = float64(due/time.Millisecond) * 3 / 4 * 0.99
	if fastest := got.AnswerCurve[0].MS; fastest < least {
		t.Errorf("the fastest answer came after %.1f ms, want %.1f at least", fastest, least)
	}
	if sent := got.SendMS.P50; sent < least {
		t.Errorf("the median click was sent %.1f ms after it was due, want %.1f at least", sent, least)
	}
	// All but the one that had the only connection waited for it, and that was
	// the generator's line.
	if got.Waited < 39 || got.WaitMS.P50 < least {
		t.Errorf("%d clicks waited for a connection, the median of them for %.1f ms; want 39, and %.1f at least", got.Waited, got.WaitMS.P50, least)
	}
}

func TestLateClicksAreCounted(t *testing.T) {
	t.Parallel()
	phase := stalled(t, 40, 200*time.Millisecond)
	phase.Patience = 50 * time.Millisecond
	counts(t, Result{
		Do: Click, Arrivals: 40, Answered: 1, Succeeded: 1, Accepted: 1, Errors: map[string]int{ErrorLate: 39},
		Statuses: map[int]int{202: 1}, Outcomes: map[sale.State]int{sale.Queued: 1},
	}, results(t.Context(), t, phase)[0])
}

func TestClickTimesOut(t *testing.T) {
	t.Parallel()
	phase := stalled(t, 1, time.Second)
	phase.Arrivals, phase.CallTimeout = Arrivals{}, 20*time.Millisecond
	counts(t, Result{Do: Click, Arrivals: 1, Errors: map[string]int{ErrorTimeout: 1}}, results(t.Context(), t, phase)[0])
}

func TestShedClicks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		follow   Follow
		arrivals Arrivals
		want     Result
	}{
		"in an open loop": {FollowPoll, Arrivals{Kind: Burst}, Result{
			Arrivals: 8, Answered: 8, Shed: 8, Untold: 8, Refused: map[string]int{"rate_limited": 8}, Statuses: map[int]int{429: 8},
		}},
		"where nobody follows": {FollowNone, Arrivals{}, Result{
			Arrivals: 8, Answered: 8, Shed: 8, Untold: 8, Refused: map[string]int{"rate_limited": 8}, Statuses: map[int]int{429: 8},
		}},
		"in a closed loop that follows": {FollowPoll, Arrivals{}, Result{
			Arrivals: 8, Answered: 8, Succeeded: 8, Accepted: 8, Statuses: map[int]int{202: 8},
			Outcomes: map[sale.State]int{sale.SoldOut: 8}, Calls: map[string]int{CallRetry: 8},
		}},
	} {
		s := open(t, &shop{script: always(is(sale.SoldOut)), refuse: func(_, nth int) int {
			if nth == 1 {
				return http.StatusTooManyRequests
			}
			return 0
		}})
		phase := s.crowd(8)
		phase.Follow, phase.Arrivals = c.follow, c.arrivals
		c.want.Do = Click
		t.Log(name)
		counts(t, c.want, results(t.Context(), t, phase)[0])
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	s := open(t, &shop{script: always(queued(3)), refuse: func(number, _ int) int {
		if number == 5 {
			interrupt()
		}
		return 0
	}})
	for _, follow := range []Follow{FollowNone, FollowPoll, FollowLongPoll, FollowWebSocket} {
		phase := s.crowd(1_000_000)
		phase.Follow, phase.Arrivals = follow, Arrivals{Kind: Constant, Rate: 100, For: time.Minute}
		encoded, err := json.Marshal(phase)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Run(ctx, strings.NewReader(string(encoded)), &out); !errors.Is(err, context.Canceled) {
			t.Errorf("an interrupted run gives %v", err)
		}
		if follow != FollowNone {
			continue // it was interrupted before it began
		}
		lines := read(t, &out)
		if len(lines) != 1 || lines[0].Result == nil || !strings.Contains(lines[0].Error, "interrupted") || lines[0].Result.Arrivals < 6 {
			t.Errorf("an interrupted phase says %+v", lines)
		}
	}
}
