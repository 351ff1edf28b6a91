package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab"
)

// view shows a run's progress: one block that is written over on a terminal,
// a line every two seconds elsewhere.
type view struct {
	t      terminal
	buyers int
	height int // lines of the block on the screen
	last   time.Time
}

const plainInterval = 2 * time.Second

func newView(t terminal, buyers int) *view { return &view{t: t, buyers: buyers} }

func (v *view) update(p lab.Progress) {
	if !v.t.interactive {
		if time.Since(v.last) >= plainInterval {
			v.last = time.Now()
			fmt.Fprintf(v.t.err, "%3d s  clicked %d  accepted %d  refused %d  line %d  decided %d  held %d  sold %d\n",
				p.Seconds, p.Clicked, p.Accepted, p.Refused, p.Line, p.Decided, p.Held, p.Sold)
		}
		return
	}
	const width = 40
	done := int(p.Clicked) * width / v.buyers
	block := []string{
		fmt.Sprintf("  clicked  %s%s %d of %d", strings.Repeat("#", done), strings.Repeat(".", width-done), p.Clicked, v.buyers),
		fmt.Sprintf("  accepted %-10d refused %-10d line %-10d decided %d", p.Accepted, p.Refused, p.Line, p.Decided),
		fmt.Sprintf("  held     %-10d sold    %-10d %d s", p.Held, p.Sold, p.Seconds),
	}
	if v.height > 0 {
		fmt.Fprintf(v.t.err, "\x1b[%dA", v.height) // up to the block's first line
	}
	for _, line := range block {
		fmt.Fprintf(v.t.err, "\x1b[2K%s\n", line) // clear what was there
	}
	v.height = len(block)
}

func (v *view) end() { v.height = 0 }

// printReport prints the summary for people.
func printReport(t terminal, r *demoReport) error {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	row := func(name, format string, values ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, values...))
	}
	row("shoppers", "%d for %d units", r.Buyers, r.Units)
	row("answered", "%.0f clicks a second", r.AnsweredPerSecond)
	row("accepted", "%d into the line", r.Accepted)
	row("refused", "%s, at the door", counts(r.Refused))
	row("outcomes", "%s", counts(r.Outcomes))
	row("sold", "%d, oversold %d", r.Sold, r.Oversold)
	row("undecided", "%d", r.Undecided)
	row("contradictions", "%d outcomes, %d places that moved back", r.MultipleOutcomes, r.PositionRises)
	row("click to ticket", "p50 %.0f ms, p99 %.0f ms, max %.0f ms", r.AcceptMS.P50, r.AcceptMS.P99, r.AcceptMS.Max)
	row("click to outcome", "p50 %.0f ms, p99 %.0f ms, max %.0f ms, as %d streams and the rest's polls saw it", r.OutcomeMS.P50, r.OutcomeMS.P99, r.OutcomeMS.Max, r.Streams)
	row("click to refusal", "p50 %.0f ms, p99 %.0f ms, max %.0f ms, at the door", r.RefuseMS.P50, r.RefuseMS.P99, r.RefuseMS.Max)
	row("first click to last outcome", "%.1f s", r.Seconds)
	row("backends", "Kafka %s, Redis %s, Postgres %s", r.Backends["kafka"], r.Backends["redis"], r.Backends["postgres"])
	if len(r.Broken) == 0 {
		row("ledger", "agrees with what shoppers were told")
	}
	row("audit", "%s", r.Audit.line)
	for _, broken := range r.Broken {
		row("BROKEN", "%s", broken)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func counts[K cmp.Ordered](of map[K]int) string {
	if len(of) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%v %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}
