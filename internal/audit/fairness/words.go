package fairness

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// verdict says in a sentence whether those who came first were served first.
func (o *Order) verdict() string {
	switch {
	case o.Grants == 0:
		return "Nobody got a unit, so nobody was preferred."
	case o.Inversions == 0:
		return fmt.Sprintf("First come, first served: no inversion among %s.", many(o.Grants, "grant"))
	}
	return fmt.Sprintf("Not in order: %s among %s.", many(o.Inversions, "inversion"), many(o.Grants, "grant"))
}

// passedOverText says who was passed over without an inversion.
func (o *Order) passedOverText() string {
	return fmt.Sprintf("%s passed over because they asked for more than could come back", manyWere(o.PassedOver, "request"))
}

func (o *Order) afterSoldOutText() string {
	return fmt.Sprintf("%s to later requests after an earlier one had been told sold_out; in %s of them the earlier one had asked for no more",
		many(o.AfterSoldOut, "grant"), grouped(o.AfterSoldOutForNoMore))
}

// words says what an inversion was.
func (i *Inversion) words() string {
	return fmt.Sprintf("record %d, decision %d, %s: request %d got %s while request %d waited for %d (%s passed over)",
		i.Cause, i.Index, i.Time, i.Request, many(i.Quantity, "unit"), i.Earlier, i.EarlierQuantity, manyWere(i.PassedOver, "request"))
}

// words says what an action changed.
func (a *Action) words() string {
	parts := make([]string, len(a.Changes))
	for i, c := range a.Changes {
		parts[i] = fmt.Sprintf("%s %s → %s", c.Setting, legible(c.From), legible(c.To))
	}
	return strings.Join(parts, ", ")
}

// negativeText says what is not among the times, or nothing.
func (t *Times) negativeText() string {
	if t.Negative == 0 {
		return ""
	}
	return fmt.Sprintf("%s apart: negative, so the two clocks differ", manyWere(t.Negative, "request"))
}

func sinceOpening(ms *int64) string {
	if ms == nil {
		return "never"
	}
	return "after " + durationText(*ms)
}

// durationText gives a duration in two units at most.
func durationText(ms int64) string {
	two := func(of, unit int64, name, rest string, part int64) string {
		text := grouped(of/unit) + " " + name
		if left := of % unit / part; left > 0 {
			text += fmt.Sprintf(" %d %s", left, rest)
		}
		return text
	}
	switch {
	case ms < second:
		return fmt.Sprintf("%d ms", ms)
	case ms < minute:
		return strconv.FormatFloat(float64(ms)/second, 'f', -1, 64) + " s"
	case ms < hour:
		return two(ms, minute, "min", "s", second)
	case ms < day:
		return two(ms, hour, "h", "min", minute)
	}
	return two(ms, day, "d", "h", hour)
}

// words names a bin.
func (b *Bin) words() string {
	switch {
	case b.To == 0:
		return durationText(b.From) + " or more"
	case b.From == 0:
		return "under " + durationText(b.To)
	}
	from, to := durationText(b.From), durationText(b.To)
	if unit := to[strings.LastIndexByte(to, ' '):]; strings.HasSuffix(from, unit) {
		from = strings.TrimSuffix(from, unit)
	}
	return from + " to " + to
}

func percent(of float64) string { return strconv.FormatFloat(100*of, 'f', 1, 64) + " %" }

func many(n int64, of string) string {
	if n != 1 {
		of += "s"
	}
	return grouped(n) + " " + of
}

func manyWere(n int64, of string) string {
	if n == 1 {
		return many(n, of) + " was"
	}
	return many(n, of) + " were"
}

// grouped gives a number with its thousands apart.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// legible gives text of others without what a terminal would obey.
func legible(from string) string {
	if !strings.ContainsFunc(from, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return from
	}
	quoted := strconv.Quote(from)
	return quoted[1 : len(quoted)-1]
}

func whenText(i event.Instant, never string) string {
	if i == 0 {
		return never
	}
	return i.String()
}

// outcomeText names a state for readers.
func outcomeText(s sale.State) string {
	switch s {
	case sale.Queued:
		return "kept by a pause"
	case sale.SoldOut:
		return "sold out"
	case sale.Held, sale.Reserved, sale.Waitlisted, sale.Rejected, sale.Released, sale.Confirmed, sale.Expired, sale.Returned:
	}
	return string(s)
}
