package load

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// sample is what became of an arrival. Times are since the phase began.
type sample struct {
	due, sent, at time.Duration // at: of the answer, or the end of waiting for it
	waited        time.Duration // from due on, until a connection was free
	status        int
	failure       string     // an Error…, or ""
	refusal       string     // the problem's code, or ""
	told          bool       // by Retry-After, when to come again
	state         sale.State // as the answer told it, or ""
	unfollowed    bool       // nobody asks what becomes of it
}

func (s *sample) succeeded() bool { return s.failure == "" && s.refusal == "" }

// shed reports whether the service asked to come again later.
func (s *sample) shed() bool { return s.status == 429 || s.status == 503 }

// decided reports whether the answer is the arrival's outcome.
func (s *sample) decided() bool {
	return s.refusal != "" && !s.shed() || s.state != "" && s.state != sale.Queued
}

// recorder gathers the samples of one goroutine and hands them over in batches,
// so that goroutines hardly ever meet.
type recorder struct {
	tally *tally
	batch []sample
}

const (
	batchSamples = 32
	batchTime    = 250 * time.Millisecond // so that progress is not far behind
)

func (t *tally) recorder() *recorder { return &recorder{tally: t} }

func (r *recorder) note(s sample) {
	r.batch = append(r.batch, s)
	if len(r.batch) >= batchSamples || s.at-r.batch[0].at > batchTime {
		r.flush()
	}
}

func (r *recorder) flush() {
	if len(r.batch) > 0 {
		r.tally.take(r.batch)
		r.batch = r.batch[:0]
	}
}

// tally adds up a phase. It is safe for many goroutines.
type tally struct {
	clicks      bool // an answer may be an outcome
	waiting     atomic.Int64
	mostWaiting atomic.Int64
	failedCalls atomic.Int64
	calls       [callKinds]atomic.Int64

	mu                                sync.Mutex
	result                            Result
	answers, accepts, sends, outcomes *hdrhistogram.Histogram // microseconds
	sheds, waits                      *hdrhistogram.Histogram // the same
	decided                           int
	refused, failed                   int
	lastAnswer, lastAccept            time.Duration
	lastOutcome                       time.Duration // of a ticket
}

// Kinds of calls as they are counted.
type callKind int

const (
	callRetry callKind = iota
	callPoll
	callLongPoll
	callWebSocket
	callConfirm
	callAbandon
	callKinds
)

func (k callKind) String() string {
	return [...]string{CallRetry, CallPoll, CallLongPoll, CallWebSocket, CallConfirm, CallAbandon}[k]
}

func newTally(do Work) *tally {
	return &tally{
		clicks: do == Click,
		result: Result{
			Do: do, Refused: make(map[string]int), Errors: make(map[string]int), Statuses: make(map[int]int),
			Outcomes: make(map[sale.State]int), Calls: make(map[string]int),
		},
		answers: newHistogram(), accepts: newHistogram(), sends: newHistogram(), outcomes: newHistogram(),
		sheds: newHistogram(), waits: newHistogram(),
	}
}

func (t *tally) take(batch []sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range batch {
		t.takeOne(&batch[i])
	}
}

func (t *tally) takeOne(s *sample) {
	r := &t.result
	r.Arrivals++
	if s.failure != "" {
		t.failed++
		r.Errors[s.failure]++
		return
	}
	r.Answered++
	r.Statuses[s.status]++
	record(t.answers, s.at-s.due)
	record(t.sends, s.sent-s.due)
	if s.waited > 0 {
		r.Waited++
		record(t.waits, s.waited)
	}
	t.lastAnswer = max(t.lastAnswer, s.at)
	point := t.pointAt(s.at)
	point.Answered++
	switch {
	case s.refusal != "":
		t.refused++
		r.Refused[s.refusal]++
		if s.shed() {
			r.Shed++
			record(t.sheds, s.at-s.due)
			if !s.told {
				r.Untold++
			}
		}
	default:
		r.Succeeded++
		point.Succeeded++
		record(t.accepts, s.at-s.due)
	}
	if !t.clicks {
		return
	}
	if s.succeeded() {
		t.lastAccept = max(t.lastAccept, s.at)
		if s.status == 202 {
			r.Accepted++
		} else {
			r.Repeated++
		}
		if s.unfollowed {
			r.Outcomes[s.state]++
		}
	}
	switch {
	case !s.decided():
	case s.succeeded():
		t.outcomeAt(s.due, s.at)
	default:
		t.decided++
		record(t.outcomes, s.at-s.due)
	}
}

