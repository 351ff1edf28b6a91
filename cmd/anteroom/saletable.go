package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/anteroomhq/anteroom/pkg/client"
)

// newTable makes a table of columns alone: its lines can be cut and searched.
func newTable() table.Writer {
	style := table.Style{
		Name:    "columns",
		Box:     table.BoxStyle{PaddingRight: "  "},
		Options: table.OptionsNoBordersAndSeparators,
		Format:  table.FormatOptions{Header: text.FormatDefault, Row: text.FormatDefault},
	}
	made := table.NewWriter()
	made.SetStyle(style)
	made.SuppressTrailingSpaces()
	return made
}

func printTable(out io.Writer, made table.Writer) error {
	if _, err := fmt.Fprintln(out, made.Render()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// printSales prints a line for each sale.
func printSales(t terminal, sales []client.Sale) error {
	list := newTable()
	list.AppendHeader(table.Row{
		"PRODUCT", "SALE", "STATE", "QUANTITY", "AVAILABLE", "RESERVED", "HELD", "CONFIRMED", "WAITLISTED", "REQUESTS", "LINE", "CREATED",
	})
	for _, s := range sales {
		list.AppendRow(table.Row{
			s.Product, s.Sale, stateText(&s), s.Quantity, s.Available, s.Reserved, s.Held, s.Confirmed, s.Waitlisted, s.Requests, s.Line, timeText(s.CreatedAt),
		})
	}
	return printTable(t.out, list)
}

// printSettings prints all of one sale.
func printSettings(t terminal, s *client.Sale) error {
	list := newTable()
	row := func(name, format string, values ...any) {
		list.AppendRow(table.Row{name, fmt.Sprintf(format, values...)})
	}
	row("product", "%s, in partition %d", s.Product, s.Partition)
	row("sale", "%s, version %d", s.Sale, s.Version)
	row("state", "%s", s.State)
	if s.Stopped != "" {
		row("stopped", "%s", visible(s.Stopped))
	}
	row("units", "%d: %d available, %d reserved, %d held, %d confirmed", s.Quantity, s.Available, s.Reserved, s.Held, s.Confirmed)
	row("requests", "%d decided, of which %d sold out, %d rejected", s.Requests, s.SoldOut, s.Rejected)
	row("waiting", "%d in the line, %d on the waitlist, %d for the end of a pause", s.Line, s.Waitlisted, s.Parked)
	row("policy", "%s", policyText(s))
	row("holds", "%d s, %d s with extensions", s.HoldSeconds, s.MaxHoldSeconds)
	row("limits", "%d per buyer, %d per request", s.PerBuyerLimit, s.MaxQuantityPerRequest)
	row("pace", "%s", paceText(s))
	row("checkout", "%s", cmp.Or(visible(s.CheckoutURL), noneText))
	row("opens", "%s", cmp.Or(timeText(s.OpensAt), "at once"))
	row("closes", "%s", cmp.Or(timeText(s.ClosesAt), "never by itself"))
	row("created", "%s", timeText(s.CreatedAt))
	if !s.OpenedAt.IsZero() {
		row("opened", "%s", timeText(s.OpenedAt))
	}
	if !s.ClosedAt.IsZero() {
		row("closed", "%s", timeText(s.ClosedAt))
	}
	if !s.RetiredAt.IsZero() {
		row("retired", "%s", timeText(s.RetiredAt))
	}
	return printTable(t.out, list)
}

// inWords says what a sale has come to.
func inWords(s *client.Sale) string {
	units := fmt.Sprintf("%s confirmed, %d held, %d reserved, %d available", quantity(s.Confirmed, "unit"), s.Held, s.Reserved, s.Available)
	switch s.State {
	case "closed":
		rest := ""
		if s.Held+s.Reserved > 0 {
			rest = "; what is held or reserved can still be paid for"
		}
		return fmt.Sprintf("%s: sale %s is closed since %s: %s%s.", s.Product, s.Sale, timeText(s.ClosedAt), units, rest)
	case "paused":
		return fmt.Sprintf("%s: sale %s is paused: %s; %s for it to go on.", s.Product, s.Sale, units, waits(s.Parked))
	}
	return fmt.Sprintf("%s: sale %s is %s: %s; %s on the waitlist.", s.Product, s.Sale, stateText(s), units, waits(s.Waitlisted))
}

func waits(requests int64) string {
	if requests == 1 {
		return "1 request waits"
	}
	return fmt.Sprintf("%d requests wait", requests)
}

func quantity(n int64, of string) string {
	if n != 1 {
		of += "s"
	}
	return fmt.Sprintf("%d %s", n, of)
}

func stateText(s *client.Sale) string {
	if s.Stopped != "" {
		return s.State + " (stopped)"
	}
	return s.State
}

func policyText(s *client.Sale) string {
	if s.Policy == "waitlist" {
		return fmt.Sprintf("waitlist of at most %d", s.WaitlistCapacity)
	}
	return s.Policy
}

func paceText(s *client.Sale) string {
	var parts []string
	if s.AdmitPerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%d checkout windows a second", s.AdmitPerSecond))
	}
	if s.MaxActiveHolds > 0 {
		parts = append(parts, fmt.Sprintf("at most %d held at once", s.MaxActiveHolds))
	}
	return cmp.Or(strings.Join(parts, ", "), "as fast as they come")
}

// timeText gives a time to the second, and nothing for none.
func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// visible gives text of others without what a terminal would obey.
func visible(from string) string {
	if !strings.ContainsFunc(from, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return from
	}
	quoted := strconv.Quote(from)
	return quoted[1 : len(quoted)-1]
}
