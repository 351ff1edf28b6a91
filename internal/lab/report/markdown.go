package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// WriteMarkdown writes the report for a page of a repository. What others have
// written in it is shown as they wrote it: nothing of it becomes markup.
func (r *Report) WriteMarkdown(out io.Writer) error {
	d := r.document()
	m := &markdown{}
	m.paragraph("# " + escaped(d.Title))
	m.paragraph(escaped(d.Made))
	if d.Command != "" {
		m.paragraph("Command: " + code(d.Command))
	}
	var machine []string
	for i, line := range d.Machine {
		machine = append(machine, "- "+[]string{"machine: ", "servers: "}[min(i, 1)]+escaped(line))
	}
	m.paragraph(strings.Join(machine, "\n"))
	for _, warning := range d.Warnings {
		m.paragraph("> **Warning:** " + escaped(warning))
	}
	for _, broken := range d.Broken {
		m.paragraph("> **Broken promises:** " + escaped(broken))
	}
	if len(d.Ratios.Rows) > 0 {
		m.paragraph("## Ratios")
		if d.Verdict != "" {
			m.paragraph("**" + escaped(d.Verdict) + "**")
		}
		m.table(&d.Ratios)
	}
	m.paragraph(escaped(d.Reading))
	for i := range d.Sections {
		m.section(&d.Sections[i])
	}
	if len(d.Sections) == 0 {
		m.paragraph("Nothing was measured.")
	}
	if len(d.Servers.Rows) > 0 {
		m.paragraph("## " + escaped(d.Servers.Title))
		m.table(&d.Servers)
	}
	if _, err := out.Write(bytes.TrimSuffix(m.out.Bytes(), []byte("\n"))); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

type markdown struct{ out bytes.Buffer }

// paragraph ends with a free line. An empty one is none.
func (m *markdown) paragraph(text string) {
	if text != "" {
		fmt.Fprintf(&m.out, "%s\n\n", text)
	}
}

func (m *markdown) section(s *section) {
	m.paragraph("## " + escaped(s.Title))
	m.paragraph(escaped(s.About))
	for _, broken := range s.Broken {
		m.paragraph("> **Broken:** " + escaped(broken))
	}
	for _, note := range s.Notes {
		m.paragraph(escaped(note))
	}
	tables := slices.Clone(s.Tables)
	for i := range s.Charts {
		tables = append(tables, s.Charts[i].Table)
	}
	for i := range tables {
		if len(tables[i].Rows) > 0 {
			m.paragraph("### " + escaped(tables[i].Title))
			m.table(&tables[i])
		}
	}
	if len(s.Settings.Rows) > 0 {
		m.paragraph("<details><summary>" + s.Settings.Title + "</summary>")
		m.table(&s.Settings)
		m.paragraph("</details>")
	}
}

func (m *markdown) table(t *table) {
	head, rule := "|", "|"
	for _, c := range t.Head {
		head += " " + escaped(c.Text) + " |"
		if c.Number {
			rule += " ---: |"
		} else {
			rule += " --- |"
		}
	}
	fmt.Fprintf(&m.out, "%s\n%s\n", head, rule)
	for _, row := range t.Rows {
		line := "|"
		for _, c := range row {
			text := escaped(c.Text)
			if c.Tone == bad {
				text = "**" + text + "**"
			}
			line += " " + text + " |"
		}
		fmt.Fprintln(&m.out, line)
	}
	fmt.Fprintln(&m.out)
}

// escaped gives text such that markdown shows it as it is, in a table too.
func escaped(text string) string {
	var made strings.Builder
	runes := []rune(text)
	for i, r := range runes {
		switch r {
		case '<':
			made.WriteString("&lt;")
			continue
		case '>':
			made.WriteString("&gt;")
			continue
		case '&':
			made.WriteString("&amp;")
			continue
		}
		if marksUp(runes, i) {
			made.WriteByte('\\')
		}
		made.WriteRune(r)
	}
	return made.String()
}

// marksUp says whether markdown would take a sign of a text for more than it
// is. Ordinary sentences keep most of theirs, so that they can be read unmade.
func marksUp(text []rune, i int) bool {
	word := func(at int) bool {
		return at >= 0 && at < len(text) && (unicode.IsLetter(text[at]) || unicode.IsDigit(text[at]))
	}
	begins := func(after string) bool { return strings.HasSuffix(string(text[:i]), after) }
	switch text[i] {
	case '\\', '`', '*', '[', ']', '|', '~', '#', '@':
		return true
	case '_': // inside of a word it means nothing
		return !word(i-1) || !word(i+1)
	case '!':
		return i+1 < len(text) && text[i+1] == '['
	case ':', '/': // an address becomes a link by itself
		return begins(":") || i+1 < len(text) && text[i+1] == '/'
	case '+', '-', '=': // a list or a rule
		return i == 0
	case '.', ')': // an address again, or a numbered list
		return begins("www") || i > 0 && strings.Trim(string(text[:i]), "0123456789") == "" && i+1 < len(text) && text[i+1] == ' '
	}
	return false
}

// code gives text as code, in as many backticks as it takes.
func code(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}
