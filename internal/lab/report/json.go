package report

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// WriteJSON writes the report as one object in one line. The same report gives
// the same bytes. It refuses a report with a number that JSON cannot say,
// and tells where it is.
func (r *Report) WriteJSON(out io.Writer) error {
	text, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if _, err := out.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Read reads what WriteJSON wrote, once; a report with another member than
// this program knows is refused, since a face would hide it.
func Read(in io.Reader) (*Report, error) {
	decoder := jsontext.NewDecoder(in)
	report := &Report{}
	if err := json.UnmarshalDecode(decoder, report, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading a report: something follows it")
	}
	if report.Started.IsZero() {
		return nil, errors.New("reading a report: it does not say when it was made")
	}
	return report, nil
}
