package servertest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// testHijack is about connections that a handler takes, as a WebSocket does.
func testHijack(t *testing.T, start Start) {
	subtests(t, start, map[string]func(*testing.T, Start){
		"both sides speak":                   taken,
		"what came with the request is kept": takenEarly,
		"the server's times are over":        takenLong,
		"Shutdown does not wait for it":      takenAtShutdown,
		"the handler may go":                 takenAndGone,
	})
}

const (
	upgrade  = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
)

// takes is a handler that takes the connection at /ws.
func takes(t testing.TB, use func(net.Conn, *bufio.ReadWriter)) http.Handler {
	return marked(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			say(w, "fine")
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("taking the connection: %v", err)
			return
		}
		if buffered == nil {
			t.Error("what came with the request is not given")
			buffered = bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("writing to the answer of a connection that is taken: %v", err)
		}
		if _, err := conn.Write([]byte(switched)); err != nil {
			t.Errorf("writing: %v", err)
		}
		use(conn, buffered)
	})
}

// parrot sends back what comes, until the client leaves.
func parrot(conn net.Conn, buffered *bufio.ReadWriter) {
	defer conn.Close()
	_, _ = io.Copy(conn, buffered.Reader)
}

func (c *client) reads(text string) {
	c.t.Helper()
	if read, _, came := c.wait(patience, func(read []byte, _ bool) bool { return len(read) >= len(text) }); !came || string(read) != text {
		c.t.Fatalf("read %q instead of %q", read, text)
	}
}

func taken(t *testing.T, start Start) {
	w := serve(t, start, patient, takes(t, parrot))
	c := w.dial(t)
	c.send(requestOf("GET /a HTTP/1.1"))
	c.answer()
	before := c.text()
	c.send(upgrade)
	c.reads(before + switched)
	c.send("hello")
	c.reads(before + switched + "hello")
	_ = c.conn.CloseWrite()
	if _, ended, _ := c.wait(patience, func(_ []byte, ended bool) bool { return ended }); !ended {
		t.Error("the connection stays open")
	}
}

func takenEarly(t *testing.T, start Start) {
	w := serve(t, start, patient, takes(t, parrot))
	for _, pieces := range [][]string{{upgrade + "hello"}, {upgrade + "he", "llo"}, {upgrade[:20], upgrade[20:] + "hello"}} {
		c := w.dial(t)
		c.sendApart(pieces...)
		c.reads(switched + "hello")
		c.leave()
	}
	c := w.dial(t)
	c.send(upgrade + "GET /a HTTP/1.1\r\nHost: h\r\n\r\n") // what follows is no request
	c.reads(switched + "GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	c.leave()
}

func takenLong(t *testing.T, start Start) {
	limits := Limits{ReadHeader: 50 * time.Millisecond, Idle: 50 * time.Millisecond, Write: 50 * time.Millisecond, MaxHeaderBytes: 8 << 10}
	w := serve(t, start, limits, takes(t, parrot))
	c := w.dial(t)
	c.send(upgrade)
	c.reads(switched)
	if !c.silent(300 * time.Millisecond) {
		t.Errorf("the server cuts a connection that was taken: %q", c.text())
	}
	c.send("hello")
	c.reads(switched + "hello")
	c.leave()
}

func takenAtShutdown(t *testing.T, start Start) {
	w := serve(t, start, patient, takes(t, parrot))
	c := w.dial(t)
	c.send(upgrade)
	c.reads(switched)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	c.send("hello")
	c.reads(switched + "hello")
	c.leave()
}

// takenAndGone leaves the connection to others: the server must not touch it
// when the handler returns.
func takenAndGone(t *testing.T, start Start) {
	conns := make(chan net.Conn, 1)
	w := serve(t, start, patient, takes(t, func(conn net.Conn, _ *bufio.ReadWriter) { conns <- conn }))
	c := w.dial(t)
	c.send(upgrade)
	c.reads(switched)
	conn := within(t, "the handler", conns)
	defer conn.Close()
	if !c.silent(100 * time.Millisecond) {
		t.Errorf("the server speaks, or closes: %q", c.text())
	}
	c.send("hello")
	heard := make([]byte, 5)
	if _, err := io.ReadFull(conn, heard); err != nil || string(heard) != "hello" {
		t.Errorf("heard %q, %v", heard, err)
	}
}
