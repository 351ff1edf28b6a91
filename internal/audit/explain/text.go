package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// Text tells the story in plain words, one line for each thing that happened.
// What others wrote is in quotes, without what a terminal would obey.
func (s *Story) Text() string {
	t := &storyText{Story: s}
	t.line("Request %s: %s.", s.ID, t.standing())
	t.line("")
	t.asked()
	t.line("")
	for i := range s.Events {
		e := &s.Events[i]
		t.line("%s  offset %d  %s", e.Time, e.Offset, t.happened(e))
	}
	if s.Unheard > 0 {
		t.line("%d more commands about it changed nothing.", s.Unheard)
	}
	t.line("")
	t.line("Why: %s", t.why())
	if s.From > 0 {
		t.line("The log does not have what was before offset %d, which may be when the last unit went.", s.From)
	}
	if s.First != nil {
		t.line("")
		t.line("The request that counts for this buyer:")
		t.line("")
		t.WriteString(s.First.Text())
	}
	return t.String()
}

type storyText struct {
	strings.Builder
	*Story
}

func (t *storyText) line(format string, values ...any) {
	fmt.Fprintf(t, format, values...)
	t.WriteByte('\n')
}

func (t *storyText) id(offset sale.Offset) string { return ticket.PublicID(t.Partition, int64(offset)) }

// standing says what the request has come to, in a few words.
func (t *storyText) standing() string {
	switch t.State {
	case sale.Queued:
		return "kept until its sale, which is paused, goes on"
	case sale.Waitlisted:
		return "waits for a unit, " + placeText(t.Place)
	case sale.Reserved:
		return "has its units, and waits for its checkout window, " + placeText(t.Place)
	case sale.Held:
		switch {
		case t.Ends != 0:
		case t.has(HasStarted):
			return "held; its sale is paused, and the hold's clock stands still"
		default:
			return "held; the hold's time begins with a tick that is still to come"
		}
		return fmt.Sprintf("held until %s", t.Ends)
	case sale.Rejected:
		return fmt.Sprintf("rejected (%s)", t.Reason)
	case sale.SoldOut:
		return "sold out"
	case sale.Confirmed, sale.Expired, sale.Released, sale.Returned:
	}
	return string(t.State)
}

// has reports whether something of a kind happened.
func (t *storyText) has(kind Happening) bool {
	return slices.ContainsFunc(t.Events, func(e Event) bool { return e.Kind == kind })
}

// asked says what the request was for, and what came before it.
func (t *storyText) asked() {
	switch {
	case t.Reason == sale.ReasonMalformed:
		t.line("The record at offset %d of partition %d cannot be read as a request. It stays in the log and is counted.", t.Offset, t.Partition)
	case t.Terms == nil && t.Reason == sale.ReasonUnknownSale:
		t.line("It asked for %s of %s, in a sale that was not the product's current one.", many(t.Quantity, "unit"), t.Product)
	case t.Terms == nil:
		t.line("It asked for %s of %s.", many(t.Quantity, "unit"), t.Product)
	default:
		t.line("It asked for %s of %s, in sale %s.", many(t.Quantity, "unit"), t.Product, t.id(t.Terms.Sale))
	}
	if t.Leased {
		t.line("The gate had let it in.")
	}
	before := fmt.Sprintf("Before it came %s of its partition", many(t.RecordsBefore, "record"))
	if t.Reason != sale.ReasonMalformed && t.Reason != sale.ReasonUnknownSale {
		before += fmt.Sprintf(" and %s of its sale", many(t.RequestsBefore, "request"))
	}
	t.line("%s.", before)
	if t.Terms != nil {
		t.line("Its sale: %s.", t.Terms.text())
	}
	if t.Turn != nil {
		t.line("%s.", t.Turn.text(t))
	}
	if last := t.LastUnit; last != nil {
		what := "The last unit that it could have had went to request " + t.id(last.Request)
		if last.Request == 0 {
			what = "An operator took the last unit that it could have had off the sale"
		}
		t.line("%s, at offset %d, %s; %s left.", what, last.Offset, last.Time, are(last.Available))
	}
}

