package explain

import (
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Story is what became of one request, and why. Offsets are of its partition.
type Story struct {
	ID        string        `json:"id"`
	Partition int32         `json:"partition"`
	Offset    sale.Offset   `json:"offset"`
	Product   sale.Product  `json:"product,omitzero"`
	Quantity  int64         `json:"quantity"`
	Named     sale.Offset   `json:"sale_named"`           // the sale that it asked in
	Buyer     sale.Buyer    `json:"buyer,omitzero"`       // a pseudonym
	Accepted  event.Instant `json:"accepted_at,omitzero"` // by the ingress, on its clock
	Appended  event.Instant `json:"appended_at"`          // by the broker's clock
	Leased    bool          `json:"leased,omitzero"`      // the gate had let it in

	// How many came before it: records of its partition, requests of its sale.
	RecordsBefore  int64 `json:"records_before"`
	RequestsBefore int64 `json:"requests_before"`

	Terms    *Terms    `json:"sale,omitzero"` // nil where it named no sale that its product had then
	Turn     *Turn     `json:"turn,omitzero"` // nil while it has not had one
	LastUnit *LastUnit `json:"last_unit,omitzero"`
	Events   []Event   `json:"events"`
	// Unheard is how many commands that changed nothing are not among Events,
	// which have the first ones.
	Unheard int64 `json:"unheard,omitzero"`

	// What it has come to.
	State   sale.State    `json:"state"`
	Reason  sale.Reason   `json:"reason,omitzero"`
	Final   bool          `json:"final"`
	Place   *int64        `json:"place,omitzero"`        // where it waits now; 0 is next
	Ends    event.Instant `json:"hold_ends,omitzero"`    // of a hold that runs
	FirstID string        `json:"duplicate_of,omitzero"` // of a duplicate: the request that counts
	First   *Story        `json:"first,omitzero"`        // that request's
	From    sale.Offset   `json:"known_from,omitzero"`   // what was before this record the log does not have any more
	Until   sale.Offset   `json:"known_until"`           // the first record that was not looked at
	Now     event.Instant `json:"log_time"`              // of the last one that was
}

// Terms are a sale's as they were when a request's turn came.
type Terms struct {
	Sale          sale.Offset `json:"sale"`
	Rules         int         `json:"rules"`
	Stage         sale.Stage  `json:"stage"` // and ClosedAt: at the request's last change
	sale.Settings `json:",inline"`
	OpensAt       event.Instant `json:"opens_at,omitzero"`
	ClosesAt      event.Instant `json:"closes_at,omitzero"`
	ClosedAt      event.Instant `json:"closed_at,omitzero"`
}

// Turn is how things stood when a request was decided, before it was.
type Turn struct {
	Offset     sale.Offset   `json:"offset"` // the record that decided it: its own, or the end of a pause
	Time       event.Instant `json:"time"`
	Available  int64         `json:"available"`         // units
	MayYetSell int64         `json:"may_yet_sell"`      // units that were left or could come back by themselves
	Waiting    int64         `json:"waiting"`           // requests on the waitlist
	Bought     int64         `json:"buyer_had"`         // units that its buyer had bought in this sale
	KeptFor    sale.Offset   `json:"kept_for,omitzero"` // the request that what was left was kept for; 0 is none
}

// LastUnit is how what was available came to be less than a request asked for.
type LastUnit struct {
	Offset    sale.Offset   `json:"offset"` // the record that did it
	Time      event.Instant `json:"time"`
	Request   sale.Offset   `json:"request,omitzero"` // who got it; 0: nobody, an operator took units off the sale
	Available int64         `json:"available"`        // what it left
}

// Happening is the kind of an event.
type Happening string

// What happens to a request.
const (
	HasArrived    Happening = "appended"
	WasParked     Happening = "parked"     // kept until the end of a pause
	WasWaitlisted Happening = "waitlisted" // Place
	WasReserved   Happening = "reserved"   // its units were set aside, its checkout window opens later: Place, Freed
	WasHeld       Happening = "held"       // Freed, or Window
	HasStarted    Happening = "started"    // its hold began to run: Ends
	WasExtended   Happening = "extended"   // Seconds, Ends
	HasPaused     Happening = "paused"     // its sale did: Actor, Why
	HasResumed    Happening = "resumed"    // its sale did: Actor, Why, Ends
	HasClosed     Happening = "closed"     // its sale did: Actor, Why
	WasConfirmed  Happening = "confirmed"  // Payment
	HasExpired    Happening = "expired"    // Ends
	WasReleased   Happening = "released"   // Reason says by whom
	WasReturned   Happening = "returned"
	WasSoldOut    Happening = "sold_out" // Reason
	WasRejected   Happening = "rejected" // Reason
	WasNamed      Happening = "command"  // a command about it changed nothing: Command, Code
)

// Event is one thing that happened to a request.
type Event struct {
	Offset sale.Offset   `json:"offset"` // the record that caused it
	Time   event.Instant `json:"time"`   // log time then
	Kind   Happening     `json:"kind"`

	Place   *int64        `json:"place,omitzero"` // how many were before it; 0 is next
	Freed   []Freed       `json:"freed,omitempty"`
	Ends    event.Instant `json:"ends,omitzero"`   // of its hold, unless something else happens
	Window  bool          `json:"window,omitzero"` // its units were set aside before
	Seconds int64         `json:"seconds,omitzero"`
	Reason  sale.Reason   `json:"reason,omitzero"`
	Payment string        `json:"payment_reference,omitzero"`
	Actor   string        `json:"actor,omitzero"`
	Why     string        `json:"why,omitzero"`
	Command string        `json:"command,omitzero"`
	Code    sale.Code     `json:"code,omitzero"`
	Product sale.Product  `json:"product,omitzero"` // that the command named, where it was another one
}

// Freed is where units came from that were given to one who waited. Units are
// all alike; those that were free first are taken to be given first.
type Freed struct {
	Offset  sale.Offset   `json:"offset"` // the record that freed them
	Time    event.Instant `json:"time"`
	How     FreedHow      `json:"how"`
	Request sale.Offset   `json:"request,omitzero"` // that had them before; 0: none
	Units   int64         `json:"units"`
}

// FreedHow says how units became free.
type FreedHow string

// How units become free.
const (
	FreedExpired  FreedHow = "expired"
	FreedReleased FreedHow = "released"
	FreedReturned FreedHow = "returned"
	FreedRaised   FreedHow = "raised" // the sale's quantity was
	FreedBefore   FreedHow = "before" // they were there when it began to wait
)
