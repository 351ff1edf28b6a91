package servertest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// answer is one as it was on the wire.
type answer struct {
	status  int
	reason  string
	fields  []string // "Name: value", as written
	body    string
	chunked bool
	toEnd   bool  // the end of the connection is the end of the body
	interim []int // the 1xx that came before it
}

func (a *answer) get(name string) (value string, there bool) {
	for _, field := range a.fields {
		if n, v, _ := strings.Cut(field, ": "); strings.EqualFold(n, name) {
			return v, true
		}
	}
	return "", false
}

func (a *answer) has(name string) bool {
	_, there := a.get(name)
	return there
}

// closes says that the connection ends after it.
func (a *answer) closes() bool {
	value, _ := a.get("Connection")
	return strings.EqualFold(value, "close")
}

// refuses is true of what the server itself says to a request that it does not
// take; a handler's answer names the method.
func (a *answer) refuses() bool { return a.status >= 400 && !a.has(methodField) }

var (
	statusLine = regexp.MustCompile(`^HTTP/1\.[01] ([1-5][0-9][0-9]) ([\t -~]*)$`)
	fieldLine  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t -~[:^ascii:]]*$")
	chunkLine  = regexp.MustCompile(`^[0-9a-fA-F]{1,8}$`)
)

var errShort = errors.New("it is not whole")

// parseAnswers reads answers strictly: a proxy that is kinder to them than
// another is how one client gets the answer of another. It gives the whole
// answers, the number of bytes that follow them, and what is wrong with these.
func parseAnswers(text []byte, ended bool) (answers []answer, left int, err error) {
	var interim []int
	for len(text) > 0 {
		one, rest, err := parseAnswer(text, ended)
		switch {
		case errors.Is(err, errShort):
			return answers, len(text), nil
		case err != nil:
			return answers, len(text), err
		case one.status < 200 && one.status != http.StatusSwitchingProtocols:
			interim = append(interim, one.status)
		default:
			one.interim, interim = interim, nil
			answers = append(answers, one)
		}
		text = rest
	}
	return answers, 0, nil
}

// parseAll is parseAnswers for all that came: nothing may be left.
func parseAll(text []byte, ended bool) ([]answer, error) {
	answers, left, err := parseAnswers(text, ended)
	if err == nil && left > 0 {
		err = errShort
	}
	if err != nil {
		return nil, fmt.Errorf("what is answered cannot be read: %w, at byte %d of %q", err, len(text)-left, excerpt(text))
	}
	return answers, nil
}

func parseAnswer(text []byte, ended bool) (one answer, rest []byte, err error) {
	head, rest, whole := bytes.Cut(text, []byte("\r\n\r\n"))
	if !whole {
		return one, nil, errShort
	}
	lines := strings.Split(string(head), "\r\n")
	status := statusLine.FindStringSubmatch(lines[0])
	if status == nil {
		return one, nil, fmt.Errorf("status line %q", lines[0])
	}
	one.status, _ = strconv.Atoi(status[1])
	one.reason = status[2]
	one.fields = lines[1:]
	for _, field := range one.fields {
		if !fieldLine.MatchString(field) {
			return one, nil, fmt.Errorf("header line %q", field)
		}
	}
	length, coding := one.all("Content-Length"), one.all("Transfer-Encoding")
	if len(length)+len(coding) > 1 {
		return one, nil, fmt.Errorf("two framings: %q", one.fields)
	}
	method, _ := one.get(methodField)
	switch {
	case method == http.MethodHead || one.status < 200 || one.status == http.StatusNoContent || one.status == http.StatusNotModified:
		if one.status < 200 && one.status != http.StatusSwitchingProtocols && len(one.fields) > 0 && len(length) > 0 {
			return one, nil, fmt.Errorf("%d with a length", one.status)
		}
		return one, rest, nil
	case len(coding) == 1:
		if coding[0] != "chunked" {
			return one, nil, fmt.Errorf("transfer coding %q", coding[0])
		}
		one.chunked = true
		one.body, rest, err = parseChunks(rest)
		return one, rest, err
	case len(length) == 1:
		n, err := strconv.ParseUint(length[0], 10, 31)
		if err != nil {
			return one, nil, fmt.Errorf("length %q", length[0])
		}
		if uint64(len(rest)) < n {
			return one, nil, errShort
		}
		one.body = string(rest[:n])
		return one, rest[n:], nil
	case !ended:
		return one, nil, errShort
	default:
		one.toEnd = true
		one.body = string(rest)
		return one, nil, nil
	}
}

func parseChunks(text []byte) (body string, rest []byte, err error) {
	var all []byte
	for {
		line, after, whole := bytes.Cut(text, []byte("\r\n"))
		if !whole {
			return "", nil, errShort
		}
		if !chunkLine.Match(line) {
			return "", nil, fmt.Errorf("chunk of size %q", line)
		}
		n, _ := strconv.ParseUint(string(line), 16, 32)
		if uint64(len(after)) < n+2 {
			return "", nil, errShort
		}
		if string(after[n:n+2]) != "\r\n" {
			return "", nil, fmt.Errorf("chunk that ends in %q", after[n:n+2])
		}
		all, text = append(all, after[:n]...), after[n+2:]
		if n == 0 {
			return string(all), text, nil
		}
	}
}

func (a *answer) all(name string) (values []string) {
	for _, field := range a.fields {
		if n, v, _ := strings.Cut(field, ": "); strings.EqualFold(n, name) {
			values = append(values, v)
		}
	}
	return values
}

// text gives all that a client can tell an answer by. The time is another each
// time, and how the end of a body is told is for the server to choose, as long
// as it tells it.
func (a *answer) text() string {
	fields := slices.DeleteFunc(slices.Clone(a.fields), func(field string) bool {
		name, _, _ := strings.Cut(field, ":")
		return strings.EqualFold(name, "Date") || strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding")
	})
	for i, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		fields[i] = http.CanonicalHeaderKey(name) + ": " + value
	}
	slices.Sort(fields)
	body := a.body
	if len(body) > 200 {
		body = fmt.Sprintf("%s… (%d bytes)", body[:200], len(body))
	}
	return fmt.Sprintf("%d %s, %q, %q", a.status, a.reason, fields, body)
}
