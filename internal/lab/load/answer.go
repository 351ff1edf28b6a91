package load

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// answer is what a call brought. Its slices are valid until the connection is
// used again.
type answer struct {
	status     int
	retryAfter time.Duration
	etag       []byte
	accept     []byte // Sec-WebSocket-Accept
	body       []byte
	closes     bool // the connection is of no use any more
}

// errMalformed means that the other side does not speak HTTP/1, or says
// something that could be read in two ways.
var errMalformed = errors.New("malformed answer")

// How a body ends.
const (
	untilClose = -1
	chunked    = -2
)

// parseHead reads an answer's head, the blank line included, and says how long
// the body is: a number of bytes, chunked or untilClose.
func parseHead(head []byte) (a answer, length int, err error) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	// HTTP/1.1 202 Accepted
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return answer{}, 0, errMalformed
	}
	a.closes = line[7] == '0'
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil || a.status < 100 {
		return answer{}, 0, errMalformed
	}
	length = untilClose
	for len(rest) > 2 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			return answer{}, 0, errMalformed
		}
		if length, err = a.takeHeader(name, bytes.TrimSpace(value), length); err != nil {
			return answer{}, 0, err
		}
	}
	if a.status < 200 || a.status == 204 || a.status == 304 {
		length = 0
	}
	a.closes = a.closes || length == untilClose
	return a, length, nil
}

// takeHeader takes what is of use here, and gives the body's length as known
// by now.
func (a *answer) takeHeader(name, value []byte, length int) (int, error) {
	switch len(name) { // most headers are none of these
	case len("etag"):
		if bytes.EqualFold(name, []byte("etag")) {
			a.etag = value
		}
	case len("connection"):
		if bytes.EqualFold(name, []byte("connection")) {
			a.closes = bytes.EqualFold(value, []byte("close")) || a.closes && !bytes.EqualFold(value, []byte("keep-alive"))
		}
	case len("retry-after"):
		if bytes.EqualFold(name, []byte("retry-after")) {
			if seconds, err := strconv.Atoi(string(value)); err == nil && seconds > 0 {
				a.retryAfter = time.Duration(seconds) * time.Second
			}
		}
	case len("content-length"):
		if bytes.EqualFold(name, []byte("content-length")) {
			n, err := strconv.ParseUint(string(value), 10, 31)
			if err != nil || length != untilClose && length != int(n) {
				return 0, errMalformed
			}
			return int(n), nil
		}
	case len("transfer-encoding"):
		if bytes.EqualFold(name, []byte("transfer-encoding")) {
			if length != untilClose || !bytes.EqualFold(value, []byte("chunked")) {
				return 0, errMalformed
			}
			return chunked, nil
		}
	case len("sec-websocket-accept"):
		if bytes.EqualFold(name, []byte("sec-websocket-accept")) {
			a.accept = value
		}
	}
	return length, nil
}

// told is a status, as far as a buyer reads it.
type told struct {
	state     sale.State
	ticket    []byte
	position  int64 // -1 where it is not told
	pollAfter time.Duration
	after     []byte // of a stream's messages: what If-None-Match is elsewhere
}

// status reads a status from a body. Without a state it is none.
func (a *answer) told() (told, bool) { return readStatus(a.body) }

func readStatus(body []byte) (told, bool) {
	t := told{state: stateOf(member(body, "state")), ticket: member(body, "ticket"), position: -1, after: member(body, "after")}
	if n, err := strconv.ParseInt(string(member(body, "position")), 10, 64); err == nil {
		t.position = n
	}
	if n, err := strconv.ParseInt(string(member(body, "poll_after_ms")), 10, 64); err == nil {
		t.pollAfter = time.Duration(n) * time.Millisecond
	}
	return t, t.state != ""
}

// problem gives the code of a refusal.
func (a *answer) problem() []byte { return member(a.body, "code") }

// member gives a member of a JSON object: a string's text, or a number. It
// looks for the quoted name and decodes nothing, which is right for what is read
// here: the names occur once, a quote within a text is written as \", and the
// values have nothing that JSON escapes.
func member(object []byte, name string) []byte {
	for rest := object; ; {
		at := bytes.Index(rest, []byte(name))
		if at < 1 {
			return nil
		}
		quoted := rest[at-1] == '"' && (at < 2 || rest[at-2] != '\\')
		rest = rest[at+len(name):]
		if !quoted || len(rest) == 0 || rest[0] != '"' {
			continue
		}
		value := bytes.TrimLeft(rest[1:], " \t\r\n")
		if len(value) == 0 || value[0] != ':' {
			continue // a text, not a name
		}
		value = bytes.TrimLeft(value[1:], " \t\r\n")
		if len(value) > 0 && value[0] == '"' {
			text, _, _ := bytes.Cut(value[1:], []byte{'"'})
			return text
		}
		if end := bytes.IndexAny(value, ",} \t\r\n"); end >= 0 {
			return value[:end]
		}
		return value
	}
}

// stateOf gives a state without making a text of it.
func stateOf(text []byte) sale.State {
	for _, s := range states {
		if string(text) == string(s) {
			return s
		}
	}
	return ""
}

var states = [...]sale.State{
	sale.Queued, sale.Held, sale.SoldOut, sale.Waitlisted, sale.Reserved,
	sale.Confirmed, sale.Rejected, sale.Released, sale.Expired, sale.Returned,
}

// leadsTo reports whether a request can get from one state to another, in any
// number of steps: a poll may miss those between.
func leadsTo(from, to sale.State) bool {
	for _, next := range states {
		if from.CanBecome(next) && (next == to || leadsTo(next, to)) {
			return true
		}
	}
	return false
}
