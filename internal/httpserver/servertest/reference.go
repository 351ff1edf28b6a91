package servertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// outcome is what a client's bytes lead to.
type outcome struct {
	requests []request
	answers  []answer
	closed   bool // by the server, of its own accord
}

// reference is net/http on connections in memory, so that it is known when it
// has answered all that it can and waits for more: on a network nobody knows.
type reference struct {
	server *http.Server
	echo   *echo // nil where another handler was given
	conns  chan net.Conn
	done   chan struct{}
	names  atomic.Int64
}

// newReference starts net/http with a handler; nil is the echo.
func newReference(t testing.TB, limits Limits, h http.Handler) *reference {
	r := &reference{conns: make(chan net.Conn), done: make(chan struct{})}
	if h == nil {
		r.echo = newEcho()
		h = r.echo
	}
	r.server = &http.Server{
		Handler:        h,
		MaxHeaderBytes: limits.MaxHeaderBytes,
		ErrorLog:       log.New(io.Discard, "", 0),
		ConnState:      func(c net.Conn, s http.ConnState) { c.(*line).setState(s) },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return withWaits(ctx, c.(*line).setWaiting)
		},
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = r.server.Serve(r) // it ends when it is closed
	}()
	t.Cleanup(func() { _ = r.server.Close(); <-served })
	return r
}

// Accept, Close and Addr make it a listener.
func (r *reference) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.done:
		return nil, net.ErrClosed
	}
}

func (r *reference) Close() error { close(r.done); return nil }

func (r *reference) Addr() net.Addr { return address("reference") }

// do gives the outcome of bytes after which the client waits.
func (r *reference) do(text string) (outcome, error) {
	name := ""
	out, closed, err := r.say(text, &name)
	if err != nil {
		return outcome{}, err
	}
	got := outcome{closed: closed}
	if got.answers, err = parseAll(out, closed); err != nil {
		return outcome{}, fmt.Errorf("net/http: %w", err)
	}
	got.requests, err = r.echo.take(name)
	return got, err
}

// say gives what is answered to bytes, and hangs up.
func (r *reference) say(text string, name *string) (out []byte, closed bool, err error) {
	l := &line{name: address(fmt.Sprintf("line-%d", r.names.Add(1))), in: []byte(text)}
	*name = string(l.name)
	l.changed = sync.NewCond(&l.mu)
	r.conns <- l
	if out, closed, err = l.wait(); err != nil {
		return nil, false, fmt.Errorf("net/http: %w on %q", err, text)
	}
	l.hangUp() // so that a handler which waits for the rest of a body ends
	return out, closed, nil
}

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

// line is a connection in memory. What the client sends is there from the
// start; what the server writes is kept.
type line struct {
	name address

	mu      sync.Mutex
	changed *sync.Cond
	in, out []byte
	past    bool // the read deadline is past
	ended   bool // the client has hung up
	closed  bool // by the server
	hungry  int  // reads that wait for more of a request
	state   http.ConnState
	waiting bool // the handler waits for a body
}

// wait waits until the server has closed the connection, or waits for more.
func (l *line) wait() (out []byte, closed bool, err error) {
	expired := false
	timer := time.AfterFunc(patience, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		expired = true
		l.changed.Broadcast()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && (l.hungry == 0 || l.state == http.StateActive && !l.waiting) {
		if expired {
			return nil, false, errors.New("neither waits nor closes")
		}
		l.changed.Wait()
	}
	return l.out, l.closed, nil
}

func (l *line) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.changed.Broadcast()
}

func (l *line) setState(s http.ConnState) { l.set(func() { l.state = s }) }
func (l *line) setWaiting(waiting bool)   { l.set(func() { l.waiting = waiting }) }
func (l *line) hangUp()                   { l.set(func() { l.ended = true }) }

func (l *line) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed:
			return 0, net.ErrClosed
		case l.past:
			return 0, os.ErrDeadlineExceeded
		case len(l.in) > 0:
			n := copy(p, l.in)
			l.in = l.in[n:]
			return n, nil
		case l.ended:
			return 0, io.EOF
		}
		// A read of one byte is net/http's look at whether the client is there
		// while a handler runs.
		if len(p) > 1 {
			l.hungry++
			l.changed.Broadcast()
		}
		l.changed.Wait()
		if len(p) > 1 {
			l.hungry--
		}
	}
}

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, net.ErrClosed
	}
	l.out = append(l.out, p...)
	return len(p), nil
}

func (l *line) Close() error { l.set(func() { l.closed = true }); return nil }

// CloseWrite is the end for the client: what follows is half a second in which
// net/http lets it read the answer.
func (l *line) CloseWrite() error { return l.Close() }

func (l *line) LocalAddr() net.Addr  { return address("reference") }
func (l *line) RemoteAddr() net.Addr { return l.name }

// SetReadDeadline knows only deadlines that are past, by which net/http ends a
// read.
func (l *line) SetReadDeadline(at time.Time) error {
	l.set(func() { l.past = !at.IsZero() && time.Until(at) <= 0 })
	return nil
}

func (l *line) SetWriteDeadline(time.Time) error { return nil }
func (l *line) SetDeadline(at time.Time) error   { return l.SetReadDeadline(at) }
