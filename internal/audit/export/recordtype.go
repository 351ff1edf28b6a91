package export

import "github.com/anteroomhq/anteroom/pkg/sale"

// recordType names what a record says, as its member "type" does.
func recordType(body sale.Body) string {
	switch body.(type) {
	case sale.Buy:
		return "buy"
	case sale.Confirm:
		return "confirm"
	case sale.Extend:
		return "extend"
	case sale.Release:
		return "release"
	case sale.Return:
		return "return"
	case sale.Create:
		return "sale.create"
	case sale.Update:
		return "sale.update"
	case sale.Pause:
		return "sale.pause"
	case sale.Resume:
		return "sale.resume"
	case sale.Close:
		return "sale.close"
	case sale.Tick:
		return "tick"
	case sale.Schema:
		return "schema"
	}
	return "malformed"
}

// operatorOf gives who appended an operator's record, and why.
func operatorOf(body sale.Body) (actor, reason string) {
	switch b := body.(type) {
	case sale.Create:
		return b.Actor, b.Reason
	case sale.Update:
		return b.Actor, b.Reason
	case sale.Pause:
		return b.Actor, b.Reason
	case sale.Resume:
		return b.Actor, b.Reason
	case sale.Close:
		return b.Actor, b.Reason
	}
	return "", ""
}
