package httpserver

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	mostHeaders = 32
	mostBody    = 4 << 10 // bytes
	mostKept    = 8 << 10 // bytes of a buffer that is used again
)

var turns = sync.Pool{New: func() any { return newTurn() }}

func newTurn() *turn {
	return &turn{header: make(http.Header, mostHeaders/4), answer: make(http.Header, mostHeaders/4), life: newLife()}
}

// turn is a request and its answer. It is used again for another one, so, as
// http.Handler says, nobody may keep them when the handler has returned.
type turn struct {
	request http.Request
	life    *life
	url     url.URL
	header  http.Header
	values  [mostHeaders]string
	path    []byte // in the buffer, until it is read again
	content content
	read    []byte // the request's body

	answer  http.Header
	code    int // 0 before WriteHeader
	length  int // that the handler has said the body has; -1 if it has not
	typed   bool
	dated   bool
	close   bool // the answer is the connection's last, and says so
	broken  bool // it is the last
	*output      // from WriteHeader on
}

// output is an answer that is being written. Turns that wait have none, so a few
// of them serve many connections, and are warm.
type output struct {
	head []byte // without its end
	body []byte
}

var outputs = sync.Pool{New: func() any { return new(output) }}

// content is a request's body.
type content struct{ bytes.Reader }

func (*content) Close() error { return nil }

// release has the turn used again.
func (t *turn) release() {
	t.reset()
	turns.Put(t)
}

func (t *turn) reset() {
	clear(t.header)
	clear(t.answer)
	clear(t.values[:])
	t.request, t.url, t.path = http.Request{}, url.URL{}, nil
	t.code, t.typed, t.dated, t.close, t.broken = 0, false, false, false, false
	t.read = again(t.read)
	if t.output != nil {
		t.head, t.body = again(t.head), again(t.body)
		outputs.Put(t.output)
		t.output = nil
	}
}

func again(buffer []byte) []byte {
	if cap(buffer) > mostKept {
		return nil
	}
	return buffer[:0]
}

// Header implements http.ResponseWriter.
func (t *turn) Header() http.Header { return t.answer }

// SetReadDeadline implements what http.ResponseController looks for: a request
// is here as a whole before it is served.
func (*turn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements what http.ResponseController looks for: the
// server limits how long a client may take to read any answer.
func (*turn) SetWriteDeadline(time.Time) error { return nil }

// WriteHeader implements http.ResponseWriter. The headers are those of now.
// Informational answers are not sent.
func (t *turn) WriteHeader(code int) {
	if code < 100 || code > 999 {
		panic("httpserver: a status of " + strconv.Itoa(code)) // as net/http does
	}
	if t.code != 0 || code < 200 { // said already, or not the answer yet
		return
	}
	t.code, t.length, t.output = code, -1, outputs.Get().(*output)
	t.head = append(t.head, "HTTP/1.1 "...)
	t.head = strconv.AppendInt(t.head, int64(code), 10)
	t.head = append(t.head, ' ')
	if text := http.StatusText(code); text != "" {
		t.head = append(t.head, text...)
	} else {
		t.head = strconv.AppendInt(append(t.head, "status code "...), int64(code), 10)
	}
	t.head = append(t.head, '\r', '\n')
	for name, values := range t.answer {
		switch name {
		case "Transfer-Encoding":
			continue
		case "Content-Length":
			if n, err := strconv.ParseUint(strings.Join(values, ","), 10, 31); err == nil {
				t.length = int(n)
			}
			continue
		case "Content-Type", "Content-Encoding":
			t.typed = true
		case "Date":
			t.dated = true
		case "Connection":
			for _, value := range values {
				t.close = t.close || strings.EqualFold(value, "close")
			}
		}
		t.appendHeader(name, values)
	}
}

// appendHeader appends lines. Like net/http it leaves out names that are none,
// and lets no value end its line.
func (t *turn) appendHeader(name string, values []string) {
	for i := range len(name) {
		if !characters[name[i]].inName() {
			return
		}
	}
	if name == "" {
		return
	}
	for _, value := range values {
		t.head = append(append(t.head, name...), ':', ' ')
		t.head = append(append(t.head, oneLine(value)...), '\r', '\n')
	}
}

// oneLine is a value that stays on its line, without space around it.
func oneLine(value string) string {
	for i := range len(value) {
		if c := value[i]; c == '\n' || c == '\r' || (c == ' ' || c == '\t') && (i == 0 || i == len(value)-1) {
			return strings.Trim(strings.NewReplacer("\n", " ", "\r", " ").Replace(value), " \t")
		}
	}
	return value
}

// Write implements http.ResponseWriter.
func (t *turn) Write(p []byte) (int, error) {
	if t.code == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if bodiless(t.code) {
		return 0, http.ErrBodyNotAllowed
	}
	if t.length >= 0 && len(t.body)+len(p) > t.length {
		t.broken = true
		return 0, http.ErrContentLength
	}
	t.body = append(t.body, p...)
	return len(p), nil
}

func bodiless(code int) bool { return code == http.StatusNoContent || code == http.StatusNotModified }

// finish gives the answer, and whether it is the connection's last. There is
// none where the handler has written less than it has said: what is short must
// not pass for whole.
func (t *turn) finish(date string) (answer []byte, last bool) {
	if t.code == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if t.length >= 0 && len(t.body) < t.length && !bodiless(t.code) {
		return nil, true
	}
	if !t.dated {
		t.head = append(t.head, date...)
	}
	if t.close && len(t.answer["Connection"]) == 0 {
		t.head = append(t.head, "Connection: close\r\n"...)
	}
	if !bodiless(t.code) {
		if !t.typed && len(t.body) > 0 {
			t.head = append(append(append(t.head, "Content-Type: "...), http.DetectContentType(t.body)...), '\r', '\n')
		}
		t.head = append(strconv.AppendInt(append(t.head, "Content-Length: "...), int64(len(t.body)), 10), '\r', '\n')
	}
	t.head = append(t.head, '\r', '\n')
	t.head = append(t.head, t.body...)
	return t.head, t.close || t.broken
}
