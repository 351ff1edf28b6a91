package export

import (
	"fmt"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// inWords says in a sentence what was decided.
func inWords(partition int32, d *sale.Decision, body sale.Body) string {
	name := func(offset sale.Offset) string {
		if offset < 0 {
			return "nobody"
		}
		return ticket.PublicID(partition, int64(offset))
	}
	switch d.Kind {
	case sale.OfRequest:
		return requestInWords(d, name)
	case sale.OfCommand:
		c := &d.Result
		text := recordType(body)
		if actor, why := operatorOf(body); actor != "" || why != "" {
			text += fmt.Sprintf(" by %q (%q)", actor, why)
		}
		switch {
		case c.Request >= 0:
			text += " of request " + name(c.Request)
		case c.Sale >= 0:
			text += " of sale " + name(c.Sale)
		}
		if c.Code == sale.CodeDone {
			return text + ": done, or so already"
		}
		return text + ": refused, " + string(c.Code)
	case sale.OfStart:
		return fmt.Sprintf("The clocks of holds decided below offset %d begin to run.", d.Start.Below)
	}
	return ""
}

func requestInWords(d *sale.Decision, name func(sale.Offset) string) string {
	r := &d.Request
	who := "Request " + name(r.Offset)
	switch r.State {
	case sale.Queued:
		return who + " is kept until its sale goes on."
	case sale.Held:
		if r.HeldSince != d.Cause {
			return fmt.Sprintf("%s: its hold lasts %v s from its start now.", who, float64(r.HoldFor)/1000)
		}
		return fmt.Sprintf("%s gets a hold of %s.", who, unitsOf(r.Quantity))
	case sale.Reserved:
		return fmt.Sprintf("%s has %s set aside, until its checkout window opens.", who, unitsOf(r.Quantity))
	case sale.Waitlisted:
		return fmt.Sprintf("%s waits for %s to come back.", who, unitsOf(r.Quantity))
	case sale.SoldOut:
		if r.Reason == sale.ReasonClosed {
			return who + " has waited in vain: its sale is over."
		}
		return who + " is told that the sale is sold out."
	case sale.Rejected:
		if r.First >= 0 {
			return fmt.Sprintf("%s is rejected: its buyer has request %s.", who, name(r.First))
		}
		return fmt.Sprintf("%s is rejected: %s.", who, r.Reason)
	case sale.Released:
		if r.Reason == sale.ReasonShopper {
			return who + " leaves, as its shopper wishes."
		}
		return who + " is released by the shop."
	case sale.Confirmed:
		return fmt.Sprintf("%s is paid for: %s sold.", who, unitsOf(r.Quantity))
	case sale.Expired:
		return who + " has let its hold run out."
	case sale.Returned:
		return fmt.Sprintf("%s is returned: %s free again.", who, unitsOf(r.Quantity))
	}
	return who
}

func unitsOf(quantity int64) string {
	if quantity == 1 {
		return "1 unit"
	}
	return fmt.Sprintf("%d units", quantity)
}
