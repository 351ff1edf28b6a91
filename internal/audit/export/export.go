package export

import (
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Format is the version of the format that exports are written in.
//
// An export is UTF-8 text, a JSON object on each line (ndjson). It holds all
// that another program needs to decide the records again and to compare. Each
// line has one member, which names it:
//
//	{"export":{"format":1,"log":L,"program":P,"partitions":[{"partition":0,"to":N},…]}}
//	{"begin":{"partition":0,"from":F,"record_digest":D,"decision_digest":D,"chain_start":F,"state":S}}
//	{"record":{"partition":0,"offset":F,"time":T,"key":K,"value":V,"mark":M,"decisions":[…]}}
//	{"sale":{"partition":0,"counts":{…}}}
//	{"end":{"partition":0,"next":N,"records":R,"decisions":C,"record_digest":D,"decision_digest":D}}
//	{"done":{"sha256":D}}
//
// The first line is "export", the last one "done". Between them is, for each of
// the partitions that the first line names and in its order: one "begin", a
// "record" for each offset from F up to N and without N, a "sale" for each sale
// that the partition has then by its id, one "end".
//
//   - Offsets are the partition's; times are milliseconds since 1970, UTC; -1
//     stands where there is no offset.
//   - log is the topic's id, program the version of the program that exported.
//   - key and value are the record's, as text. One that is not valid UTF-8 is
//     instead in key_base64 or value_base64 (RFC 4648, with padding).
//   - mark is the first four bytes of the head of the chain over the records,
//     after this one; record_digest and decision_digest are the heads of both
//     chains, over all that was added from chain_start on. [event.Chain] says
//     what they are made of. The ledger keeps the same, so that digests of an
//     export can be compared with those that audit verify prints.
//   - decisions are what the record caused, in order: {"cause","index","time"}
//     and one of "request", the whole row after it, "result" of a command, or
//     "start" of holds; "default":true marks requests without a row. They are
//     written as the golden logs' are.
//   - counts are a sale whole, as the core has it.
//   - state stands where F is above 0: what the core has kept of the records
//     below F ([sale.Snapshot]), so that the replay can go on from it.
//   - sha256 is that of all bytes before its line.
//
// Numbers, times and digests are exact. Members that are empty may be absent.
// A later format has another number; a reader refuses one that it does not know
// and members that it does not know.
const Format = 1

// ErrFormat means that a text is no export, or one of another format.
var ErrFormat = errors.New("not an export that this program can read")

// line is a line of an export: one of its members.
type line struct {
	Export *headLine   `json:"export,omitzero"`
	Begin  *beginLine  `json:"begin,omitzero"`
	Record *recordLine `json:"record,omitzero"`
	Sale   *saleLine   `json:"sale,omitzero"`
	End    *endLine    `json:"end,omitzero"`
	Done   *doneLine   `json:"done,omitzero"`
}

type headLine struct {
	Format     int            `json:"format"`
	Log        string         `json:"log"`
	Program    string         `json:"program"`
	Partitions []partitionEnd `json:"partitions"`
}

type partitionEnd struct {
	Partition int32       `json:"partition"`
	To        sale.Offset `json:"to"`
}

type beginLine struct {
	Partition      int32       `json:"partition"`
	From           sale.Offset `json:"from"`
	RecordDigest   hexDigest   `json:"record_digest"`
	DecisionDigest hexDigest   `json:"decision_digest"`
	ChainStart     sale.Offset `json:"chain_start"`
	State          *coreState  `json:"state,omitzero"`
}

// coreState is a [sale.Snapshot].
type coreState struct {
	Next      sale.Offset    `json:"next"`
	Now       sale.Time      `json:"now"`
	Schema    int            `json:"schema"`
	Malformed int64          `json:"malformed"`
	Sales     []sale.Sale    `json:"sales"`
	Requests  []sale.Request `json:"requests"`
	Starts    []sale.Start   `json:"starts"`
}

type recordLine struct {
	Partition   int32       `json:"partition"`
	Offset      sale.Offset `json:"offset"`
	Time        sale.Time   `json:"time"`
	Key         *string     `json:"key,omitzero"`
	KeyBase64   []byte      `json:"key_base64,omitzero"`
	Value       *string     `json:"value,omitzero"`
	ValueBase64 []byte      `json:"value_base64,omitzero"`
	Mark        string      `json:"mark"`
	Decisions   []decision  `json:"decisions,omitempty"`
}

type decision struct {
	Cause   sale.Offset   `json:"cause"`
	Index   int           `json:"index"`
	Time    sale.Time     `json:"time"`
	Default bool          `json:"default,omitzero"`
	Request *sale.Request `json:"request,omitzero"`
	Result  *sale.Result  `json:"result,omitzero"`
	Start   *sale.Start   `json:"start,omitzero"`
}

type saleLine struct {
	Partition int32     `json:"partition"`
	Counts    sale.Sale `json:"counts"`
}

type endLine struct {
	Partition      int32       `json:"partition"`
	Next           sale.Offset `json:"next"`
	Records        int64       `json:"records"`
	Decisions      int64       `json:"decisions"`
	RecordDigest   hexDigest   `json:"record_digest"`
	DecisionDigest hexDigest   `json:"decision_digest"`
}

type doneLine struct {
	SHA256 hexDigest `json:"sha256"`
}

// hexDigest is a digest as 64 hexadecimal digits.
type hexDigest event.Digest

func (d hexDigest) String() string { return event.Digest(d).String() }

func (d hexDigest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *hexDigest) UnmarshalText(text []byte) error {
	digest, err := event.ParseDigest(string(text))
	if err == nil && digest.String() != string(text) {
		err = fmt.Errorf("digest %q is not in small letters", text)
	}
	*d = hexDigest(digest)
	return err
}

// markOf gives the head's mark, as an export has it.
func markOf(head event.Digest) string { return hex.EncodeToString(head[:event.MarkBytes]) }

// setEntry writes down what the log has.
func (r *recordLine) setEntry(e *event.Entry) {
	r.Offset, r.Time = e.Offset, e.Time
	r.Key, r.KeyBase64 = textOrBytes(e.Key)
	r.Value, r.ValueBase64 = textOrBytes(e.Value)
}

func textOrBytes(of []byte) (text *string, raw []byte) {
	if !utf8.Valid(of) {
		return nil, of
	}
	return new(string(of)), nil
}

// entry gives what the log had.
func (r *recordLine) entry() (event.Entry, error) {
	key, err := bytesOf("key", r.Key, r.KeyBase64)
	if err != nil {
		return event.Entry{}, err
	}
	value, err := bytesOf("value", r.Value, r.ValueBase64)
	return event.Entry{Offset: r.Offset, Time: r.Time, Key: key, Value: value}, err
}

func bytesOf(name string, text *string, raw []byte) ([]byte, error) {
	switch {
	case text != nil && raw != nil:
		return nil, fmt.Errorf("the record has both %s and %s_base64", name, name)
	case text != nil:
		return []byte(*text), nil
	case raw == nil:
		return nil, fmt.Errorf("the record has no %s", name)
	}
	return raw, nil
}

func decisionOf(d *sale.Decision) decision {
	to := decision{Cause: d.Cause, Index: d.Index, Time: d.Time, Default: d.Default}
	switch d.Kind {
	case sale.OfRequest:
		to.Request = &d.Request
	case sale.OfCommand:
		to.Result = &d.Result
	case sale.OfStart:
		to.Start = &d.Start
	}
	return to
}

// is reports whether d is the decision that is written down.
func (x *decision) is(d *sale.Decision) bool {
	if x.Cause != d.Cause || x.Index != d.Index || x.Time != d.Time || x.Default != d.Default {
		return false
	}
	switch d.Kind {
	case sale.OfRequest:
		return x.Request != nil && x.Result == nil && x.Start == nil && *x.Request == d.Request
	case sale.OfCommand:
		return x.Result != nil && x.Request == nil && x.Start == nil && *x.Result == d.Result
	case sale.OfStart:
		return x.Start != nil && x.Request == nil && x.Result == nil && *x.Start == d.Start
	}
	return false
}

func coreStateOf(s sale.Snapshot) *coreState {
	return &coreState{
		Next: s.Next, Now: s.Now, Schema: s.Schema, Malformed: s.Malformed,
		Sales: s.Sales, Requests: s.Requests, Starts: s.Starts,
	}
}

// restore makes the core that the state was taken of.
func (s *coreState) restore() (*sale.Partition, error) {
	return sale.Restore(sale.Snapshot{
		Next: s.Next, Now: s.Now, Schema: s.Schema, Malformed: s.Malformed,
		Sales: s.Sales, Requests: s.Requests, Starts: s.Starts,
	})
}

// readLine reads a line strictly: what the format does not have was not
// written by an export.
func readLine(text []byte) (line, error) {
	var l line
	if err := json.Unmarshal(text, &l, json.RejectUnknownMembers(true)); err != nil {
		return line{}, fmt.Errorf("reading a line: %w", err)
	}
	members := 0
	for _, is := range []bool{l.Export != nil, l.Begin != nil, l.Record != nil, l.Sale != nil, l.End != nil, l.Done != nil} {
		if is {
			members++
		}
	}
	if members != 1 {
		return line{}, fmt.Errorf("the line has %d members, not one", members)
	}
	return l, nil
}

// readHead reads the first line. What else a later format has there does
// not keep its number from being told.
func readHead(text []byte) (*headLine, error) {
	var known struct {
		Export *struct {
			Format int `json:"format"`
		} `json:"export"`
	}
	if err := json.Unmarshal(text, &known); err != nil || known.Export == nil {
		return nil, fmt.Errorf("its first line does not say that it is one: %w", ErrFormat)
	}
	if known.Export.Format != Format {
		return nil, fmt.Errorf("it has format %d, this program knows %d: %w", known.Export.Format, Format, ErrFormat)
	}
	line, err := readLine(text)
	if err != nil {
		return nil, fmt.Errorf("its first line: %w: %w", err, ErrFormat)
	}
	return line.Export, nil
}
