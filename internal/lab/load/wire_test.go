package load

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// raw is a server that answers every request on a connection with the same
// bytes, whatever they are, and counts connections.
func raw(t *testing.T, answer string, hangsUp bool) (address string, connections chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	connections = make(chan struct{}, 100)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections <- struct{}{}
			go func() {
				defer connection.Close()
				for in := bufio.NewReader(connection); ; {
					request, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					// Byte by byte, so that it comes in many pieces.
					if _, err := io.Copy(connection, iotest.OneByteReader(strings.NewReader(answer))); err != nil || hangsUp {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String(), connections
}

func TestReadAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 3000)
	for name, c := range map[string]struct {
		answer  string
		hangsUp bool
		status  int
		body    string
		etag    string
		failure string
		opened  int // connections for three calls
	}{
		"a length":          {"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\nETag: W/\"x\"\r\n\r\nhello", false, 202, "hello", `W/"x"`, "", 1},
		"no reason":         {"HTTP/1.1 202\r\ncontent-length:5\r\n\r\nhello", false, 202, "hello", "", "", 1},
		"a long body":       {"HTTP/1.1 200 OK\r\nETag: tag\r\nContent-Length: 30000\r\n\r\n" + long, false, 200, long, "tag", "", 1},
		"nothing":           {"HTTP/1.1 304 Not Modified\r\nETag: W/\"x\"\r\n\r\n", false, 304, "", `W/"x"`, "", 1},
		"no content":        {"HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", "", "", 1},
		"chunks":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", false, 200, "hello", "", "", 1},
		"no chunks":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 200, "", "", "", 1},
		"a long chunk":      {"HTTP/1.1 200 OK\r\nETag: tag\r\nTransfer-Encoding: chunked\r\n\r\n7530\r\n" + long + "\r\n0\r\n\r\n", false, 200, long, "tag", "", 1},
		"preliminary":       {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, 200, "ok", "", "", 1},
		"until the end":     {"HTTP/1.1 200 OK\r\n\r\nhello", true, 200, "hello", "", "", 3},
		"close":             {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", false, 200, "hello", "", "", 3},
		"of HTTP/1.0":       {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, 200, "hello", "", "", 3},
		"1.0, kept alive":   {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", false, 200, "hello", "", "", 1},
		"the same twice":    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", false, 200, "hello", "", "", 1},
		"two lengths":       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", false, 0, "", "", ErrorMalformed, 3},
		"length and chunks": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 0, "", "", ErrorMalformed, 3},
		"a negative length": {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", false, 0, "", "", ErrorMalformed, 3},
		"another encoding":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", false, 0, "", "", ErrorMalformed, 3},
		"a bad chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", false, 0, "", "", ErrorMalformed, 3},
		"a chunk too long":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n0\r\n\r\n", false, 0, "", "", ErrorMalformed, 3},
		"not HTTP":          {"220 mail ready\r\n\r\n", false, 0, "", "", ErrorMalformed, 3},
		"HTTP/2":            {"HTTP/2.0 200 OK\r\n\r\n", false, 0, "", "", ErrorMalformed, 3},
		"a broken header":   {"HTTP/1.1 200 OK\r\nno header\r\n\r\n", false, 0, "", "", ErrorMalformed, 3},
		"cut off":           {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", true, 0, "", "", ErrorConnection, 3},
		"cut off in chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", true, 0, "", "", ErrorConnection, 3},
		"no answer":         {"", true, 0, "", "", ErrorConnection, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, connections := raw(t, c.answer, c.hangsUp)
			w := &wire{address: address, timeout: 10 * time.Second}
			defer w.close()
			out := requests{host: address, phase: &Phase{Products: []string{"console"}, Crowd: "c"}}
			for n := range 3 {
				a, err := w.call(t.Context(), out.buy(n), 0)
				switch {
				case c.failure != "" && (err == nil || failureOf(err) != c.failure):
					t.Fatalf("call %d: %v, want %s", n, err, c.failure)
				case c.failure == "" && (err != nil || a.status != c.status || string(a.body) != c.body || string(a.etag) != c.etag):
					t.Fatalf("call %d: %d %q %q, %v", n, a.status, a.body, a.etag, err)
				}
			}
			if opened := len(connections); opened != c.opened {
				t.Errorf("%d connections for three calls, want %d", opened, c.opened)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	of := &Phase{Products: []string{"one", "two"}, Crowd: "crowd", MerchantToken: "token", Quantity: 2}
	r := requests{host: "127.0.0.1:80", phase: of}
	for name, c := range map[string]struct {
		request []byte
		method  string
		url     string
		header  map[string]string
		body    string
	}{
		"buy":     {cloneOf(r.buy(7)), "POST", "/v1/products/two/buy", map[string]string{"X-Buyer-ID": "crowd-7"}, `{"quantity":2}`},
		"ask":     {cloneOf(r.ask("t", `W/"x"`, 0)), "GET", "/queue/t", map[string]string{"If-None-Match": `W/"x"`}, ""},
		"wait":    {cloneOf(r.ask("t", "", 20*time.Second)), "GET", "/queue/t?wait=20s", nil, ""},
		"confirm": {cloneOf(r.confirm("t", "p")), "POST", "/v1/holds/t/confirm", map[string]string{"Authorization": "Bearer token"}, `{"payment_reference":"p"}`},
		"abandon": {cloneOf(r.abandon("t")), "DELETE", "/queue/t", nil, ""},
		"upgrade": {cloneOf(r.upgrade("t", "x", "key")), "GET", "/queue/t/ws?after=x", map[string]string{"Upgrade": "websocket", "Sec-WebSocket-Key": "key"}, ""},
	} {
		got, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(c.request))))
		if err != nil {
			t.Errorf("%s: %v in %q", name, err, c.request)
			continue
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || got.Method != c.method || got.URL.String() != c.url || string(body) != c.body || got.Host != r.host {
			t.Errorf("%s: %q, %v", name, c.request, err)
		}
		for key, want := range c.header {
			if got.Header.Get(key) != want {
				t.Errorf("%s: header %s is %q, want %q", name, key, got.Header.Get(key), want)
			}
		}
	}
}

func cloneOf(request []byte) []byte { return append([]byte(nil), request...) }

func TestMemberReadsWhatJSONDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,20}`), rapid.SampledFrom([]string{`"state":"held"`, `state`, `"`, `\`, `","state":"x`}))
		status := map[string]any{
			"detail": text.Draw(t, "detail"), "product": text.Draw(t, "product"), "zone": []string{text.Draw(t, "zone")},
			"state": string(rapid.SampledFrom(states[:]).Draw(t, "state")), "ticket": rapid.StringMatching(`[a-zA-Z0-9._-]{1,40}`).Draw(t, "ticket"),
		}
		position, has := rapid.Int64Range(0, 1e9).Draw(t, "position"), rapid.Bool().Draw(t, "has")
		if has {
			status["position"] = position
		}
		encoded, err := json.Marshal(status)
		if rapid.Bool().Draw(t, "indented") {
			encoded, err = json.MarshalIndent(status, "", "  ")
		}
		if err != nil {
			t.Fatal(err)
		}
		got, readable := readStatus(encoded)
		if !readable || got.state != sale.State(status["state"].(string)) || string(got.ticket) != status["ticket"] {
			t.Fatalf("%+v of %s", got, encoded)
		}
		if want := position; has && got.position != want || !has && got.position != -1 {
			t.Fatalf("position %d of %s", got.position, encoded)
		}
	})
}

func TestLeadsTo(t *testing.T) {
	t.Parallel()
	for _, from := range states {
		for _, to := range states {
			want := false
			for reach := []sale.State{from}; len(reach) > 0 && !want; reach = reach[1:] {
				for _, next := range states {
					if reach[0].CanBecome(next) {
						want = want || next == to
						reach = append(reach, next)
					}
				}
			}
			if got := leadsTo(from, to); got != want {
				t.Errorf("%s leads to %s: %t, want %t", from, to, got, want)
			}
		}
	}
}
