package servertest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// subtests run beside each other, each with servers of its own.
func subtests(t *testing.T, start Start, tests map[string]func(*testing.T, Start)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start)
		})
	}
}

// testHandlers is about what a handler does while its client watches.
func testHandlers(t *testing.T, start Start) {
	subtests(t, start, map[string]func(*testing.T, Start){
		"what is flushed arrives before the handler ends": flushed,
		"100 Continue comes when the body is asked for":   continued,
		"no 100 Continue where nobody asks for the body":  notContinued,
		"a large body that nobody reads is not read":      unreadBody,
		"a body that arrives slowly":                      slowlyRead,
		"a panic ends its connection alone":               panics,
		"a panic after a flush cannot pass for an end":    panicsLate,
		"a client that leaves ends the context":           leaves,
		"a client that resets ends the context":           resets,
		"the context ends with the request":               contextEnds,
		"an answer after the client has said its last":    halfClosed,
		"clients do not wait for each other":              besides,
	})
}

func flushed(t *testing.T, start Start) {
	goOn := make(chan struct{})
	w := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) {
		for _, word := range strings.Fields("one two three") {
			say(w, word)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("flushing: %v", err)
			}
			<-goOn
		}
	}))
	c := w.dial(t)
	c.send(streamed() + next)
	for _, word := range []string{"one", "two", "three"} {
		if _, _, came := c.wait(patience, func(read []byte, _ bool) bool { return strings.Contains(string(read), word) }); !came {
			t.Errorf("%q does not come: %q", word, c.text())
		}
		goOn <- struct{}{}
	}
	close(goOn)
	if answers, _ := c.answers(2); len(answers) != 2 || answers[0].body != "onetwothree" {
		t.Errorf("answers %v", answers)
	}
}

func continued(t *testing.T, start Start) {
	ask := make(chan struct{})
	w := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) {
		<-ask
		body, err := io.ReadAll(r.Body)
		if string(body) != "hello" || err != nil {
			t.Errorf("read %q, %v", body, err)
		}
		say(w, "done")
	}))
	c := w.dial(t)
	c.send(post("", "Content-Length: 5", "Expect: 100-continue"))
	close(ask)
	const said = "HTTP/1.1 100 Continue\r\n\r\n"
	if read, _, came := c.wait(patience, func(read []byte, _ bool) bool { return len(read) >= len(said) }); !came || string(read) != said {
		t.Errorf("read %q", read)
	}
	c.send("hello")
	if got := c.answer(); got.status != http.StatusOK || got.body != "done" {
		t.Errorf("answer %s", got.text())
	}
}

func notContinued(t *testing.T, start Start) {
	w := serve(t, start, patient, marked(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }))
	c := w.dial(t)
	c.send(post("", "Content-Length: 5", "Expect: 100-continue"))
	// Whether the client sends its body after this is not known, so the
	// connection has to end. net/http waits for the body or the client's end,
	// for as long as that takes, and then does.
	c.answer()
	_ = c.conn.CloseWrite()
	if answers := c.rest(); len(answers) != 1 || answers[0].status != http.StatusConflict || !answers[0].closes() || len(answers[0].interim) != 0 {
		t.Errorf("answers %q", c.text())
	}
}

// unreadBody is a body of a megabyte, of which the client has sent the start.
func unreadBody(t *testing.T, start Start) {
	w := serve(t, start, patient, marked(func(w http.ResponseWriter, _ *http.Request) { say(w, "no") }))
	c := w.dial(t)
	c.send(post("x", "Content-Length: 1000000"))
	if answers := c.rest(); len(answers) != 1 || answers[0].body != "no" || !answers[0].closes() {
		t.Errorf("answers %q", c.text())
	}
}

func slowlyRead(t *testing.T, start Start) {
	e := newEcho()
	w := serve(t, start, patient, e)
	c := w.dial(t)
	c.sendApart(strings.Split(post("hello", "Content-Length: 5"), "")...)
	c.sendApart(strings.Split(post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "")...)
	if answers, _ := c.answers(2); len(answers) != 2 {
		t.Errorf("answers %q", c.text())
	}
}

// mayPanic waits for the client's word at /wait, and panics elsewhere.
func mayPanic(goOn <-chan struct{}, entered chan<- struct{}) http.Handler {
	return marked(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			entered <- struct{}{}
			<-goOn
			say(w, "fine")
		case "/panic":
			panic("told to")
		case "/abort":
			panic(http.ErrAbortHandler)
		case Streams + "/late":
			say(w, "some")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case Streams + "/late/length":
			w.Header().Set("Content-Length", "100")
			say(w, "some")
			_ = http.NewResponseController(w).Flush()
			panic("told to")
		}
	})
}