func (o *Terms) text() string {
	parts := []string{"policy " + string(o.Policy)}
	if o.Policy == sale.PolicyWaitlist {
		parts[0] += fmt.Sprintf(" with %s", many(o.WaitlistCapacity, "place"))
	}
	parts = append(parts, many(o.Quantity, "unit"), fmt.Sprintf("holds of %d s", o.HoldSeconds))
	if o.MaxHoldSeconds > o.HoldSeconds {
		parts[2] += fmt.Sprintf(", %d s with extensions", o.MaxHoldSeconds)
	}
	parts = append(parts, fmt.Sprintf("at most %d per buyer and %d per request", o.PerBuyerLimit, o.MaxQuantityPerRequest))
	if o.AdmitPerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%s a second", many(o.AdmitPerSecond, "checkout window")))
	}
	if o.MaxActiveHolds > 0 {
		parts = append(parts, fmt.Sprintf("at most %d held at once", o.MaxActiveHolds))
	}
	return strings.Join(parts, "; ")
}

func (u *Turn) text(t *storyText) string {
	when := "When its turn came"
	if u.Offset != t.Offset {
		when += fmt.Sprintf(", at offset %d, %s,", u.Offset, u.Time)
	}
	text := fmt.Sprintf("%s %s available, %d could still be sold, and %s", when, are(u.Available), u.MayYetSell, waiting(u.Waiting))
	if u.KeptFor != 0 {
		text += fmt.Sprintf("; what was left was kept for request %s, which came before and waits for more", t.id(u.KeptFor))
	}
	return text
}

// happened tells one event.
func (t *storyText) happened(e *Event) string {
	switch e.Kind {
	case HasArrived:
		text := "It was appended to the log."
		if t.Accepted != 0 {
			text = fmt.Sprintf("It was appended to the log; the ingress had accepted it at %s.", t.Accepted)
		}
		return text
	case WasParked:
		return "Its sale was paused: it was kept, in its place, until the sale goes on."
	case WasWaitlisted:
		return fmt.Sprintf("It began to wait for a unit, %s.", placeText(e.Place))
	case WasReserved:
		return fmt.Sprintf("Its units were set aside; its checkout window opens later, %s.%s", placeText(e.Place), t.freed(e.Freed))
	case WasHeld:
		if e.Window {
			return "Its checkout window opened: its hold was decided."
		}
		return "It got its units: its hold was decided." + t.freed(e.Freed)
	case HasStarted:
		return fmt.Sprintf("Its hold began to run,%s: this tick says that its shopper could know.", until(e.Ends))
	case WasExtended:
		if e.Ends == 0 {
			return fmt.Sprintf("The shop extended its hold to %d s from then on, or as long as its sale lets it; it had not begun to run, or its sale was paused.", e.Seconds)
		}
		return fmt.Sprintf("The shop extended its hold to %d s from then on, or as long as its sale lets it: it runs%s.", e.Seconds, until(e.Ends))
	case HasPaused:
		return "Its sale was paused" + by(e) + "."
	case HasResumed:
		text := "Its sale went on" + by(e)
		if e.Ends != 0 {
			text += fmt.Sprintf("; its hold, whose clock had stood still, runs%s", until(e.Ends))
		}
		return text + "."
	case HasClosed:
		return "Its sale was closed" + by(e) + "."
	case WasConfirmed:
		return fmt.Sprintf("It was confirmed as paid, with reference %q: sold.", e.Payment)
	case HasExpired:
		return fmt.Sprintf("Its hold had run out at %s; this record was the first from then on. Its units went back.", e.Ends)
	case WasReleased:
		if e.Reason == sale.ReasonShopper {
			return "Its shopper gave it up."
		}
		return "The shop released it."
	case WasReturned:
		return "It was returned, after it had been paid for: its units went back."
	case WasSoldOut:
		if e.Reason == sale.ReasonClosed {
			return "It was told sold out: its sale ended while it waited."
		}
		return "It was told sold out."
	case WasRejected:
		return fmt.Sprintf("It was rejected: %s.", e.Reason)
	case WasNamed:
		return t.commanded(e)
	}
	return string(e.Kind)
}