// outcomeAt takes a ticket's outcome.
func (t *tally) outcomeAt(clicked, at time.Duration) {
	t.decided++
	record(t.outcomes, at-clicked)
	t.lastOutcome = max(t.lastOutcome, at)
}

// pointAt gives the point of the timeline that a time falls into.
func (t *tally) pointAt(at time.Duration) *TimelinePoint {
	const width = 100 * time.Millisecond
	timeline := t.result.Timeline
	for index := int(at / width); len(timeline) <= index; {
		timeline = append(timeline, TimelinePoint{AtMS: len(timeline) * int(width/time.Millisecond)})
	}
	t.result.Timeline = timeline
	return &timeline[at/width]
}

// noteOutcome takes the first outcome that a buyer hears who follows.
func (t *tally) noteOutcome(clicked, at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcomeAt(clicked, at)
}

// noteEnd takes the state that a buyer who followed goes away with.
func (t *tally) noteEnd(state sale.State, decided bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Outcomes[state]++
	if !decided {
		t.result.Undecided++
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

func (t *tally) noteCall(kind callKind) { t.calls[kind].Add(1) }

// noteUnsent takes arrivals whose turn did not come.
func (t *tally) noteUnsent(count int) {
	if count == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Arrivals += count
	t.failed += count
	t.result.Errors[ErrorNotSent] += count
}

func (t *tally) enter() {
	for now := t.waiting.Add(1); ; {
		most := t.mostWaiting.Load()
		if now <= most || t.mostWaiting.CompareAndSwap(most, now) {
			return
		}
	}
}

func (t *tally) leave() { t.waiting.Add(-1) }

func (t *tally) progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Progress{
		Do: t.result.Do, Answered: t.result.Answered, Succeeded: t.result.Succeeded, Refused: t.refused,
		Errors: t.failed, Decided: t.decided, Waiting: int(t.waiting.Load()),
	}
}

// total gives the result of a phase that is over.
func (t *tally) total(began time.Time) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.result
	r.Errors, r.Refused, r.Statuses, r.Outcomes = maps.Clone(r.Errors), maps.Clone(r.Refused), maps.Clone(r.Statuses), maps.Clone(r.Outcomes)
	r.FirstUnixMS = began.UnixMilli()
	r.LastUnixMS = began.Add(t.lastAnswer).UnixMilli()
	if r.Seconds = t.lastAnswer.Seconds(); r.Seconds > 0 {
		r.AnsweredPerSecond = float64(r.Answered) / r.Seconds
		r.SucceededPerSecond = float64(r.Succeeded) / r.Seconds
	}
	r.AnswerMS, r.AcceptMS, r.SendMS, r.OutcomeMS = quantiles(t.answers), quantiles(t.accepts), quantiles(t.sends), quantiles(t.outcomes)
	r.ShedMS, r.WaitMS = quantiles(t.sheds), quantiles(t.waits)
	r.AnswerCurve, r.OutcomeCurve = curve(t.answers), curve(t.outcomes)
	r.LastOutcomeMS = max((t.lastOutcome-t.lastAccept).Seconds()*1000, 0)
	r.FailedCalls = int(t.failedCalls.Load())
	r.MostWaiting = int(t.mostWaiting.Load())
	for kind := range callKinds {
		if n := t.calls[kind].Load(); n > 0 {
			r.Calls[kind.String()] = int(n)
		}
	}
	return r
}
