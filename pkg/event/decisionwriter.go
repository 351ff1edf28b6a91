package event

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// decisionWriter writes the values of decisions by hand, member by member as
// [Decision] has them: a batch of winners has a value for each row, and writing
// them is a good part of what an owner does for one. What it writes is what
// encoding the struct gives, byte for byte.
type decisionWriter struct {
	encoded   []byte
	partition int32
	log       []byte // the members log and partition
	dash      []byte // what each public id begins with
	time      instantText
	requested instantText
}

// Of a decision with its key, in bytes, about.
const decisionSize = 320

func newDecisionWriter(log TopicID, partition int32, decisions int) *decisionWriter {
	w := &decisionWriter{encoded: make([]byte, 0, decisionSize*(decisions+1)), partition: partition}
	w.log = strconv.AppendInt([]byte(`,"log":"`+log.String()+`","partition":`), int64(partition), 10)
	w.dash = append(strconv.AppendInt(nil, int64(partition), 10), '-')
	return w
}

// instantText is an instant as it is written: of many decisions it is the same.
type instantText struct {
	of   Instant
	text []byte
}

func (t *instantText) appendTo(to []byte, i Instant) []byte {
	if t.text == nil || t.of != i {
		t.of = i
		t.text, _ = i.AppendText(t.text[:0]) // which never fails
	}
	return append(to, t.text...)
}

// step writes what a sale has done. There are few, and they are large.
func (w *decisionWriter) step(d *Decision) error {
	value, err := json.Marshal(d, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("encoding decision %s: %w", d.ID, err)
	}
	w.encoded = append(append(w.encoded, d.Product...), '\t')
	w.encoded = append(append(w.encoded, value...), '\n')
	return nil
}

// decision writes a decision; the first of a run with the run's extent.
func (w *decisionWriter) decision(d *sale.Decision, of *extent) {
	switch d.Kind {
	case sale.OfRequest:
		r := &d.Request
		w.begin(r.Product, d, requestType(d, of != nil))
		w.id(`,"sale":"`, r.Sale)
		if of == nil {
			w.id(`,"request":"`, r.Offset)
		}
		w.text(`,"state":`, string(r.State))
		w.text(`,"reason":`, string(r.Reason))
		if of != nil {
			w.extent(of)
		} else {
			w.row(r)
		}
	case sale.OfCommand:
		r, done := &d.Result, CommandDone
		if r.Code != sale.CodeDone {
			done = CommandRefused
		}
		w.begin(r.Product, d, done)
		w.id(`,"sale":"`, r.Sale)
		w.id(`,"request":"`, r.Request)
		w.id(`,"command":"`, r.Command)
		w.text(`,"code":`, string(r.Code))
	case sale.OfStart:
		w.begin("", d, HoldStarted)
		w.offset(`,"below":`, d.Start.Below)
		w.instant(`,"at":"`, &w.time, Instant(d.Start.At))
	}
	w.encoded = append(w.encoded, '}', '\n')
}

func requestType(d *sale.Decision, run bool) DecisionType {
	r := &d.Request
	switch {
	case run:
		return DecisionType("requests." + string(r.State))
	case r.State == sale.Held && r.HeldSince != d.Cause:
		return RequestExtended
	}
	return DecisionType("request." + string(r.State))
}

// begin writes the key, and what all values begin with.
func (w *decisionWriter) begin(product sale.Product, d *sale.Decision, of DecisionType) {
	b := append(append(w.encoded, product...), "\t{\"id\":\""...)
	b = append(b, w.dash...)
	b = strconv.AppendInt(b, int64(d.Cause), 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(d.Index), 10)
	b = append(b, `","type":`...)
	b = appendText(b, string(of))
	b = append(append(b, w.log...), `,"cause":`...)
	b = strconv.AppendInt(b, int64(d.Cause), 10)
	b = append(b, `,"index":`...)
	b = strconv.AppendInt(b, int64(d.Index), 10)
	b = append(b, `,"time":"`...)
	b = append(w.time.appendTo(b, Instant(d.Time)), '"')
	w.encoded = b
	w.text(`,"product":`, string(product))
}

func (w *decisionWriter) row(r *sale.Request) {
	w.number(`,"quantity":`, r.Quantity)
	w.instant(`,"requested_at":"`, &w.requested, Instant(r.AcceptedAt))
	w.id(`,"first":"`, r.First)
	w.number(`,"hold_ms":`, int64(r.HoldFor))
	w.text(`,"payment_reference":`, r.Payment)
}

func (w *decisionWriter) extent(of *extent) {
	w.offset(`,"from":`, of.from)
	w.offset(`,"to":`, of.to)
	w.number(`,"count":`, of.count)
}

// id writes a member that is a public id, if there is one.
func (w *decisionWriter) id(member string, offset sale.Offset) {
	if offset < 0 {
		return
	}
	b := append(append(w.encoded, member...), w.dash...)
	w.encoded = append(strconv.AppendInt(b, int64(offset), 10), '"')
}

// number writes a member that is a number, unless it is 0.
func (w *decisionWriter) number(member string, n int64) {
	if n != 0 {
		w.encoded = strconv.AppendInt(append(w.encoded, member...), n, 10)
	}
}

func (w *decisionWriter) offset(member string, offset sale.Offset) {
	w.encoded = strconv.AppendInt(append(w.encoded, member...), int64(offset), 10)
}

func (w *decisionWriter) instant(member string, known *instantText, i Instant) {
	if i != 0 {
		w.encoded = append(known.appendTo(append(w.encoded, member...), i), '"')
	}
}

// text writes a member that is a text, unless it is empty.
func (w *decisionWriter) text(member, text string) {
	if text != "" {
		w.encoded = appendText(append(w.encoded, member...), text)
	}
}

// appendText writes a text as JSON. What is no UTF-8 is replaced, as encoding
// the struct does.
func appendText(to []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			to, _ = jsontext.AppendQuote(to, text) // its error tells of what it has replaced
			return to
		}
	}
	return append(append(append(to, '"'), text...), '"')
}
