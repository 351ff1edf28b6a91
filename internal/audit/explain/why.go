package explain

import (
	"fmt"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// why says why the request has the answer that it has, in words that its
// shopper understands.
func (t *storyText) why() string {
	switch t.State {
	case sale.Queued:
		return "its sale is paused. It is decided, in its place, when the sale goes on."
	case sale.Waitlisted:
		return t.whyNoUnit() + " It waits for units that come back, in the order of the line."
	case sale.Reserved:
		return t.whyUnits() + " They are set aside, and checkout windows open at the sale's pace."
	case sale.Held:
		return t.whyUnits() + " They are its own until the hold ends; paid for by then, they are sold to it."
	case sale.Confirmed:
		return "it had its units, and they were paid for in time. Only a return can change that."
	case sale.Expired:
		return "its units were not confirmed as paid before the hold's end, so they went to whoever was next."
	case sale.Released:
		if t.Reason == sale.ReasonShopper {
			return "its shopper gave its place or its units up."
		}
		return "the shop gave its place or its units up."
	case sale.Returned:
		return "what it had bought was given back."
	case sale.SoldOut, sale.Rejected:
	}
	return t.whyRefused()
}

func (t *storyText) whyUnits() string {
	if t.has(WasWaitlisted) {
		return "it waited, and was the first whom the units that were left could serve."
	}
	return "there were units for it when its turn came."
}

func (t *storyText) whyRefused() string {
	switch t.Reason {
	case sale.ReasonSoldOut:
		return t.whyNoUnit() + t.whyNoPlace()
	case sale.ReasonDuplicate:
		gone := ""
		if t.First == nil {
			gone = " The log does not have that one any more."
		}
		return fmt.Sprintf("its buyer had a request in this sale already, %s, which counts. Asking twice gives no second place.%s", t.FirstID, gone)
	case sale.ReasonBuyerLimit:
		return fmt.Sprintf("its buyer had bought %s already, and may have %d in this sale.", many(t.Turn.Bought, "unit"), t.Terms.PerBuyerLimit)
	case sale.ReasonInvalidQuantity:
		return fmt.Sprintf("it asked for %s, and one request may ask for 1 to %d.", many(t.Quantity, "unit"), t.Terms.MaxQuantityPerRequest)
	case sale.ReasonUnknownSale:
		return "the sale that it named was not the product's current one: over and followed by another, or never there."
	case sale.ReasonMalformed:
		return "the record could not be read, so nothing can be known of what was wanted."
	case sale.ReasonNotOpen:
		return fmt.Sprintf("it came before the sale opened; that was to be at %s.", t.Terms.OpensAt)
	case sale.ReasonClosed:
		if t.State == sale.SoldOut {
			return fmt.Sprintf("it waited, and no unit had come back for it when the sale was closed at %s.", t.Terms.ClosedAt)
		}
		return fmt.Sprintf("the sale was over: closed at %s.", t.Terms.ClosedAt)
	case sale.ReasonShopper, sale.ReasonMerchant:
	}
	return string(t.Reason)
}

func (t *storyText) whyNoUnit() string {
	switch turn := t.Turn; {
	case turn == nil:
		return "no unit was left for it at its turn."
	case turn.KeptFor != 0:
		return fmt.Sprintf("what was left at its turn was kept for %s, which came before it.", t.id(turn.KeptFor))
	case turn.Available == 0:
		return "no unit was left at its turn."
	}
	return fmt.Sprintf("only %d of the %d units that it asked for were left at its turn.", t.Turn.Available, t.Quantity)
}

// whyNoPlace says why it could not wait.
func (t *storyText) whyNoPlace() string {
	switch {
	case t.Turn == nil || t.Terms == nil:
		return ""
	case t.Terms.Policy != sale.PolicyWaitlist:
		return " The sale has no waitlist."
	case t.Quantity > t.Turn.MayYetSell:
		return " So many could not come back by themselves either, so there was nothing to wait for."
	}
	return fmt.Sprintf(" The waitlist was full, with %s.", many(t.Turn.Waiting, "request"))
}
