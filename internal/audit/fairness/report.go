package fairness

import (
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Report says how sales went. Every number in it follows from the
// records and what they were decided as, and nothing else: not the time at which
// it was made, nor the machine. Whoever has the log up to the same offsets gets
// the same report, to the byte.
//
// Times are log time unless said otherwise: the brokers' timestamps, made
// monotone. Durations are in milliseconds. Offsets are of the sale's partition.
type Report struct {
	Topic      string       `json:"topic"` // the topic's id
	Partitions []Partition  `json:"partitions"`
	Inversions int64        `json:"inversions"` // of all sales in the report
	Sales      []SaleReport `json:"sales"`      // by partition and offset

	Definitions []Definition `json:"definitions"`
	Unseen      []string     `json:"unseen"` // what no report from the log can know
}

// Definition says in short how numbers of the report are computed.
type Definition struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Partition is the part of the log that the report is of: its records
// below Next. Two people whose digests are equal looked at the same log.
type Partition struct {
	Partition int32         `json:"partition"`
	Next      sale.Offset   `json:"next"`
	Time      event.Instant `json:"time"` // of the last record

	Records   int64 `json:"records"`
	Decisions int64 `json:"decisions"`
	Malformed int64 `json:"malformed"` // records that could not be read
	// Unnamed are buys that named no sale that was its product's current one.
	// They belong to no sale, so they are in no other number.
	Unnamed int64 `json:"unnamed"`

	RecordDigest   string      `json:"record_digest"`   // head of the chain over the records, hexadecimal
	DecisionDigest string      `json:"decision_digest"` // and over the decisions
	ChainStart     sale.Offset `json:"chain_start"`     // where both chains begin
}

// SaleReport is how one sale went. Its requests are the buys that named it while
// it was its product's current sale.
type SaleReport struct {
	Sale      string        `json:"sale"` // public id
	Partition int32         `json:"partition"`
	Product   sale.Product  `json:"product"`
	Stage     sale.Stage    `json:"state"`
	CreatedAt event.Instant `json:"created_at"`
	OpenedAt  event.Instant `json:"opened_at,omitzero"`
	ClosedAt  event.Instant `json:"closed_at,omitzero"`

	Requests int64 `json:"requests"`
	Units    int64 `json:"units"` // that they asked for; a request for less than 1, or more than any sale can have, counts as none

	Order    Order     `json:"order"`
	Waits    Waits     `json:"waits"`
	Outcomes []Outcome `json:"outcomes"`
	Reasons  []Reason  `json:"reasons"`
	// Duplicates are requests refused because their buyer had a live one.
	Duplicates int64  `json:"duplicates"`
	Buyers     Buyers `json:"buyers"`
	Pauses     Pauses `json:"pauses"`
	Back       Back   `json:"came_back"`
	Fill       Fill   `json:"fill"`

	Created  sale.Settings `json:"settings_created"`
	Settings sale.Settings `json:"settings"` // as they are at the report's end
	Actions  []Action      `json:"actions"`
	// Unlisted are actions beyond the list's bound.
	Unlisted int64 `json:"actions_unlisted,omitzero"`
}

// Order says whether those who came first were served first. It looks at
// decisions one after another, in the order in which they were made.
//
// A grant is a request's first decision to reserved or held. At that moment
// others of the sale wait: those whose latest decision is waitlisted or, in a
// pause, queued.
type Order struct {
	Grants int64 `json:"grants"`
	// Inversions are grants at which a request with a lower offset waited that
	// asked for no more than the granted one, or for no more than could still
	// come back: the sale's quantity less what is confirmed. (Where the record
	// that grants changes the quantity, the smaller one counts.)
	Inversions int64 `json:"inversions"`
	// Listed are the first of them, up to 100.
	Listed []Inversion `json:"listed"`
	// PassedOver are requests that waited at some grant to a request with a
	// higher offset, and asked for more than both: no inversion, since what they
	// wanted could not be had any more.
	PassedOver int64 `json:"passed_over"`
	// AfterSoldOut are grants to requests, of which one with a lower offset had
	// been told sold_out because nothing was left for it: where a sale has no
	// waitlist, or a full one, units that come back go to whoever asks next.
	AfterSoldOut int64 `json:"after_sold_out"`
	// AfterSoldOutForNoMore are those of them where one who was told so had
	// asked for no more than the granted one.
	AfterSoldOutForNoMore int64 `json:"after_sold_out_for_no_more"`
}

// Inversion is a grant that was not in order.
type Inversion struct {
	Cause    sale.Offset   `json:"cause"` // the record and
	Index    int           `json:"index"` // its decision that granted
	Time     event.Instant `json:"time"`
	Request  sale.Offset   `json:"request"` // that got its units
	Quantity int64         `json:"quantity"`

	Earlier         sale.Offset `json:"earlier"` // the first request that was passed over
	EarlierQuantity int64       `json:"earlier_quantity"`
	PassedOver      int64       `json:"passed_over"` // how many were
}

// Times are durations in milliseconds. A percentile is the least duration
// that at least so many percent do not exceed (the nearest rank). For that,
// durations of 2048 ms and more are rounded up to 11 significant bits, by less
// than one part in a thousand, but not above Max, which is exact.
type Times struct {
	Count int64 `json:"count"`
	// Negative are counted apart and are in no other number here.
	Negative int64 `json:"negative,omitzero"`
	P50      int64 `json:"p50_ms"`
	P90      int64 `json:"p90_ms"`
	P99      int64 `json:"p99_ms"`
	Max      int64 `json:"max_ms"`
	// Histogram goes from the first bin that has any to the last one.
	Histogram []Bin `json:"histogram"`
}

// Bin is durations of From or more and less than To; of any length where To
// is 0.
type Bin struct {
	From  int64 `json:"from_ms"`
	To    int64 `json:"to_ms,omitzero"`
	Count int64 `json:"count"`
}

// Waits are the times that shoppers waited.
type Waits struct {
	// ClickToLog is from accepted_at, by the ingress's clock, to the record's
	// own timestamp, by the broker's. Clocks that differ make it negative.
	ClickToLog Times `json:"click_to_log"`
	// LogToUnit is from the log time of a request to that of its grant, where a
	// later record granted.
	LogToUnit Times `json:"log_to_unit"`
	// LogToHoldStart is from the log time of a request to the start of its
	// hold: the tick's time. A request that was paid for or lost before any
	// start has none.
	LogToHoldStart Times `json:"log_to_hold_start"`
	// HoldToConfirmation is from the decision that held to the one that
	// confirmed.
	HoldToConfirmation Times `json:"hold_to_confirmation"`
}

// Outcome is how many requests, and units that they asked for, are in a
// state at the report's end. Shares are of all of the sale's, from 0 to 1.
type Outcome struct {
	State        sale.State `json:"state"`
	Requests     int64      `json:"requests"`
	Units        int64      `json:"units"`
	RequestShare float64    `json:"request_share"`
	UnitShare    float64    `json:"unit_share"`
}

// Reason is how many requests came to a state for a reason, most first.
type Reason struct {
	State    sale.State  `json:"state"`
	Reason   sale.Reason `json:"reason"`
	Requests int64       `json:"requests"`
	Units    int64       `json:"units"`
}

// Buyers says how many requests buyers made, whatever became of them. A
// buyer is a pseudonym: the log knows nothing else of a person. Buyers are told
// apart by the 64-bit FNV-1a hash of it.
type Buyers struct {
	Buyers       int64      `json:"buyers"`
	Distribution []Buying   `json:"distribution"`
	Most         int64      `json:"most"`             // requests by one buyer
	MostBy       sale.Buyer `json:"most_by,omitzero"` // the first who made so many
}

// Buying is how many buyers made so many requests.
type Buying struct {
	Requests int64 `json:"requests"`
	Buyers   int64 `json:"buyers"`
}

// Pauses says what pauses did.
type Pauses struct {
	Count int64 `json:"count"`
	Total int64 `json:"total_ms"` // one that lasts counts up to the report's end
	// Parked are requests that a pause kept, and Wait how long each was kept:
	// from its log time to its next decision.
	Parked int64 `json:"parked"`
	Wait   Times `json:"wait"`
	// HoldsMoved are holds whose end a pause moved: at the pause's end they were
	// held, and they had begun to run at a time before it.
	HoldsMoved int64   `json:"holds_moved"`
	Listed     []Pause `json:"listed"` // the first 1000
}

// Pause is one of them.
type Pause struct {
	From       event.Instant `json:"from"`
	To         event.Instant `json:"to,omitzero"` // none while it lasts
	Offset     sale.Offset   `json:"offset"`      // the record that began it
	Parked     int64         `json:"parked"`
	HoldsMoved int64         `json:"holds_moved"`
}

// Back is what came back: holds that expired, what was released while held
// or reserved, and what was returned after it was paid for.
type Back struct {
	Expired  Count `json:"expired"`
	Released Count `json:"released"`
	Returned Count `json:"returned"`
	Units    int64 `json:"units"` // all of these
	// Idle is how long each such unit lay before somebody got it: units are got
	// in the order in which they became free, where those that the sale began
	// with were first. Where a quantity was lowered, the last to become free
	// went. 0 is a unit for which somebody waited.
	Idle Times `json:"idle"`
	Left int64 `json:"left"` // that lie free at the report's end
}

// Count is requests and their units.
type Count struct {
	Requests int64 `json:"requests"`
	Units    int64 `json:"units"`
}

// Fill is how the sale filled. The times are from its opening.
type Fill struct {
	Quantity  int64   `json:"quantity"`
	Confirmed int64   `json:"confirmed"`
	Rate      float64 `json:"rate"` // confirmed / quantity
	// SoldOut is when a record first left no unit free, AllConfirmed when one
	// first left all of them confirmed.
	SoldOut      *int64 `json:"sold_out_ms,omitempty"`
	AllConfirmed *int64 `json:"all_confirmed_ms,omitempty"`
	// Points are the state after the last change in each step: of 1 ms, or the
	// least power of two with which all fit into 240 steps from the opening on.
	Points []Point `json:"points"`
}

// Point is how many units were taken so long after the opening.
type Point struct {
	After     int64 `json:"after_ms"`
	Quantity  int64 `json:"quantity"`
	Confirmed int64 `json:"confirmed"`
	Taken     int64 `json:"taken"` // reserved, held or confirmed
}

// Action is what an operator did to the sale, or tried to.
type Action struct {
	Action string        `json:"action"` // the record's type
	Offset sale.Offset   `json:"offset"`
	Time   event.Instant `json:"time"`
	Actor  string        `json:"actor,omitempty"`
	Reason string        `json:"reason,omitempty"`
	// Result is done, already_so, or the code of the refusal.
	Result  string    `json:"result"`
	Changes []Setting `json:"changes,omitempty"`
}

// Setting is a setting that was changed.
type Setting struct {
	Setting string `json:"setting"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// definitions are the comments above, in short, for readers of a report.
var definitions = []Definition{
	{"time", "Log time: the brokers' timestamps, made monotone per partition. Percentiles are nearest ranks; from 2048 ms on durations are rounded up to 11 significant bits."},
	{"request", "A buy that named the sale while it was its product's current one. Requests for less than 1 unit, or for more than any sale can have, count no units."},
	{"grant", "A request's first decision to reserved or held."},
	{"inversion", "A grant, at which an earlier request of the sale was waitlisted or kept by a pause, and asked for no more than the granted one or than could still come back (quantity less confirmed)."},
	{"passed over", "Requests that waited at a grant to a later one, and asked for more than could still come back. Not an inversion."},
	{"after sold out", "Grants to requests later than one that had been told sold_out because nothing was left: a sale without a waitlist, or with a full one, gives what comes back to whoever asks next. Not an inversion."},
	{"click to log", "From the moment an ingress accepted the click to the record's timestamp. Two clocks: where they differ it can be negative, which is counted apart."},
	{"log to unit", "From a request's record to its grant, for those whom a later record granted."},
	{"log to hold start", "From a request's record to the tick at which its hold began to run."},
	{"hold to confirmation", "From the decision that held to the one that confirmed."},
	{"buyers", "Pseudonyms, told apart by their 64-bit FNV-1a hash."},
	{"pauses", "Kept requests waited from their record to their next decision. A hold's end is moved if it was held when the pause ended and had begun to run before."},
	{"came back", "Units of holds that expired, were released, or were returned. Free units are got in the order in which they became free, those that the sale began with first; idle is from then until the grant."},
	{"fill", "Confirmed units of the quantity. Times are from the opening. Sold out is the first record that left no unit free."},
	{"digests", "Chained SHA-256 over all records of the partition (offset, time, key, value), and over all decisions, below the offset to which the report goes."},
}

// unseen is what a report from the log cannot know.
var unseen = []string{
	"Whoever was refused at the door left no record: those above the rate limit, those whom the gate of a sale with policy reject kept out, and those who came when the sale was known to be sold out, closed or not yet open.",
	"Buyers are pseudonyms. Two of them may be one person; that is for whoever identifies buyers to prevent.",
	"The time before an ingress accepted a click: networks, queues and devices before it.",
}
