package event

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// DecisionType says what a Decision tells.
type DecisionType string

// The types of decisions. A request's is named after the state that it got.
const (
	RequestQueued     DecisionType = "request.queued" // kept until its sale is resumed
	RequestHeld       DecisionType = "request.held"
	RequestExtended   DecisionType = "request.extended" // still held, for longer
	RequestReserved   DecisionType = "request.reserved"
	RequestWaitlisted DecisionType = "request.waitlisted"
	RequestSoldOut    DecisionType = "request.sold_out"
	RequestRejected   DecisionType = "request.rejected"
	RequestReleased   DecisionType = "request.released"
	RequestConfirmed  DecisionType = "request.confirmed"
	RequestExpired    DecisionType = "request.expired"
	RequestReturned   DecisionType = "request.returned"

	// Many requests of one batch with the same outcome and no row of their own.
	RequestsSoldOut  DecisionType = "requests.sold_out"
	RequestsRejected DecisionType = "requests.rejected"

	HoldStarted    DecisionType = "hold.started" // all holds decided below an offset, unless begun before
	CommandDone    DecisionType = "command.done" // or already so
	CommandRefused DecisionType = "command.refused"

	// A sale after a batch. SaleChanged is that none of the others is the case.
	SaleCreated DecisionType = "sale.created"
	SaleOpened  DecisionType = "sale.opened"
	SalePaused  DecisionType = "sale.paused"
	SaleResumed DecisionType = "sale.resumed"
	SaleSoldOut DecisionType = "sale.sold_out" // nothing is available; units may come back, and be sold out again
	SaleClosed  DecisionType = "sale.closed"
	SaleRetired DecisionType = "sale.retired" // left behind: its requests change no more
	SaleChanged DecisionType = "sale.changed"
)

// Decision is a value of the topic of decisions: one decision, for other
// systems, as one JSON object. Its key is the product.
//
// The topic has each decision at least once. Within a partition (Cause, Index)
// rises strictly, but for repetitions: after a crash, what came last is given
// once more, byte for byte, and a former owner may repeat what it gave before.
// So a reader that remembers the last (Cause, Index) of each partition, and
// leaves out what is not above it, sees every decision once and in order; one
// that only wants no duplicates can go by ID.
//
// Buyers are not in it, not even as pseudonyms.
type Decision struct {
	ID        string       `json:"id"` // PARTITION-CAUSE-INDEX, which names it within its log
	Type      DecisionType `json:"type"`
	Log       string       `json:"log"` // the id of the topic of records, as TopicID.String
	Partition int32        `json:"partition"`
	Cause     sale.Offset  `json:"cause"` // the record that caused it
	Index     int          `json:"index"` // its place among what that record caused
	Time      Instant      `json:"time"`  // log time of the decision; of a sale that changed alone, of the batch

	Product sale.Product `json:"product,omitempty"`
	Sale    string       `json:"sale,omitempty"`    // public id
	Request string       `json:"request,omitempty"` // public id

	// Of a request; of requests, State and Reason.
	State            sale.State  `json:"state,omitempty"`
	Reason           sale.Reason `json:"reason,omitempty"`
	Quantity         int64       `json:"quantity,omitzero"`
	RequestedAt      Instant     `json:"requested_at,omitzero"`
	First            string      `json:"first,omitempty"`  // of a duplicate: the request that counts
	HoldMs           sale.Time   `json:"hold_ms,omitzero"` // how long it lasts from its start, on the sale's clock; absent: the sale's hold_seconds
	PaymentReference string      `json:"payment_reference,omitempty"`

	// Of requests: Count of those at offsets in [From, To) of this sale. Others
	// in between have decisions of their own. Batches cut it, at any place.
	From  *sale.Offset `json:"from,omitempty"`
	To    *sale.Offset `json:"to,omitempty"`
	Count int64        `json:"count,omitzero"`

	// Of a command: its record, and why it was refused.
	Command string    `json:"command,omitempty"` // public id
	Code    sale.Code `json:"code,omitempty"`

	// Of a start: the holds decided below an offset run from At.
	Below *sale.Offset `json:"below,omitempty"`
	At    Instant      `json:"at,omitzero"`

	// Of a sale: the whole of it after the batch. Cause is then the last record
	// of the batch that changed it, and Index follows those of the decisions.
	Snapshot *SaleSnapshot `json:"snapshot,omitempty"`
}