func panics(t *testing.T, start Start) {
	goOn, entered := make(chan struct{}), make(chan struct{}, 1)
	w := serve(t, start, patient, mayPanic(goOn, entered))
	other := w.dial(t)
	other.send(requestOf("GET /wait HTTP/1.1"))
	within(t, "the handler", entered)
	for _, path := range []string{"/panic", "/abort"} {
		c := w.dial(t)
		c.send(requestOf("GET "+path+" HTTP/1.1") + next)
		if answers := c.rest(); len(answers) != 0 {
			t.Errorf("%s is answered: %q", path, c.text())
		}
	}
	close(goOn)
	if got := other.answer(); got.body != "fine" {
		t.Errorf("the other's answer is %s", got.text())
	}
}

func panicsLate(t *testing.T, start Start) {
	w := serve(t, start, patient, mayPanic(nil, nil))
	for _, path := range []string{Streams + "/late", Streams + "/late/length"} {
		c := w.dial(t)
		c.send(requestOf("GET "+path+" HTTP/1.1") + next)
		read, ended, _ := c.wait(patience, func(_ []byte, ended bool) bool { return ended })
		if !ended {
			t.Fatalf("%s: the connection is not closed: %q", path, read)
		}
		if answers, left, err := parseAnswers(read, true); len(answers) > 0 || left == 0 || err != nil {
			t.Errorf("%s: %d answers seem whole, %v: %q", path, len(answers), err, read)
		}
	}
}

// waiter is a handler that waits for the end of its request's context and sends
// its cause; nil is that it does not end.
func waiter(entered chan struct{}, ended chan error) http.Handler {
	return marked(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		select {
		case <-r.Context().Done():
			ended <- context.Cause(r.Context())
		case <-time.After(patience / 2):
			ended <- nil
		}
	})
}

// leaveLimit is how long a handler may wait for a client that has left.
const leaveLimit = 3 * time.Second

func leaves(t *testing.T, start Start) { leavesBy(t, start, (*client).leave) }
func resets(t *testing.T, start Start) { leavesBy(t, start, (*client).close) }

// leave ends a connection as clients do.
func (c *client) leave() { _ = c.conn.Close() }

func leavesBy(t *testing.T, start Start, leave func(*client)) {
	entered, ended := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, start, patient, waiter(entered, ended))
	for how, text := range map[string]string{
		"get": get(), "post": post("hello", "Content-Length: 5"),
		"chunks":  post("0\r\n\r\n", "Transfer-Encoding: chunked"),
		"upgrade": get("Connection: Upgrade", "Upgrade: websocket"),
	} {
		c := w.dial(t)
		c.send(text)
		within(t, how+": the handler", entered)
		leave(c)
		left := time.Now()
		if err := within(t, how+": the end of the context", ended); err == nil || time.Since(left) > leaveLimit {
			t.Errorf("%s: the handler does not learn within %v that its client has left: %v", how, leaveLimit, err)
		}
	}
}

// contextEnds: what is derived from a request's context ends with the request,
// and with no other one.
func contextEnds(t *testing.T, start Start) {
	derived := make(chan context.Context, 1)
	var before context.Context
	w := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Errorf("a request begins with %v", err)
		}
		if r.Method == http.MethodPost { // it asks for nothing
			say(w, "fine")
			return
		}
		if before != nil && before.Err() == nil {
			t.Error("the context before has not ended")
		}
		ctx, cancel := context.WithCancel(r.Context())
		t.Cleanup(cancel)
		if ctx.Err() != nil {
			t.Error("what is derived from the context has ended already")
		}
		before = ctx
		derived <- ctx
		say(w, "fine")
	}))
	c := w.dial(t)
	for range 3 {
		c.send(get())
		ctx := within(t, "the handler", derived)
		within(t, "the end of the context", ctx.Done())
		c.send(post("hello", "Content-Length: 5"))
	}
	if answers, ended := c.answers(6); len(answers) != 6 || ended {
		t.Errorf("answers %q", c.text())
	}
}

func halfClosed(t *testing.T, start Start) {
	w := serve(t, start, patient, newEcho())
	c := w.dial(t)
	c.send(get() + post("hello", "Content-Length: 5") + get())
	_ = c.conn.CloseWrite()
	if answers := c.rest(); len(answers) != 3 {
		t.Errorf("answers %q", c.text())
	}
}

func besides(t *testing.T, start Start) {
	goOn, entered := make(chan struct{}), make(chan struct{}, 100)
	w := serve(t, start, patient, mayPanic(goOn, entered))
	var waiting []*client
	for range 90 {
		c := w.dial(t)
		c.send(requestOf("GET /wait HTTP/1.1"))
		waiting = append(waiting, c)
	}
	for range waiting {
		within(t, "the handlers", entered)
	}
	c := w.dial(t)
	c.send(get())
	c.answer()
	close(goOn)
	for _, c := range waiting {
		if got := c.answer(); got.body != "fine" {
			t.Fatalf("answer %s", got.text())
		}
	}
}
