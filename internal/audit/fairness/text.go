package fairness

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for a terminal. What others have written in it
// is shown so that no terminal obeys it.
func (r *Report) WriteText(out io.Writer) error {
	t := &blocks{}
	for i := range r.Sales {
		t.sale(&r.Sales[i])
	}
	if len(r.Sales) == 0 {
		t.line("The log has no sale.")
		t.line("")
	}
	t.line("The log, topic id %s", r.Topic)
	for _, p := range r.Partitions {
		t.row("partition %d", "%s and %s below offset %d, the last at %s", p.Partition, many(p.Records, "record"), many(p.Decisions, "decision"), p.Next, p.Time)
		t.row("", "record digest %s", p.RecordDigest)
		t.row("", "decision digest %s", p.DecisionDigest)
		if p.Malformed+p.Unnamed > 0 {
			t.row("", "%s not readable; %s of no current sale", manyWere(p.Malformed, "record"), manyWere(p.Unnamed, "buy"))
		}
	}
	t.end()
	t.line("What no report from the log can know")
	for _, unseen := range r.Unseen {
		t.wrapped(unseen)
	}
	t.line("")
	t.line("How it is computed: all of it from the log alone")
	for _, d := range r.Definitions {
		t.wrapped(d.Name + ": " + d.Text)
	}
	t.end()
	if _, err := out.Write(bytes.TrimSuffix(t.out.Bytes(), []byte("\n"))); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// blocks is blocks of lines and of rows with a name.
type blocks struct {
	out  bytes.Buffer
	rows *tabwriter.Writer // of the block; nil between blocks
}

func (t *blocks) line(format string, values ...any) {
	t.flush()
	fmt.Fprintf(&t.out, format+"\n", values...)
}

// wrapped adds text in lines that fit a terminal, all but the first indented.
func (t *blocks) wrapped(text string) {
	const width = 96
	line := " "
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			t.line("%s", line)
			line = "   "
		}
		line += " " + word
	}
	t.line("%s", line)
}

// row adds a line to a block. Where the name takes values they are first.
func (t *blocks) row(name, format string, values ...any) {
	if t.rows == nil {
		t.rows = tabwriter.NewWriter(&t.out, 0, 0, 2, ' ', 0)
	}
	named := strings.Count(name, "%")
	fmt.Fprintf(t.rows, "  "+name+"\t", values[:named]...)
	fmt.Fprintf(t.rows, format+"\n", values[named:]...)
}

func (t *blocks) flush() {
	if t.rows != nil {
		t.rows.Flush()
		t.rows = nil
	}
}

// end leaves a line free.
func (t *blocks) end() { t.line("") }

func (t *blocks) sale(s *SaleReport) {
	t.line("Sale %s of %s, %s", s.Sale, legible(string(s.Product)), s.Stage)
	t.line("  %s", s.Order.verdict())
	for i := range s.Order.Listed {
		t.line("    %s", s.Order.Listed[i].words())
	}
	if more := s.Order.Inversions - int64(len(s.Order.Listed)); more > 0 {
		t.line("    and %s more", grouped(more))
	}
	t.end()
	t.row("created", "%s", s.CreatedAt)
	t.row("opened", "%s", whenText(s.OpenedAt, "not yet"))
	t.row("closed", "%s", whenText(s.ClosedAt, "not yet"))
	t.row("requests", "%s for %s by %s", grouped(s.Requests), many(s.Units, "unit"), many(s.Buyers.Buyers, "buyer"))
	t.row("", "%s refused as duplicates", manyWere(s.Duplicates, "request"))
	t.row("confirmed", "%s of %s: %s", grouped(s.Fill.Confirmed), many(s.Fill.Quantity, "unit"), percent(s.Fill.Rate))
	t.row("sold out", "%s", sinceOpening(s.Fill.SoldOut))
	t.row("all confirmed", "%s", sinceOpening(s.Fill.AllConfirmed))
	t.row("order", "%s", s.Order.passedOverText())
	t.row("", "%s", s.Order.afterSoldOutText())
	t.end()
	t.times(s)
	t.outcomes(s)
	t.events(s)
	t.settings(s)
}

