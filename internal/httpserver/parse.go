package httpserver

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// verdict is what has been read.
type verdict uint8

const (
	partial verdict = iota // the beginning of a request, so far of the grammar
	headed                 // a request whose body is not all there
	whole                  // a request
	foreign                // something for net/http
)

// character says where a byte may stand.
type character uint8

const (
	nameCharacter  character = 1 << iota // token of RFC 9110, section 5.6.2
	valueCharacter                       // visible ASCII and the space
	pathCharacter                        // of a path that means itself: no escapes
	queryCharacter                       // visible ASCII that does not end a query
	hostCharacter                        // of a name or an address, with a port
)

func (c character) inName() bool { return c&nameCharacter != 0 }

var characters = func() (all [256]character) {
	set := func(c byte, as character) { all[c] |= as }
	for c := byte(' '); c <= '~'; c++ {
		set(c, valueCharacter)
		if c != ' ' && c != '#' {
			set(c, queryCharacter)
		}
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if letter || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			set(c, nameCharacter)
		}
		if letter || strings.IndexByte("/-._~:@", c) >= 0 {
			set(c, pathCharacter)
		}
		if letter || strings.IndexByte("-.:[]_", c) >= 0 {
			set(c, hostCharacter)
		}
	}
	return all
}()

// plain reports whether all bytes may stand there.
func plain(text []byte, as character) bool {
	for _, c := range text {
		if characters[c]&as == 0 {
			return false
		}
	}
	return true
}

// canonical has the names that clients send, as they send them, and as
// http.CanonicalHeaderKey writes them; others are for that function.
var canonical = func() map[string]string {
	names := make(map[string]string)
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection", "Content-Length",
		"Content-Type", "Cookie", "Host", "If-Match", "If-None-Match", "Origin", "Referer", "User-Agent", "X-Buyer-Id",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "Traceparent",
	} {
		names[name] = name
		names[strings.ToLower(name)] = name
	}
	names["X-Buyer-ID"] = "X-Buyer-Id"
	return names
}()

// methods are those of the grammar, with what follows them.
var methods = [...]string{"GET ", "POST ", "DELETE ", "PATCH "}

// parse reads one request, and says how many bytes it has. The grammar, for
// which RFC 9112 has more forms than this:
//
//	request = ("GET" | "POST" | "DELETE" | "PATCH") " " path ["?" query] " HTTP/1.1" CRLF
//	          1*32(name ":" value CRLF) CRLF [body]
//
// The path begins with one slash and has no escapes. Each name stands once,
// and Host is there. A body has its length in up to four digits; none of the
// other headers that change how a connection or a body is read may be there.
func (t *turn) parse(from []byte) (int, verdict) {
	line, rest, ok := nextLine(from)
	if !ok {
		return 0, unfinished(from)
	}
	target, verdict := t.parseStart(line)
	if verdict != whole {
		return 0, verdict
	}
	var h head
	for {
		line, after, ok := nextLine(rest)
		if !ok {
			return 0, unfinishedHeader(rest)
		}
		rest = after
		if len(line) == 0 {
			break
		}
		if !t.parseHeader(line, &h) {
			return 0, foreign
		}
	}
	if h.host == nil || h.length > 0 && t.request.Method == http.MethodGet {
		return 0, foreign
	}
	if len(rest) < h.length {
		return 0, headed
	}
	t.keep(target, &h, rest[:h.length])
	return len(from) - len(rest) + h.length, whole
}

// head is what is known of a head, as it stands in the buffer.
type head struct {
	host   []byte
	length int
	names  [mostHeaders]string
	values [mostHeaders][]byte
	count  int
}

// nextLine splits a line off that ends as lines end. Where it is false there is
// none, or one that ends otherwise: unfinished tells.
func nextLine(from []byte) (line, rest []byte, ok bool) {
	end := bytes.IndexByte(from, '\n')
	if end < 1 || from[end-1] != '\r' {
		return nil, nil, false
	}
	return from[:end-1], from[end+1:], true
}

// newlines counts the line ends with which a client may wrongly begin a request
// after a POST, among the first four bytes: net/http passes over them there
// (RFC 9112, section 2.2).
func newlines(from []byte) int {
	n := 0
	for n < min(len(from), leastBegun) && (from[n] == '\r' || from[n] == '\n') {
		n++
	}
	return n
}

