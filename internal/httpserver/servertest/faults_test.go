package servertest

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// faulty is net/http with connections that change what passes.
type faulty struct {
	*http.Server
	read, write func([]byte) []byte // nil changes nothing; neither makes it longer
	keeps       bool                // does not close
}

func (f *faulty) Serve(l net.Listener) error { return f.Server.Serve(&faultyListener{l, f}) }

type faultyListener struct {
	net.Listener
	fault *faulty
}

func (l *faultyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &faultyConn{conn, l.fault}, err
}

type faultyConn struct {
	net.Conn
	fault *faulty
}

func (c *faultyConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if c.fault.read == nil || n == 0 {
			return n, err
		}
		if m := copy(p, c.fault.read(p[:n])); m > 0 || err != nil {
			return m, err
		}
	}
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if c.fault.write == nil {
		return c.Conn.Write(p)
	}
	_, err := c.Conn.Write(c.fault.write(p))
	return len(p), err
}

func (c *faultyConn) Close() error {
	if c.fault.keeps {
		_, _ = c.Conn.Read(make([]byte, 1)) // until the client has gone
	}
	return c.Conn.Close()
}

func replaced(old, to string) func([]byte) []byte {
	return func(p []byte) []byte { return bytes.ReplaceAll(p, []byte(old), []byte(to)) }
}

// TestFaultsAreFound by some case, so that the comparison compares.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(http.Handler) *faulty{
		"an underscore is a hyphen":      func(h http.Handler) *faulty { return over(h, replaced("Content_", "Content-"), nil) },
		"a bare carriage return is none": func(h http.Handler) *faulty { return over(h, replaced("a\rb", "a b"), nil) },
		"a space before a colon is none": func(h http.Handler) *faulty { return over(h, replaced(" :", ":"), nil) },
		"the coding is not looked at":    func(h http.Handler) *faulty { return over(h, replaced("xchunked", "chunked"), nil) },
		"a second length wins": func(h http.Handler) *faulty {
			return over(h, replaced("Content-Length: 5\r\nContent-Length: 6", "X: 0\r\nContent-Length: 6"), nil)
		},
		"the method is made large": func(h http.Handler) *faulty { return over(h, replaced("get /a", "GET /a"), nil) },
		"a status is another":      func(h http.Handler) *faulty { return over(h, nil, replaced("200 OK", "201 OK")) },
		"an answer is lost":        func(h http.Handler) *faulty { return over(h, nil, func([]byte) []byte { return nil }) },
		"an answer comes twice": func(h http.Handler) *faulty {
			return over(h, nil, func(p []byte) []byte { return append(p[:len(p):len(p)], p...) })
		},
		"an answer has a byte more": func(h http.Handler) *faulty {
			return over(h, nil, func(p []byte) []byte { return append(p[:len(p):len(p)], 'x') })
		},
		"a refusal passes":     func(h http.Handler) *faulty { return over(h, nil, replaced("400 Bad Request", "200 OK")) },
		"a connection is kept": func(h http.Handler) *faulty { f := over(h, nil, nil); f.keeps = true; return f },
		"the host is not the handler's": func(h http.Handler) *faulty {
			return over(changed(h, func(r *http.Request) { r.Host = "x" }), nil, nil)
		},
		"a field is lost": func(h http.Handler) *faulty {
			return over(changed(h, func(r *http.Request) { r.Header.Del("X") }), nil, nil)
		},
		"a body is not read": func(h http.Handler) *faulty {
			return over(changed(h, func(r *http.Request) { r.Body = http.NoBody }), nil, nil)
		},
		"the path is cleaned": func(h http.Handler) *faulty {
			return over(changed(h, func(r *http.Request) { r.URL.Path = strings.ReplaceAll(r.URL.Path, "..", "") }), nil, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reference := newReference(t, patient, nil)
			e := newEcho()
			w := serve(t, func(h http.Handler, _ Limits) Server { return fault(h) }, patient, e)
			w.patience = 300 * time.Millisecond // what does not come has to be waited for
			for _, c := range bytesCases() {
				want, err := reference.do(c.text)
				if err != nil {
					t.Fatal(err)
				}
				if w.exchange(t, e, want, c.text) != nil {
					return
				}
			}
			t.Error("no case finds it")
		})
	}
}

func over(h http.Handler, read, write func([]byte) []byte) *faulty {
	return &faulty{Server: netHTTP(h, patient).(*http.Server), read: read, write: write}
}

func changed(h http.Handler, change func(*http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change(r)
		h.ServeHTTP(w, r)
	})
}
