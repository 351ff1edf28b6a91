package httpserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const click = "POST /v1/products/console/buy HTTP/1.1\r\n" +
	"Host: shop.example:8080\r\n" +
	"X-Buyer-ID: ann\r\n" +
	"content-type: application/json\r\n" +
	"Content-Length: 14\r\n" +
	"\r\n" +
	`{"quantity":1}`

const poll = "GET /queue/v1.AAB-_.c?a=%20b HTTP/1.1\r\nHost: [::1]:80\r\nAccept:  */*  \r\nConnection: Keep-Alive\r\n\r\n"

// verdicts are requests of the grammar, and what makes them others.
var verdicts = []struct {
	name string
	from string
	want verdict
}{
	{"click", click, whole},
	{"poll", poll, whole},
	{"no body", "DELETE /queue/t HTTP/1.1\r\nHost: h\r\n\r\n", whole},
	{"a length of nothing", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", whole},
	{"what follows is another's", poll + click, whole},

	{"nothing", "", partial},
	{"a method that begins", "POS", partial},
	{"another method that begins", "HE", foreign},
	{"another method", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"a method in small letters", "get / HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", foreign},
	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", foreign},
	{"no version", "GET /\r\nHost: h\r\n\r\n", foreign},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"two slashes", "GET //evil/a HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"absolute form", "GET http://evil/ HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"an escape in the path", "GET /a%2fb HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"a fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"a fragment in the query", "GET /a?b#c HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"an empty query", "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n", foreign},
	{"a line feed alone", "GET / HTTP/1.1\nHost: h\r\n\r\n", foreign},
	{"a line feed alone in the head", "GET / HTTP/1.1\r\nHost: h\n\r\n", foreign},
	{"a line feed alone at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", foreign},
	{"a carriage return in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", foreign},
	{"a NUL", "GET / HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n", foreign},
	{"a tab", "GET / HTTP/1.1\r\nHost: h\r\nA: b\tc\r\n\r\n", foreign},
	{"bytes above ASCII", "GET / HTTP/1.1\r\nHost: h\r\nA: \xc3\xa4\r\n\r\n", foreign},
	{"a line that goes on", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", foreign},
	{"a space before the colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", foreign},
	{"no colon", "GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", foreign},
	{"no name", "GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n", foreign},
	{"no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", foreign},
	{"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", foreign},
	{"two hosts", "GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n", foreign},
	{"a strange host", "GET / HTTP/1.1\r\nHost: h/a\r\n\r\n", foreign},
	{"a name twice", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\na: c\r\n\r\n", foreign},
	{"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na", foreign},
	{"a list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na", foreign},
	{"a signed length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na", foreign},
	{"a length with a zero before it", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 01\r\n\r\na", foreign},
	{"no length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\na", foreign},
	{"a length above that of any body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4097\r\n\r\na", foreign},
	{"a body of a GET", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na", foreign},
	{"chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", foreign},
	{"chunks and a length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", foreign},
	{"a client that waits", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", foreign},
	{"an upgrade", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", foreign},
	{"a last request", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", foreign},
	{"what net/http reads as another header", "GET / HTTP/1.1\r\nHost: h\r\nPragma: no-cache\r\n\r\n", foreign},
	{"too many headers", "GET / HTTP/1.1\r\nHost: h\r\n" + many(mostHeaders+1) + "\r\n", foreign},
	{"as many headers as there may be", "GET / HTTP/1.1\r\nHost: h\r\n" + many(mostHeaders) + "\r\n", whole},
}

func many(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "A%d: b\r\n", i)
	}
	return lines.String()
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range verdicts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, got := parsed(c.from); got != c.want {
				t.Errorf("verdict %d, want %d", got, c.want)
			}
			agree(t, []byte(c.from))
		})
	}
}

// TestParsePart: all that a request begins with may become one.
func TestParsePart(t *testing.T) {
	t.Parallel()
	for _, request := range []string{click, poll} {
		for n := 1; n < len(request); n++ {
			want := partial
			if strings.Contains(request[:n], "\r\n\r\n") {
				want = headed
			}
			if _, got := parsed(request[:n]); got != want {
				t.Errorf("%q is %d, want %d", request[:n], got, want)
			}
		}
	}
}

// TestParseLeavesNothing: what a turn is used for does not show in what it is
// used for next.
func TestParseLeavesNothing(t *testing.T) {
	t.Parallel()
	used := newTurn()
	for _, c := range verdicts {
		used.parse([]byte(c.from))
		used.WriteHeader(http.StatusTeapot)
		used.finish("")
		used.reset()
		n, verdict := used.parse([]byte(poll))
		fresh := newTurn()
		fresh.parse([]byte(poll))
		if verdict != whole || n != len(poll) || !reflect.DeepEqual(used.request, fresh.request) || used.code != 0 || len(used.answer) != 0 {
			t.Fatalf("after %q: %+v, want %+v", c.from, used.request, fresh.request)
		}
		used.reset()
	}
}

// TestParseMeansTheSame: whatever is served here, net/http would have served,
// and as the same request.
func TestParseMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(verdicts[rapid.IntRange(0, len(verdicts)-1).Draw(t, "request")].from)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(text)).Draw(t, "at")
			with := rapid.OneOf(
				rapid.SliceOfN(rapid.Byte(), 0, 2),
				rapid.SampledFrom([][]byte{{'\r', '\n'}, {'\n'}, {' '}, {'\t'}, {':'}, {'%'}, {'0'}, []byte("\r\nContent-Length: 3"), []byte("\r\nA: b")}),
			).Draw(t, "with")
			until := min(len(text), at+rapid.IntRange(0, 2).Draw(t, "instead of"))
			text = append(append(append([]byte(nil), text[:at]...), with...), text[until:]...)
		}
		agree(t, text)
	})
}