func (t *blocks) times(s *SaleReport) {
	t.row("WAITED", "COUNT\tP50\tP90\tP99\tMAX\t")
	for _, of := range s.timesInOrder() {
		row := "-\t-\t-\t-"
		if of.times.Count > 0 {
			row = strings.Join([]string{durationText(of.times.P50), durationText(of.times.P90), durationText(of.times.P99), durationText(of.times.Max)}, "\t")
		}
		t.row(of.name, "%s\t%s\t%s", grouped(of.times.Count), row, of.times.negativeText())
	}
	t.end()
}

func (t *blocks) outcomes(s *SaleReport) {
	t.row("OUTCOME", "REQUESTS\tSHARE\tUNITS\tSHARE")
	for _, o := range s.Outcomes {
		t.row(outcomeText(o.State), "%s\t%s\t%s\t%s", grouped(o.Requests), percent(o.RequestShare), grouped(o.Units), percent(o.UnitShare))
	}
	t.end()
	t.row("REASON", "STATE\tREQUESTS\tUNITS")
	for _, r := range s.Reasons {
		t.row(string(r.Reason), "%s\t%s\t%s", r.State, grouped(r.Requests), grouped(r.Units))
	}
	t.end()
	t.row("REQUESTS MADE", "BUYERS")
	for _, b := range s.Buyers.Distribution {
		t.row(grouped(b.Requests), "%s", grouped(b.Buyers))
	}
	if s.Buyers.Most > 1 {
		t.row("most", "%s, by %s", grouped(s.Buyers.Most), legible(string(s.Buyers.MostBy)))
	}
	t.end()
}

func (t *blocks) events(s *SaleReport) {
	t.row("pauses", "%s, %s together; %s kept; the ends of %s moved", grouped(s.Pauses.Count), durationText(s.Pauses.Total), manyWere(s.Pauses.Parked, "request"), manyWere(s.Pauses.HoldsMoved, "hold"))
	t.row("expired", "%s, %s", many(s.Back.Expired.Requests, "hold"), many(s.Back.Expired.Units, "unit"))
	t.row("released", "%s, %s", many(s.Back.Released.Requests, "request"), many(s.Back.Released.Units, "unit"))
	t.row("returned", "%s, %s", many(s.Back.Returned.Requests, "request"), many(s.Back.Returned.Units, "unit"))
	t.row("came back", "%s in all, of which %s free", many(s.Back.Units, "unit"), lie(s.Back.Left))
	t.end()
}

func lie(units int64) string {
	if units == 1 {
		return "1 lies"
	}
	return grouped(units) + " lie"
}

func (t *blocks) settings(s *SaleReport) {
	t.row("SETTING", "CREATED WITH\tIN THE END")
	created := settingsInOrder(s.Created)
	for i, is := range settingsInOrder(s.Settings) {
		t.row(is.name, "%s\t%s", legible(created[i].value), legible(is.value))
	}
	t.end()
	t.row("OFFSET", "TIME\tACTION\tRESULT\tACTOR\tREASON\tCHANGES")
	for i := range s.Actions {
		a := &s.Actions[i]
		t.row("%d", "%s\t%s\t%s\t%s\t%s\t%s", a.Offset, a.Time, a.Action, a.Result, cmp.Or(legible(a.Actor), "-"), cmp.Or(legible(a.Reason), "-"), a.words())
	}
	if s.Unlisted > 0 {
		t.row("", "and %s more", grouped(s.Unlisted))
	}
	t.end()
}

// namedTimes is one of a sale's times, as a report shows it.
type namedTimes struct {
	name  string
	times *Times
}

func (s *SaleReport) timesInOrder() []namedTimes {
	return []namedTimes{
		{"click to log", &s.Waits.ClickToLog},
		{"log to unit", &s.Waits.LogToUnit},
		{"log to hold start", &s.Waits.LogToHoldStart},
		{"hold to confirmation", &s.Waits.HoldToConfirmation},
		{"kept by a pause", &s.Pauses.Wait},
		{"units that came back, idle", &s.Back.Idle},
	}
}
