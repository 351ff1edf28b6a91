package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html.tmpl
var pageTemplate string

// WriteHTML writes the report as one page that needs nothing else: no script,
// no font, no picture, and it forbids browsers to load any. Beside each chart
// stands a table of the same numbers.
func (r *Report) WriteHTML(out io.Writer) error {
	page, err := template.New("report").Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	var text bytes.Buffer
	if err := page.Execute(&text, r.document()); err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