// SaleSnapshot is the public part of a sale.
type SaleSnapshot struct {
	Sale    string       `json:"sale"` // public id
	Product sale.Product `json:"product"`
	State   sale.Stage   `json:"state"`

	Quantity              int64       `json:"quantity"`
	HoldSeconds           int64       `json:"hold_seconds"`
	MaxHoldSeconds        int64       `json:"max_hold_seconds,omitzero"`
	PerBuyerLimit         int64       `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64       `json:"max_quantity_per_request"`
	Policy                sale.Policy `json:"policy"`
	WaitlistCapacity      int64       `json:"waitlist_capacity,omitzero"`
	OpensAt               Instant     `json:"opens_at,omitzero"`
	ClosesAt              Instant     `json:"closes_at,omitzero"`
	AdmitPerSecond        int64       `json:"admit_per_second,omitzero"`
	MaxActiveHolds        int64       `json:"max_active_holds,omitzero"`
	CheckoutURL           string      `json:"checkout_url,omitempty"`

	Available  int64 `json:"available"` // units, as the next three
	Reserved   int64 `json:"reserved"`
	Held       int64 `json:"held"`
	Confirmed  int64 `json:"confirmed"`
	Waitlisted int64 `json:"waitlisted"` // requests, as all below
	Parked     int64 `json:"parked"`
	Requests   int64 `json:"requests"`
	SoldOut    int64 `json:"sold_out"`
	Rejected   int64 `json:"rejected"`

	Version   int64   `json:"version"`
	CreatedAt Instant `json:"created_at"`
	OpenedAt  Instant `json:"opened_at,omitzero"`
	ClosedAt  Instant `json:"closed_at,omitzero"`
	RetiredAt Instant `json:"retired_at,omitzero"`
}

func snapshotOf(partition int32, s *sale.Sale) *SaleSnapshot {
	return &SaleSnapshot{
		Sale: publicID(partition, s.ID), Product: s.Product, State: s.Stage,
		Quantity: s.Quantity, HoldSeconds: s.HoldSeconds, MaxHoldSeconds: s.MaxHoldSeconds,
		PerBuyerLimit: s.PerBuyerLimit, MaxQuantityPerRequest: s.MaxQuantityPerRequest,
		Policy: s.Policy, WaitlistCapacity: s.WaitlistCapacity,
		OpensAt: Instant(s.OpensAt), ClosesAt: Instant(s.ClosesAt),
		AdmitPerSecond: s.AdmitPerSecond, MaxActiveHolds: s.MaxActiveHolds, CheckoutURL: s.CheckoutURL,
		Available: s.Available, Reserved: s.Reserved, Held: s.Held, Confirmed: s.Confirmed,
		Waitlisted: s.Waitlisted, Parked: s.Parked, Requests: s.Requests, SoldOut: s.SoldOut, Rejected: s.Rejected,
		Version: s.Version, CreatedAt: Instant(s.CreatedAt), OpenedAt: Instant(s.OpenedAt), ClosedAt: Instant(s.ClosedAt),
		RetiredAt: Instant(s.RetiredAt),
	}
}

// Instant is a log time, written as RFC 3339 in UTC with milliseconds. The
// topic of decisions is for other systems; the log itself has milliseconds.
type Instant sale.Time

// The years that RFC 3339 has.
const (
	firstInstant Instant = -62_167_219_200_000 // 0000-01-01T00:00:00.000Z
	lastInstant  Instant = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z
)

// Time gives the instant in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// String gives the instant as it is written.
func (i Instant) String() string {
	text, _ := i.AppendText(nil) // which never fails
	return string(text)
}

// AppendText implements [encoding.TextAppender]. An instant beyond the years
// that can be written is written as the last or the first of them.
func (i Instant) AppendText(to []byte) ([]byte, error) {
	return min(max(i, firstInstant), lastInstant).Time().AppendFormat(to, "2006-01-02T15:04:05.000Z"), nil
}

// MarshalText implements [encoding.TextMarshaler].
func (i Instant) MarshalText() ([]byte, error) { return i.AppendText(nil) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (i *Instant) UnmarshalText(text []byte) error {
	read, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("reading a time: %w", err)
	}
	*i = Instant(read.UnixMilli())
	return nil
}

// DecodeDecision reads a value of the topic of decisions. Unknown members are
// let pass: the topic may be newer than its reader.
func DecodeDecision(value []byte) (*Decision, error) {
	d := new(Decision)
	if err := json.Unmarshal(value, d); err != nil {
		return nil, fmt.Errorf("decoding a decision: %w", err)
	}
	return d, nil
}
