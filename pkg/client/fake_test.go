package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// fake is a service that answers as it is told to. Its connections are pipes,
// so that it can be used in a bubble, where time passes only while all wait.
type fake struct {
	t           *testing.T
	connections chan net.Conn
	down        atomic.Bool // nobody reaches it
	started     time.Time

	mu      sync.Mutex
	scripts map[string][]http.HandlerFunc // by method and path
	asked   []asked
}

// asked is a request that came.
type asked struct {
	after time.Duration // since the fake began
	what  string        // method and path
	query string
	body  string
	head  http.Header
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, connections: make(chan net.Conn), scripts: map[string][]http.HandlerFunc{}, started: time.Now()}
	server := &http.Server{Handler: f}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(f) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return f
}

// Accept, Close and Addr make a listener of it.
func (f *fake) Accept() (net.Conn, error) {
	c, open := <-f.connections
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (f *fake) Close() error   { close(f.connections); return nil }
func (f *fake) Addr() net.Addr { return &net.IPAddr{} }

var errRefused = errors.New("connection refused")

// http gives a client that reaches the fake alone.
func (f *fake) http() *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if f.down.Load() {
				return nil, errRefused
			}
			mine, its := net.Pipe()
			select {
			case f.connections <- its:
				return mine, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}
	f.t.Cleanup(transport.CloseIdleConnections) // before the server is closed
	return &http.Client{Transport: transport}
}

func (f *fake) client(change ...func(*Config)) *Client {
	f.t.Helper()
	config := Config{URL: "http://service.test/base", OperatorToken: "of-operator", MerchantToken: "of-merchant", HTTP: f.http()}
	for _, c := range change {
		c(&config)
	}
	c, err := New(config)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// on tells what to answer, in turn, and the last one for ever.
func (f *fake) on(what string, script ...http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scripts[what] = script
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	what := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/base")
	f.mu.Lock()
	f.asked = append(f.asked, asked{time.Since(f.started), what, r.URL.RawQuery, string(body), r.Header})
	script := f.scripts[what]
	if len(script) > 1 {
		f.scripts[what] = script[1:]
	}
	f.mu.Unlock()
	if len(script) == 0 {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"code":"not_found"}`)
		return
	}
	script[0](w, r)
}

// requests gives what was asked so far.
func (f *fake) requests(what string) []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []asked
	for _, a := range f.asked {
		if what == "" || a.what == what {
			found = append(found, a)
		}
	}
	return found
}

// answer answers with a body.
func answering(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func problem(status int, code string, header ...string) http.HandlerFunc {
	return answering(status, fmt.Sprintf(`{"status":%d,"code":%q,"title":"no"}`, status, code), header...)
}

// cut answers with less than it announced.
func cut(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+100))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// short closes its connection after a body that ends too early, and does not
// say so.
func short(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
		_ = buffered.Flush()
		_ = connection.Close()
	}
}

// dropped closes the connection without an answer.
func dropped(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// streaming takes a WebSocket, sends the messages, and ends it with a code, or
// by dropping it where that is 0. It answers pings and ends with the client.
func streaming(code websocket.StatusCode, messages ...string) http.HandlerFunc {
	return streamed(func(ctx context.Context, c *websocket.Conn) {
		for _, message := range messages {
			if c.Write(ctx, websocket.MessageText, []byte(message)) != nil {
				return
			}
		}
		if code != 0 {
			_ = c.Close(code, "")
		}
	})
}

func streamed(serve func(context.Context, *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		serve(context.WithoutCancel(r.Context()), c)
	}
}

// told is a status as the service writes it; an empty position is none.
func told(state, position, more string) string {
	if position != "" {
		more = `"position":` + position + more
	} else {
		more = strings.TrimPrefix(more, ",")
	}
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"ticket":"T","id":"0-2","product":"console","quantity":1,"state":%q,`+
		`"requested_at":"2026-11-22T16:54:53.857Z","server_time":"2026-11-22T16:54:53.857Z","poll_after_ms":1000%s}`, state, more)
}

// inBubble runs a test whose time stands still while it works.
func inBubble(t *testing.T, test func(t *testing.T, f *fake)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newFake(t)) })
}
