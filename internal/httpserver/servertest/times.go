package servertest

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// testTimes is about clients that are slow, or silent. How long a server takes
// is not measured: only that what has to end does, and that what may go on does.
func testTimes(t *testing.T, start Start) {
	const short = 150 * time.Millisecond
	subtests(t, start, map[string]func(*testing.T, Start){
		"a new connection that says nothing": func(t *testing.T, start Start) {
			limits := patient
			limits.ReadHeader = short
			c := serve(t, start, limits, newEcho()).dial(t)
			if answers := c.rest(); len(answers) > 0 && !answers[0].refuses() {
				t.Errorf("answers %q", c.text())
			}
		},
		"a head that comes a byte at a time": func(t *testing.T, start Start) {
			limits := patient
			limits.ReadHeader = short
			w := serve(t, start, limits, newEcho())
			for name, before := range map[string]string{"first": "", "second": get()} {
				c := w.dial(t)
				c.send(before)
				c.answers(strings.Count(before, "HTTP"))
				c.send("GET /slow HTTP/1.1\r\nHost: h\r\nX: ")
				c.drip(t, name)
				for _, got := range c.rest()[strings.Count(before, "HTTP"):] {
					if !got.refuses() {
						t.Errorf("%s: answer %s", name, got.text())
					}
				}
			}
		},
		"a head whose last byte does not come": func(t *testing.T, start Start) {
			limits := patient
			limits.ReadHeader = short
			c := serve(t, start, limits, newEcho()).dial(t)
			c.send(strings.TrimSuffix(get(), "\n"))
			c.rest()
		},
		"an idle connection": func(t *testing.T, start Start) {
			limits := patient
			limits.Idle = short
			w := serve(t, start, limits, newEcho())
			for _, text := range []string{get(), post("x", "Content-Length: 1"), get() + "\r"} {
				c := w.dial(t)
				c.send(text)
				if answers := c.rest(); len(answers) != 1 {
					t.Errorf("answers %q", c.text())
				}
			}
		},
		"an idle connection has more time than a head": func(t *testing.T, start Start) {
			limits := patient
			limits.ReadHeader = short
			c := serve(t, start, limits, newEcho()).dial(t)
			for n := range 3 {
				c.send(get())
				c.answers(n + 1)
				if !c.silent(2 * short) {
					t.Fatalf("after answer %d the connection ends, or there is more: %q", n, c.text())
				}
			}
		},
		"a handler has more time than a head": func(t *testing.T, start Start) {
			limits := patient
			limits.ReadHeader, limits.Idle = short, short
			c := serve(t, start, limits, marked(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-time.After(3 * short):
				case <-r.Context().Done():
					t.Error("the context ends")
				}
				say(w, "fine")
			})).dial(t)
			c.send(get())
			if got := c.answer(); got.body != "fine" {
				t.Errorf("answer %s", got.text())
			}
		},
		"a body that does not come": func(t *testing.T, start Start) {
			failed := make(chan error, 1)
			w := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				if err := control.SetReadDeadline(time.Now().Add(short)); err != nil {
					t.Errorf("setting a deadline: %v", err)
				}
				_, err := io.ReadAll(r.Body)
				failed <- err
				// The deadline stays: net/http waits once more for the rest of
				// the body before it answers, and without one for ever.
				w.WriteHeader(http.StatusBadRequest)
			}))
			for _, text := range []string{streamedPost("he", "Content-Length: 5"), streamedPost("5\r\nhe", "Transfer-Encoding: chunked"), streamedPost("", "Content-Length: 5", "Expect: 100-continue")} {
				c := w.dial(t)
				c.send(text)
				if err := within(t, "the end of the reading", failed); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("reading ends with %v", err)
				}
				if answers := c.rest(); len(answers) != 1 || answers[0].status != http.StatusBadRequest {
					t.Errorf("answers %q", c.text())
				}
			}
		},
		"a body that is slow in coming": func(t *testing.T, start Start) {
			limits := patient
			limits.ReadHeader, limits.Idle = short, short
			c := serve(t, start, limits, newEcho()).dial(t)
			c.send(post("", "Content-Length: 5"))
			if !c.silent(3 * short) {
				t.Fatalf("the time for a head ends a body: %q", c.text())
			}
			c.send("hello")
			c.answer()
		},
		"a reading deadline ends with its request": func(t *testing.T, start Start) {
			c := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(short))
				}
				_, _ = io.Copy(io.Discard, r.Body)
				say(w, "fine")
			})).dial(t)
			c.send(post("x", "Content-Length: 1"))
			c.answer()
			if !c.silent(3 * short) {
				t.Fatalf("the connection ends: %q", c.text())
			}
			c.send(get())
			c.answers(2)
		},
		"a writing deadline ends with its request": func(t *testing.T, start Start) {
			c := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(short)); err != nil {
						t.Errorf("setting a deadline: %v", err)
					}
				}
				say(w, "fine")
			})).dial(t)
			c.send(post("x", "Content-Length: 1"))
			c.answer()
			if !c.silent(3 * short) {
				t.Fatalf("the connection ends: %q", c.text())
			}
			c.send(get())
			if answers, _ := c.answers(2); len(answers) != 2 {
				t.Errorf("answers %q", c.text())
			}
		},
		"a client that does not read, and the server's limit": func(t *testing.T, start Start) {
			limits := patient
			limits.Write = short
			neverReads(t, start, limits, func(http.ResponseWriter) {})
		},
		"a client that does not read, and the handler's limit": func(t *testing.T, start Start) {
			neverReads(t, start, patient, func(w http.ResponseWriter) {
				_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(short))
			})
		},
		"a client that does not read what it asks for": pipelinesOnly,
	})
}

// drip sends bytes with time between them, until the server ends the
// connection.
func (c *client) drip(t *testing.T, name string) {
	t.Helper()
	deadline := time.After(patience)
	drop := time.NewTicker(10 * time.Millisecond)
	defer drop.Stop()
	for !c.hasEnded() {
		select {
		case <-drop.C:
			c.send("a")
		case <-deadline:
			t.Fatalf("%s: the server waits for ever", name)
		}
	}
}

// neverReads holds that a handler's writing ends, and its connection.
func neverReads(t *testing.T, start Start, limits Limits, limit func(http.ResponseWriter)) {
	failed := make(chan error, 1)
	w := serve(t, start, limits, marked(func(w http.ResponseWriter, _ *http.Request) {
		limit(w)
		part := []byte(strings.Repeat("a", 64<<10))
		for range 1 << 10 { // more than any socket holds
			_, err := w.Write(part)
			if err == nil {
				err = http.NewResponseController(w).Flush()
			}
			if err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}))
	conn := w.connect(t)
	_ = conn.SetReadBuffer(4 << 10)
	if _, err := conn.Write([]byte(streamed())); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the end of the writing", failed); err == nil {
		t.Error("64 MiB are written to a client that does not read")
	}
	if !waitFor(func() bool { return w.open() == 0 }) {
		t.Error("the connection stays open")
	}
}

// pipelinesOnly sends requests and reads no answers: the server must stop
// reading, not keep the answers.
func pipelinesOnly(t *testing.T, start Start) {
	w := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) { say(w, strings.Repeat("a", 64<<10)) }))
	conn := w.connect(t)
	requests := []byte(strings.Repeat(get(), 1000))
	sent := 0
	for sent < 64<<20 {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := conn.Write(requests)
		sent += n
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return
		}
		if err != nil {
			return // it was cut off, which is as good
		}
	}
	t.Errorf("the server has taken %d MiB of requests, of which no answer was read", sent>>20)
}
