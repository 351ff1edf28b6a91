package load

import "github.com/anteroomhq/anteroom/pkg/sale"

// Result is what a phase has brought. Times are of the generator's clock.
type Result struct {
	Do Work `json:"do"`

	// Every arrival is one of: Answered, or in Errors.
	Arrivals  int            `json:"arrivals"`  // clicks, polls, confirmations or streams that were due
	Answered  int            `json:"answered"`  // of them, those that got an answer of whatever kind
	Succeeded int            `json:"succeeded"` // of the answers, those with what was asked for: 200, 202, or 304
	Accepted  int            `json:"accepted"`  // 202: a new ticket, or a unit
	Repeated  int            `json:"repeated"`  // 200 to a click: the buyer had one already
	Refused   map[string]int `json:"refused"`   // answers that refuse, by the problem's code, or "http_<status>"
	Shed      int            `json:"shed"`      // of the refused, those with 429 or 503: come again later
	Untold    int            `json:"untold"`    // of the shed, those that no Retry-After told when
	Waited    int            `json:"waited"`    // of the answers, those for which no connection was free when they were due
	Errors    map[string]int `json:"errors"`    // arrivals without an answer, by kind: Error* below
	Statuses  map[int]int    `json:"statuses"`  // answers by HTTP status

	Seconds            float64 `json:"seconds"` // first arrival to last answer
	AnsweredPerSecond  float64 `json:"answered_per_second"`
	SucceededPerSecond float64 `json:"succeeded_per_second"`
	FirstUnixMS        int64   `json:"first_unix_ms"` // when the first was due
	LastUnixMS         int64   `json:"last_unix_ms"`  // of the last answer

	AnswerMS    Quantiles       `json:"answer_ms"`    // arrival to answer, of all that were answered
	AcceptMS    Quantiles       `json:"accept_ms"`    // of those that succeeded
	SendMS      Quantiles       `json:"send_ms"`      // arrival to sending: the wait for a free connection, and the generator's own delay
	ShedMS      Quantiles       `json:"shed_ms"`      // arrival to answer, of those that were shed
	WaitMS      Quantiles       `json:"wait_ms"`      // arrival to a free connection, of those that Waited: the generator's line, not the service's
	AnswerCurve []LatencyPoint  `json:"answer_curve"` // what AnswerMS is taken from
	Timeline    []TimelinePoint `json:"timeline"`     // answers over time, without gaps

	// Of clicks, as far as they were followed. A refusal that is not Shed is
	// its buyer's outcome too.
	OutcomeMS        Quantiles          `json:"outcome_ms"` // click to outcome
	OutcomeCurve     []LatencyPoint     `json:"outcome_curve"`
	LastOutcomeMS    float64            `json:"last_outcome_ms"`   // last ticket to last outcome; 0 where nothing was followed
	Outcomes         map[sale.State]int `json:"outcomes"`          // the last state told to each buyer with a ticket
	Undecided        int                `json:"undecided"`         // of the buyers with a ticket who followed it: without an outcome
	MultipleOutcomes int                `json:"multiple_outcomes"` // answers that contradicted an earlier one
	PositionRises    int                `json:"position_rises"`    // places that moved back
	Calls            map[string]int     `json:"calls"`             // made after the click, by kind: Call* below
	FailedCalls      int                `json:"failed_calls"`      // of them, without an answer, or with one that refuses
	MostWaiting      int                `json:"most_waiting"`      // the most buyers that followed at one time

	Kept     int `json:"kept"`     // tickets in memory now
	Streams  int `json:"streams"`  // open now; of CloseStreams: that were open
	Broken   int `json:"broken"`   // streams that broke, rather than being closed by us or after a final state
	Messages int `json:"messages"` // that streams have brought since they were opened

	CPUSeconds   float64 `json:"cpu_seconds"`    // of the generator, in this phase
	PeakRSSBytes int64   `json:"peak_rss_bytes"` // of the generator, since it began; 0 where it cannot be told
}

// Kinds of errors in Result.Errors.
const (
	ErrorConnect    = "connect"    // no connection was to be had
	ErrorTimeout    = "timeout"    // no answer within Phase.CallTimeout
	ErrorConnection = "connection" // it broke before the answer was whole
	ErrorMalformed  = "malformed"  // the answer is not HTTP, or says nothing
	ErrorLate       = "late"       // no connection was free within Phase.Patience: not sent
	ErrorNotSent    = "not_sent"   // the phase was interrupted before its turn
)

// Kinds of calls in Result.Calls.
const (
	CallRetry     = "retry" // a click that was shed, in a closed loop that follows
	CallPoll      = "poll"
	CallLongPoll  = "long_poll"
	CallWebSocket = "websocket"
	CallConfirm   = "confirm"
	CallAbandon   = "abandon"
)

// Quantiles are of a duration, in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// LatencyPoint is a point of a latency curve: that share of all, from 0 to 1,
// took at most so long.
type LatencyPoint struct {
	Quantile float64 `json:"quantile"`
	MS       float64 `json:"ms"`
}

// TimelinePoint counts the answers of the 100 ms that begin AtMS after the
// first arrival was due.
type TimelinePoint struct {
	AtMS      int `json:"at_ms"`
	Answered  int `json:"answered"`
	Succeeded int `json:"succeeded"`
}

// Progress is what a phase has seen so far.
type Progress struct {
	Do        Work    `json:"do"`
	Seconds   float64 `json:"seconds"`
	Answered  int     `json:"answered"`
	Succeeded int     `json:"succeeded"`
	Refused   int     `json:"refused"`
	Errors    int     `json:"errors"`
	Decided   int     `json:"decided"`
	Waiting   int     `json:"waiting"` // buyers who follow
	Streams   int     `json:"streams"` // open
}
