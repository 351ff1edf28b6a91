package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/anteroomhq/anteroom/pkg/client"
)

// saleLines shows a sale as lines, one for each answer: for people who keep
// them, or for programs.
type saleLines struct {
	t    terminal
	json bool
}

// saleLine is a line for programs: the sale as the API has it, and what was
// computed.
type saleLine struct {
	At                 time.Time `json:"at"`
	client.Sale        `json:",inline"`
	DecidedPerSecond   *float64 `json:"decided_per_second,omitzero"`
	ConfirmedPerSecond *float64 `json:"confirmed_per_second,omitzero"`
}

func (l *saleLines) view(v *saleView) error {
	if l.json {
		line := saleLine{At: v.at.UTC().Truncate(time.Millisecond), Sale: v.sale}
		if v.rates != nil {
			line.DecidedPerSecond, line.ConfirmedPerSecond = &v.rates.decided, &v.rates.confirmed
		}
		return printJSONLine(l.t, &line)
	}
	s := &v.sale
	state := stateText(s)
	if v.opensIn != nil {
		state += ", " + countdown(*v.opensIn)
	}
	rate := ""
	if v.rates != nil {
		rate = fmt.Sprintf(" (%s)", perSecond(v.rates.decided))
	}
	_, err := fmt.Fprintf(l.t.out, "%s  %s  %s  available %d  reserved %d  held %d  confirmed %d  line %d  waitlisted %d  decided %d%s  version %d\n",
		timeText(v.at), s.Product, state, s.Available, s.Reserved, s.Held, s.Confirmed, s.Line, s.Waitlisted, s.Requests, rate, s.Version)
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func (l *saleLines) trouble(t *saleTrouble) error {
	if t.tries == 1 {
		fmt.Fprintf(l.t.err, "%s  no answer, asking again: %s\n", timeText(t.now), visible(t.why.Error()))
	}
	return nil
}

func (l *saleLines) recovered(t *saleTrouble) error {
	fmt.Fprintf(l.t.err, "%s  it answers again, after %s\n", timeText(t.now), t.now.Sub(t.since).Round(time.Second))
	return nil
}

// saleScreen shows a sale as one block that is written over.
type saleScreen struct {
	out   io.Writer
	width func() int // of the screen, in characters

	lines  []string // of the last view
	height int      // lines of the block on the screen
}

func (s *saleScreen) view(v *saleView) error {
	s.lines = screenOf(v, s.width()-1)
	return s.draw(s.lines)
}

func (s *saleScreen) trouble(t *saleTrouble) error {
	says := fmt.Sprintf("no answer for %s, asking again: %s", t.now.Sub(t.since).Round(time.Second), t.why)
	return s.draw(append(s.lines[:len(s.lines):len(s.lines)], "", says))
}

func (s *saleScreen) recovered(*saleTrouble) error { return nil }

// draw writes over what it drew before. No line is longer than the screen is
// wide: one that is would take two.
func (s *saleScreen) draw(lines []string) error {
	var block strings.Builder
	if s.height > 0 {
		fmt.Fprintf(&block, "\x1b[%dA", s.height) // up to the block's first line
	}
	block.WriteString("\r\x1b[J") // clear from there on
	width := max(1, s.width()-1)
	for _, line := range lines {
		if characters := []rune(visible(line)); len(characters) > width {
			line = string(characters[:width])
		} else {
			line = string(characters)
		}
		block.WriteString(line + "\n")
	}
	s.height = len(lines)
	if _, err := io.WriteString(s.out, block.String()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// screenOf gives a view as lines.
func screenOf(v *saleView, width int) []string {
	s := &v.sale
	const indent = "             "
	line := func(name, format string, values ...any) string {
		return fmt.Sprintf("  %-*s", len(indent)-2, name) + fmt.Sprintf(format, values...)
	}
	lines := []string{
		fmt.Sprintf("%s: sale %s, version %d, at %s", s.Product, s.Sale, s.Version, timeText(v.at)),
		line("state", "%s%s", stateText(s), timesOf(v)),
		line("units", "[%s] %d", unitsBar(s, min(60, width-len(indent)-len("[] 1000000000"))), s.Quantity),
		line("", "# confirmed %d   = held %d   - reserved %d   . available %d", s.Confirmed, s.Held, s.Reserved, s.Available),
		line("line", "%d undecided", s.Line),
	}
	if s.Policy == "waitlist" {
		lines = append(lines, line("waitlist", "%d of at most %d", s.Waitlisted, s.WaitlistCapacity))
	}
	if s.Parked > 0 || s.State == "paused" {
		lines = append(lines, line("parked", "%d, until it goes on", s.Parked))
	}
	decided, confirmed := "", ""
	if v.rates != nil {
		decided = ", " + perSecond(v.rates.decided)
		confirmed = ", " + perSecond(v.rates.confirmed)
	}
	lines = append(lines,
		line("decided", "%d%s; sold out %d, rejected %d", s.Requests, decided, s.SoldOut, s.Rejected),
		line("confirmed", "%d of %d%s", s.Confirmed, s.Quantity, confirmed),
	)
	if s.Stopped != "" {
		lines = append(lines, line("stopped", "%s", s.Stopped))
	}
	return lines
}

// timesOf says what a sale's clock leads to.
func timesOf(v *saleView) string {
	s := &v.sale
	switch {
	case v.opensIn != nil:
		return fmt.Sprintf(", %s, at %s", countdown(*v.opensIn), timeText(s.OpensAt))
	case s.State == "closed":
		return ", since " + timeText(s.ClosedAt)
	case !s.ClosesAt.IsZero():
		return ", closes at " + timeText(s.ClosesAt)
	}
	return ""
}

// countdown gives the time until a sale opens. It has opened when the log says
// so, which may be a moment later.
func countdown(left time.Duration) string {
	if left <= 0 {
		return "opens now"
	}
	seconds := int64((left + time.Second - 1) / time.Second)
	clock := fmt.Sprintf("%02d:%02d:%02d", seconds/3600%24, seconds/60%60, seconds%60)
	if days := seconds / (24 * 3600); days > 0 {
		clock = fmt.Sprintf("%d d %s", days, clock)
	}
	return "opens in " + clock
}

func perSecond(rate float64) string { return fmt.Sprintf("%.1f/s", rate) }

// unitsBar draws where a sale's units are. What there is has a cell at least,
// where there are enough of them.
func unitsBar(s *client.Sale, width int) string {
	parts := []struct {
		sign  string
		units int64
	}{{"#", s.Confirmed}, {"=", s.Held}, {"-", s.Reserved}, {".", s.Available}}
	total := s.Confirmed + s.Held + s.Reserved + s.Available
	if width < len(parts) || total <= 0 {
		return ""
	}
	cells, left, widest := make([]int, len(parts)), width, 0
	for i, part := range parts {
		if part.units <= 0 {
			continue
		}
		cells[i] = max(1, int(float64(part.units)/float64(total)*float64(width)))
		left -= cells[i]
		if part.units > parts[widest].units {
			widest = i
		}
	}
	cells[widest] += left // what rounding has left over or taken
	var bar strings.Builder
	for i, part := range parts {
		bar.WriteString(strings.Repeat(part.sign, cells[i]))
	}
	return bar.String()
}
