package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	prettytable "github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"
)

// WriteText writes the report for a terminal: what is wrong first, then the
// ratios, then each scenario. What others have written in it is shown so that
// no terminal obeys it.
func (r *Report) WriteText(out io.Writer) error {
	d := r.document()
	t := &text{}
	if d.Command != "" {
		t.line("%s", d.Command)
	}
	t.wrapped("", d.Made)
	for _, line := range d.Machine {
		t.wrapped("", line)
	}
	for _, warning := range d.Warnings {
		t.wrapped("WARNING: ", warning)
	}
	for _, broken := range d.Broken {
		t.wrapped("BROKEN PROMISES: ", broken)
	}
	t.line("")
	if len(d.Ratios.Rows) > 0 {
		t.table(&d.Ratios)
		if d.Verdict != "" {
			t.wrapped("", d.Verdict)
		}
		t.line("")
	}
	if d.Reading != "" {
		t.wrapped("", d.Reading)
	}
	for i := range d.Sections {
		t.section(&d.Sections[i])
	}
	if len(d.Sections) == 0 {
		t.line("")
		t.line("Nothing was measured.")
	}
	if len(d.Servers.Rows) > 0 {
		t.line("")
		t.table(&d.Servers)
	}
	if _, err := out.Write(t.out.Bytes()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

type text struct{ out bytes.Buffer }

func (t *text) line(format string, values ...any) { fmt.Fprintf(&t.out, format+"\n", values...) }

// wrapped adds words in lines that fit a terminal, all but the first indented.
func (t *text) wrapped(begin, words string) {
	const width = 100
	line := begin
	for word := range strings.FieldsSeq(words) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			t.line("%s", strings.TrimRight(line, " "))
			line = "  "
		}
		if line != "" && !strings.HasSuffix(line, " ") {
			line += " "
		}
		line += word
	}
	t.line("%s", line)
}

func (t *text) section(s *section) {
	t.line("")
	t.line("== %s", s.Title)
	if s.About != "" {
		t.wrapped("", s.About)
	}
	for _, broken := range s.Broken {
		t.wrapped("BROKEN: ", broken)
	}
	for _, note := range s.Notes {
		t.wrapped("", note)
	}
	for i := range s.Tables {
		t.line("")
		t.table(&s.Tables[i])
	}
	for i := range s.Charts {
		if of := &s.Charts[i].Table; len(of.Rows) > 0 && !of.detail {
			t.line("")
			t.table(of)
		}
	}
	if len(s.Settings.Rows) > 0 {
		t.line("")
		t.table(&s.Settings)
	}
}

// table adds a table of columns alone: its lines can be cut and searched.
func (t *text) table(of *table) {
	if of.Title != "" {
		t.line("%s", of.Title)
	}
	made := prettytable.NewWriter()
	made.SetStyle(prettytable.Style{
		Name:    "columns",
		Box:     prettytable.BoxStyle{PaddingLeft: "  "},
		Options: prettytable.OptionsNoBordersAndSeparators,
		Format:  prettytable.FormatOptions{Header: prettytext.FormatDefault, Row: prettytext.FormatDefault},
	})
	made.SuppressTrailingSpaces()
	head, aligned := make(prettytable.Row, len(of.Head)), make([]prettytable.ColumnConfig, len(of.Head))
	for i, c := range of.Head {
		head[i], aligned[i] = c.Text, prettytable.ColumnConfig{Number: i + 1}
		if c.Number {
			aligned[i].Align, aligned[i].AlignHeader = prettytext.AlignRight, prettytext.AlignRight
		}
	}
	made.AppendHeader(head)
	made.SetColumnConfigs(aligned)
	for _, cells := range of.Rows {
		row := make(prettytable.Row, len(cells))
		for i, c := range cells {
			row[i] = c.Text
		}
		made.AppendRow(row)
	}
	t.line("%s", made.Render())
}
