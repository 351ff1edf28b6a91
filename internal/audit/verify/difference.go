package verify

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Subject is what a difference is about.
type Subject string

// The subjects.
const (
	OfRecord    Subject = "record"    // the log has another record than was decided, or none
	OfDecisions Subject = "decisions" // the same records were decided in another way
	OfRequest   Subject = "request"   // a row of the ledger, as all below
	OfResult    Subject = "result"    // of a command
	OfSale      Subject = "sale"
	OfStart     Subject = "start"
	OfBatch     Subject = "batch"
	OfPartition Subject = "partition"
	OfBinding   Subject = "binding" // of a product
)

// Difference is where the ledger is not what the log decides.
type Difference struct {
	Offset   sale.Offset `json:"offset"` // of the record that decided it
	Subject  Subject     `json:"subject"`
	Name     string      `json:"name,omitempty"` // of the row
	Expected string      `json:"expected"`
	Found    string      `json:"found"`
}

// String gives the difference in words.
func (d Difference) String() string {
	name := string(d.Subject)
	if d.Name != "" {
		name += " " + d.Name
	}
	return fmt.Sprintf("offset %d: %s: expected %s; found %s", d.Offset, name, d.Expected, d.Found)
}

// nothing stands for a row that is not there.
const nothing = "nothing"

// differing tells two rows apart: the members that differ, as each has them.
func differing(want, got any) (expected, found string) {
	var wants, gots []string
	var compare func(want, got reflect.Value)
	compare = func(want, got reflect.Value) {
		for i := range want.NumField() {
			field := want.Type().Field(i)
			if field.Anonymous {
				compare(want.Field(i), got.Field(i))
				continue
			}
			w, g := want.Field(i).Interface(), got.Field(i).Interface()
			if !reflect.DeepEqual(w, g) {
				name := strings.ToLower(field.Name)
				if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); tag != "" {
					name = tag
				}
				wants, gots = append(wants, fmt.Sprintf("%s=%+v", name, w)), append(gots, fmt.Sprintf("%s=%+v", name, g))
			}
		}
	}
	compare(reflect.ValueOf(want), reflect.ValueOf(got))
	return strings.Join(wants, " "), strings.Join(gots, " ")
}

// findings keeps the first difference and counts them all.
type findings struct {
	first    *Difference
	count    int64
	departed bool // the log has other records than were decided
}

func (f *findings) add(d Difference) {
	f.count++
	f.departed = f.departed || d.Subject == OfRecord
	causes := d.Subject == OfRecord && f.first != nil && f.first.Subject != OfRecord // of what else differs there
	if f.first == nil || d.Offset < f.first.Offset || d.Offset == f.first.Offset && causes {
		f.first = &d
	}
}

// row notes that a row is missing, should not be there, or is another.
func (f *findings) row(offset sale.Offset, of Subject, name, expected, found string) {
	f.add(Difference{Offset: offset, Subject: of, Name: name, Expected: expected, Found: found})
}