// commanded tells of a command that changed nothing.
func (t *storyText) commanded(e *Event) string {
	what := map[string]string{
		"confirm": fmt.Sprintf("The shop asked to confirm it with reference %q", e.Payment),
		"extend":  fmt.Sprintf("The shop asked to extend its hold to %d s from then on", e.Seconds),
		"release": "It was asked to be released", "return": "The shop asked to return it",
	}[e.Command]
	if e.Product != "" {
		what += fmt.Sprintf(", as one of %s", e.Product)
	}
	switch e.Code {
	case sale.CodeDone:
		return what + ": that was so already."
	case sale.CodeHoldExpired:
		return what + ": too late, its hold had run out (hold_expired)."
	case sale.CodeNotHeld:
		return what + ": refused, it was not held then (not_held)."
	case sale.CodeOtherPayment:
		return what + ": refused, it was confirmed with another reference (other_payment)."
	case sale.CodeHoldLimit:
		return what + ": refused, it lasted as long as the sale lets it (hold_limit)."
	case sale.CodeNotConfirmed:
		return what + ": refused, it was not sold then (not_confirmed)."
	case sale.CodeSaleRetired:
		return what + ": refused, its sale had been over for 30 days (sale_retired)."
	case sale.CodeAlreadyOpen, sale.CodeInvalid, sale.CodeUnknownSale, sale.CodeStaleVersion,
		sale.CodeQuantityInUse, sale.CodeSaleClosed, sale.CodeNotOpen:
	}
	return fmt.Sprintf("%s: refused (%s).", what, e.Code)
}

// freed says where units came from.
func (t *storyText) freed(from []Freed) string {
	if len(from) == 0 {
		return ""
	}
	parts := make([]string, len(from))
	for i, f := range from {
		units := many(f.Units, "unit")
		switch f.How {
		case FreedExpired:
			parts[i] = fmt.Sprintf("%s by offset %d, when the hold of %s ran out", units, f.Offset, t.id(f.Request))
		case FreedReleased:
			parts[i] = fmt.Sprintf("%s by offset %d, when %s was released", units, f.Offset, t.id(f.Request))
		case FreedReturned:
			parts[i] = fmt.Sprintf("%s by offset %d, when %s was returned", units, f.Offset, t.id(f.Request))
		case FreedRaised:
			parts[i] = fmt.Sprintf("%s by offset %d, when an operator put more on sale", units, f.Offset)
		case FreedBefore:
			parts[i] = fmt.Sprintf("%s that had been there since before it waited", units)
		}
	}
	return " Freed: " + strings.Join(parts, "; ") + "."
}

func by(e *Event) string {
	text := ""
	if e.Actor != "" {
		text += " by " + strconv.QuoteToASCII(e.Actor)
	}
	if e.Why != "" {
		text += ", reason " + strconv.QuoteToASCII(e.Why)
	}
	return text
}

func until(m event.Instant) string {
	if m == 0 {
		return ""
	}
	return " until " + m.String()
}

func placeText(place *int64) string {
	switch {
	case place == nil:
		return "in its place"
	case *place == 0:
		return "as the next one"
	}
	return fmt.Sprintf("with %d before it", *place)
}

func many(n int64, of string) string {
	if n != 1 {
		of += "s"
	}
	return fmt.Sprintf("%d %s", n, of)
}

func are(units int64) string {
	if units == 1 {
		return "1 unit was"
	}
	return fmt.Sprintf("%d units were", units)
}

func waiting(requests int64) string {
	if requests == 1 {
		return "1 request waited"
	}
	return fmt.Sprintf("%d requests waited", requests)
}