// unfinished judges a request line that has not ended.
func unfinished(from []byte) verdict {
	if bytes.IndexByte(from, '\n') >= 0 {
		return foreign
	}
	for _, method := range methods {
		n := min(len(method), len(from))
		if string(from[:n]) == method[:n] {
			return partial
		}
	}
	return foreign
}

// unfinishedHeader judges a header that has not ended.
func unfinishedHeader(from []byte) verdict {
	if bytes.IndexByte(from, '\n') >= 0 {
		return foreign
	}
	return partial
}

// parseStart reads the request line, and gives the target.
func (t *turn) parseStart(line []byte) (target []byte, verdict verdict) {
	const version = " HTTP/1.1"
	if !bytes.HasSuffix(line, []byte(version)) {
		return nil, foreign
	}
	line = line[:len(line)-len(version)]
	for _, method := range methods {
		if len(line) <= len(method) || string(line[:len(method)]) != method {
			continue
		}
		target = line[len(method):]
		path, query, queried := bytes.Cut(target, []byte{'?'})
		switch {
		case len(path) == 0 || path[0] != '/' || len(path) > 1 && path[1] == '/' || !plain(path, pathCharacter):
			return nil, foreign
		case queried && (len(query) == 0 || !plain(query, queryCharacter)):
			return nil, foreign
		}
		t.request.Method, t.path = method[:len(method)-1], path
		return target, whole
	}
	return nil, foreign
}

// parseHeader reads a header's line, and reports whether it is of the grammar.
func (t *turn) parseHeader(line []byte, h *head) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || h.count == mostHeaders || !plain(line[:colon], nameCharacter) {
		return false
	}
	value := bytes.Trim(line[colon+1:], " ")
	if !plain(value, valueCharacter) {
		return false
	}
	name, known := canonical[string(line[:colon])]
	if !known {
		name = http.CanonicalHeaderKey(string(line[:colon]))
	}
	switch name {
	case "Host":
		if h.host != nil || len(value) == 0 || !plain(value, hostCharacter) {
			return false
		}
		h.host = value
		return true
	case "Content-Length":
		return t.parseLength(value, h) && h.add(name, value)
	case "Connection":
		return bytes.EqualFold(value, []byte("keep-alive")) && h.add(name, value)
	case "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect", "Keep-Alive", "Proxy-Connection", "Http2-Settings", "Pragma":
		return false
	}
	return h.add(name, value)
}

// parseLength reads a length; add refuses a second one.
func (*turn) parseLength(value []byte, h *head) bool {
	if len(value) < 1 || len(value) > 4 || value[0] == '0' && len(value) > 1 {
		return false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
		h.length = h.length*10 + int(c-'0')
	}
	return h.length <= mostBody
}

// add notes a header that is not there yet.
func (h *head) add(name string, value []byte) bool {
	for _, other := range h.names[:h.count] {
		if other == name {
			return false
		}
	}
	h.names[h.count], h.values[h.count] = name, value
	h.count++
	return true
}

// keep copies a request out of the buffer: as one text, of which all others are
// parts.
func (t *turn) keep(target []byte, h *head, read []byte) {
	size := len(target) + len(h.host)
	for _, value := range h.values[:h.count] {
		size += len(value)
	}
	var text strings.Builder
	text.Grow(size)
	text.Write(target)
	text.Write(h.host)
	for _, value := range h.values[:h.count] {
		text.Write(value)
	}
	all := text.String()
	cut := func(n int) (part string) {
		part, all = all[:n], all[n:]
		return part
	}
	uri, host := cut(len(target)), cut(len(h.host))
	for i, name := range h.names[:h.count] {
		t.values[i] = cut(len(h.values[i]))
		t.header[name] = t.values[i : i+1 : i+1]
	}
	path, query, _ := strings.Cut(uri, "?")
	t.url = url.URL{Path: path, RawQuery: query}
	method := t.request.Method
	if !t.life.begin() {
		t.life = newLife()
	}
	t.request = t.life.blank
	t.request.Method, t.request.URL, t.request.RequestURI, t.request.Host = method, &t.url, uri, host
	t.request.Proto, t.request.ProtoMajor, t.request.ProtoMinor = "HTTP/1.1", 1, 1
	t.request.Header, t.request.Body = t.header, http.NoBody
	if len(read) > 0 {
		t.read = append(t.read[:0], read...)
		t.content.Reset(t.read)
		t.request.Body, t.request.ContentLength = &t.content, int64(len(read))
	}
}
