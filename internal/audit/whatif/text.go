package whatif

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Text shows both outcomes side by side, and says what cannot be known.
func (c *Comparison) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Sale %s of %s: as it was, and as it would have been with other settings.\n\n", c.Sale, c.Product)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, was, would any) { fmt.Fprintf(table, "%s\t%v\t%v\n", name, was, would) }
	row("", "WAS", "WOULD")
	c.settings(row)
	row("units", c.Was.Quantity, c.Would.Quantity)
	row("  sold", c.Was.Confirmed, c.Would.Confirmed)
	row("  held or reserved", c.Was.Held+c.Was.Reserved, c.Would.Held+c.Would.Reserved)
	row("  unsold", c.Was.Available, c.Would.Available)
	row("fill rate", percent(c.Was.FillRate), percent(c.Would.FillRate))
	row("requests", c.Requests, c.Requests)
	for _, end := range c.ends() {
		row("  "+end.String(), c.Was.of(end), c.Would.of(end))
	}
	row("given units at some time", c.Was.Granted, c.Would.Granted)
	row("  after waiting", c.Was.Waits.Requests, c.Would.Waits.Requests)
	row("  waited, mean", seconds(c.Was.Waits.Mean()), seconds(c.Would.Waits.Mean()))
	row("  waited, longest", seconds(c.Was.Waits.Longest), seconds(c.Would.Waits.Longest))
	_ = table.Flush() // a strings.Builder takes everything
	b.WriteByte('\n')
	c.differences(&b)
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "%s\n", note)
	}
	b.WriteString("\nWhat this cannot know:\n")
	for _, unknown := range c.CannotKnow {
		fmt.Fprintf(&b, "- %s\n", unknown)
	}
	if c.OnlyWould > 0 {
		fmt.Fprintf(&b, "%s units with the other settings alone.\n", plural(c.OnlyWould, "request gets", "requests get"))
	}
	return b.String()
}

// settings shows those that differ.
func (c *Comparison) settings(row func(name string, was, would any)) {
	was, would := &c.Was.CreatedWith, &c.Would.CreatedWith
	for _, setting := range []struct {
		name       string
		was, would any
	}{
		{"rules", c.Was.Rules, c.Would.Rules},
		{"quantity, when created", was.Quantity, would.Quantity},
		{"policy", was.Policy, would.Policy},
		{"waitlist capacity", was.WaitlistCapacity, would.WaitlistCapacity},
		{"hold seconds", was.HoldSeconds, would.HoldSeconds},
		{"max hold seconds", was.MaxHoldSeconds, would.MaxHoldSeconds},
		{"per-buyer limit", was.PerBuyerLimit, would.PerBuyerLimit},
		{"max quantity per request", was.MaxQuantityPerRequest, would.MaxQuantityPerRequest},
		{"admit per second", was.AdmitPerSecond, would.AdmitPerSecond},
		{"max active holds", was.MaxActiveHolds, would.MaxActiveHolds},
		{"opens at", atOnce(was.OpensAt), atOnce(would.OpensAt)},
		{"closes at", never(was.ClosesAt), never(would.ClosesAt)},
	} {
		if setting.was != setting.would {
			row(setting.name, setting.was, setting.would)
		}
	}
}

// differences says where the two part, and who ends otherwise.
func (c *Comparison) differences(b *strings.Builder) {
	if c.Parts == nil {
		b.WriteString("Every record is decided in the same way.\n")
		return
	}
	fmt.Fprintf(b, "The first record that is decided otherwise is at offset %d.\n", *c.Parts)
	fmt.Fprintf(b, "%s otherwise.\n", plural(c.Otherwise, "request ends", "requests end"))
	for _, d := range c.First {
		fmt.Fprintf(b, "  %s was %s, would be %s\n", d.Request, d.Was, d.Would)
	}
	if rest := c.Otherwise - int64(len(c.First)); rest > 0 {
		fmt.Fprintf(b, "  and %d more\n", rest)
	}
	if c.Commands > 0 {
		fmt.Fprintf(b, "%s another result; confirmations among them that would be refused: %d.\n", plural(c.Commands, "command has", "commands have"), c.Unpaid)
	}
}

// ends gives what requests came to in either.
func (c *Comparison) ends() []End {
	both := Outcome{}
	for _, counts := range [][]Count{c.Was.Counts, c.Would.Counts} {
		for _, count := range counts {
			both.count(End{count.State, count.Reason})
		}
	}
	ends := make([]End, len(both.Counts))
	for i, count := range both.Counts {
		ends[i] = End{count.State, count.Reason}
	}
	return ends
}

func (o *Outcome) of(end End) int64 {
	for _, count := range o.Counts {
		if (End{count.State, count.Reason}) == end {
			return count.Requests
		}
	}
	return 0
}

func plural(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func seconds(ms sale.Time) string { return fmt.Sprintf("%.3f s", float64(ms)/1000) }

func atOnce(at sale.Time) string {
	if at == 0 {
		return "at once"
	}
	return event.Instant(at).String()
}

func never(at sale.Time) string {
	if at == 0 {
		return "never"
	}
	return event.Instant(at).String()
}
