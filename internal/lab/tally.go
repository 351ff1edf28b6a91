package lab

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Quantiles are of a duration, in milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Result is what a crowd was told.
type Result struct {
	Buyers           int                `json:"buyers"`
	Accepted         int                `json:"accepted"`          // got a ticket
	Refused          map[string]int     `json:"refused"`           // got none, by the problem's code
	Outcomes         map[sale.State]int `json:"outcomes"`          // the last state that each ticket's shopper was told
	Sold             int                `json:"sold"`              // units confirmed
	Undecided        int                `json:"undecided"`         // tickets without an outcome
	MultipleOutcomes int                `json:"multiple_outcomes"` // answers that contradicted an earlier one
	PositionRises    int                `json:"position_rises"`    // places that moved back
	Streams          int                `json:"streams"`           // shoppers who followed by WebSocket
	AcceptMS         Quantiles          `json:"accept_ms"`         // click to ticket
	OutcomeMS        Quantiles          `json:"outcome_ms"`        // click to the first outcome that the shopper saw
	RefuseMS         Quantiles          `json:"refuse_ms"`         // click to the door's refusal, the last one where a click was repeated
	ClickSeconds     float64            `json:"click_seconds"`     // first click to last ticket or refusal
	Seconds          float64            `json:"seconds"`           // first click to last outcome, a refusal at the door among them
}

// Progress is what a run has seen so far.
type Progress struct {
	Clicked  int64 `json:"clicked"`
	Accepted int64 `json:"accepted"`
	Refused  int64 `json:"refused"`
	Decided  int64 `json:"decided"`
	Held     int64 `json:"held"`
	Sold     int64 `json:"sold"`
	Line     int64 `json:"line"` // undecided, as the service says
	Seconds  int64 `json:"seconds"`
}

// tally collects what shoppers are told. It is safe for many goroutines.
type tally struct {
	clicked, accepted, refused, decided, held, sold, line atomic.Int64

	mu          sync.Mutex
	result      Result
	accepts     *hdrhistogram.Histogram // microseconds
	outcomes    *hdrhistogram.Histogram
	refusals    *hdrhistogram.Histogram
	lastAnswer  time.Time // to a click
	lastOutcome time.Time
}

func newTally(buyers int) *tally {
	const longest = int64(10 * time.Minute / time.Microsecond)
	return &tally{
		result:   Result{Buyers: buyers, Refused: make(map[string]int), Outcomes: make(map[sale.State]int)},
		accepts:  hdrhistogram.New(1, longest, 3),
		outcomes: hdrhistogram.New(1, longest, 3),
		refusals: hdrhistogram.New(1, longest, 3),
	}
}

func (t *tally) progress(since time.Time) Progress {
	return Progress{
		Clicked: t.clicked.Load(), Accepted: t.accepted.Load(), Refused: t.refused.Load(), Decided: t.decided.Load(),
		Held: t.held.Load(), Sold: t.sold.Load(), Line: t.line.Load(), Seconds: int64(time.Since(since).Seconds()),
	}
}

func (t *tally) noteAccepted(clicked, now time.Time) {
	t.accepted.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastAnswer = now
	record(t.accepts, now.Sub(clicked))
}

// noteRefused takes a refusal at the door, which is its shopper's outcome.
func (t *tally) noteRefused(code string, clicked, now time.Time) {
	t.refused.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Refused[code]++
	t.lastAnswer, t.lastOutcome = now, now
	record(t.refusals, now.Sub(clicked))
}

// noteOutcome takes a shopper's first outcome.
func (t *tally) noteOutcome(clicked, now time.Time) {
	t.decided.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastOutcome = now
	record(t.outcomes, now.Sub(clicked))
}

// noteEnd takes the state that a shopper goes away with.
func (t *tally) noteEnd(s *shopper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.decided {
		t.result.Undecided++
	}
	t.result.Outcomes[s.state]++
	if s.state == sale.Confirmed {
		t.result.Sold += s.quantity
	}
}

func (t *tally) noteContradiction() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.MultipleOutcomes++
}

func (t *tally) noteRise() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.PositionRises++
}

func (t *tally) noteStream() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Streams++
}

func (t *tally) total(began time.Time) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.result
	r.Refused, r.Outcomes = maps.Clone(r.Refused), maps.Clone(r.Outcomes)
	r.Accepted = int(t.accepted.Load())
	r.AcceptMS, r.OutcomeMS, r.RefuseMS = quantiles(t.accepts), quantiles(t.outcomes), quantiles(t.refusals)
	if !t.lastAnswer.IsZero() {
		r.ClickSeconds = t.lastAnswer.Sub(began).Seconds()
	}
	if !t.lastOutcome.IsZero() {
		r.Seconds = t.lastOutcome.Sub(began).Seconds()
	}
	return r
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue())) // cannot fail within its bounds
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	return Quantiles{P50: ms(h.ValueAtQuantile(50)), P99: ms(h.ValueAtQuantile(99)), Max: ms(h.Max())}
}
