package sale

// State is where a request stands.
type State string

// The states of a request. A request that is in the log and undecided is
// Queued; the core itself only ever decides the others.
const (
	Queued     State = "queued"
	Held       State = "held"
	Reserved   State = "reserved"
	Waitlisted State = "waitlisted"
	SoldOut    State = "sold_out"
	Rejected   State = "rejected"
	Released   State = "released"
	Confirmed  State = "confirmed"
	Expired    State = "expired"
	Returned   State = "returned"
)

// transitions holds every step that a request may take.
var transitions = map[State][]State{
	Queued:     {Held, Reserved, Waitlisted, SoldOut, Rejected, Released},
	Waitlisted: {Held, Reserved, Released, SoldOut},
	Reserved:   {Held, Released},
	Held:       {Confirmed, Expired, Released},
	Confirmed:  {Returned},
}

// CanBecome reports whether a request may go from s to next.
func (s State) CanBecome(next State) bool {
	for _, to := range transitions[s] {
		if to == next {
			return true
		}
	}
	return false
}

// Final reports whether nothing can change a request in state s any more.
func (s State) Final() bool { return s != "" && len(transitions[s]) == 0 }

// Live reports whether a request in state s still has, or may yet get, a unit
// that it has not paid for.
func (s State) Live() bool {
	switch s {
	case Queued, Held, Reserved, Waitlisted:
		return true
	case SoldOut, Rejected, Released, Confirmed, Expired, Returned:
		return false
	}
	return false
}

// Reason is the code that says why a request or a command was refused, or who
// ended it.
type Reason string

// Reasons of requests.
const (
	ReasonSoldOut         Reason = "sold_out"         // no unit was left at its place in the line
	ReasonDuplicate       Reason = "duplicate"        // the buyer has a live request in this sale: Request.First
	ReasonBuyerLimit      Reason = "buyer_limit"      // the buyer would have more units than the sale allows
	ReasonInvalidQuantity Reason = "invalid_quantity" // below 1, or above what one request may ask for
	ReasonUnknownSale     Reason = "unknown_sale"     // the sale named is not the product's current one
	ReasonMalformed       Reason = "malformed"        // the record could not be read
	ReasonShopper         Reason = "by_shopper"       // released by its buyer
	ReasonMerchant        Reason = "by_merchant"      // released by the shop
	ReasonNotOpen         Reason = "not_open"         // its sale had not opened
	ReasonClosed          Reason = "closed"           // its sale was over
)

// Request is a request that is not the sale's default: what its row holds.
type Request struct {
	Offset     Offset  `json:"request"`
	Sale       Offset  `json:"sale"` // None where it named no sale of this partition
	Product    Product `json:"product,omitempty"`
	Buyer      Buyer   `json:"buyer,omitempty"`
	Quantity   int64   `json:"quantity"`
	AcceptedAt Time    `json:"accepted_at"` // the ingress's clock
	State      State   `json:"state"`
	Reason     Reason  `json:"reason,omitempty"`
	First      Offset  `json:"first"`             // for a duplicate, the request that counts; else None
	Granted    Offset  `json:"granted,omitzero"`  // the offset that set its units aside, where its checkout window opens later
	HeldSince  Offset  `json:"held_since"`        // the offset that decided its hold; None before
	HoldFor    Time    `json:"hold_for,omitzero"` // how long its hold lasts, in ms on the sale's clock; 0 is its sale's hold_seconds
	Payment    string  `json:"payment,omitempty"` // the reference it was confirmed with
	Cause      Offset  `json:"cause"`             // the record that caused its latest decision
	DecidedAt  Time    `json:"decided_at"`        // log time of that decision
}