func FuzzParse(f *testing.F) {
	for _, c := range verdicts {
		f.Add([]byte(c.from))
	}
	f.Fuzz(func(t *testing.T, text []byte) { agree(t, text) })
}

func parsed(text string) (int, verdict) { return newTurn().parse([]byte(text)) }

// agree holds what is parsed against net/http.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, text []byte) {
	t.Helper()
	served := newTurn()
	n, verdict := served.parse(text)
	if verdict != whole {
		return
	}
	reader := bufio.NewReader(bytes.NewReader(text))
	want, err := http.ReadRequest(reader)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", text, err)
	}
	wantBody, err := io.ReadAll(want.Body)
	if err != nil {
		t.Fatalf("net/http cannot read the body of %q: %v", text, err)
	}
	rest, _ := io.ReadAll(reader)
	got := served.request
	gotBody, _ := io.ReadAll(got.Body)
	switch {
	case len(text)-len(rest) != n:
		t.Fatalf("%q ends at %d, for net/http at %d", text, n, len(text)-len(rest))
	case got.Method != want.Method || got.Host != want.Host || got.RequestURI != want.RequestURI || got.Proto != want.Proto ||
		got.ProtoMajor != want.ProtoMajor || got.ProtoMinor != want.ProtoMinor || got.ContentLength != want.ContentLength ||
		got.Close != want.Close || len(want.TransferEncoding) > 0 || len(want.Trailer) > 0 || (got.Body == http.NoBody) != (want.Body == http.NoBody):
		t.Fatalf("%q is %+v, for net/http %+v", text, got, want)
	case *got.URL != *want.URL:
		t.Fatalf("the URL of %q is %+v, for net/http %+v", text, got.URL, want.URL)
	case !reflect.DeepEqual(got.Header, want.Header):
		t.Fatalf("the headers of %q are %v, for net/http %v", text, got.Header, want.Header)
	case !bytes.Equal(gotBody, wantBody):
		t.Fatalf("the body of %q is %q, for net/http %q", text, gotBody, wantBody)
	}
}
