package servertest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is a server that serves on a port of its own until the test ends.
type world struct {
	t      testing.TB
	server Server
	addr   string
	served chan error // what Serve returned

	patience time.Duration // of its clients

	mu       sync.Mutex
	accepted map[string]*net.TCPConn // by the client's address
}

var worlds atomic.Int64

// serve starts a server. When the test ends it is closed, and what it has left
// behind is an error.
func serve(t testing.TB, start Start, limits Limits, h http.Handler) *world {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, addr: listener.Addr().String(), served: make(chan error, 1), patience: patience, accepted: make(map[string]*net.TCPConn)}
	// Goroutines inherit the label, so those of this server can be told from
	// those of tests beside it.
	label := strconv.FormatInt(worlds.Add(1), 10)
	made := make(chan struct{})
	go func() {
		pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("server", label)))
		w.server = start(h, limits)
		close(made)
		w.served <- w.server.Serve(&recording{TCPListener: listener.(*net.TCPListener), world: w})
	}()
	<-made
	t.Cleanup(func() {
		_ = w.server.Close() // some tests have closed it
		select {
		case err := <-w.served:
			if !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve returned %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
		var left string
		if !waitFor(func() bool { left = goroutines(label); return left == "" }) {
			t.Errorf("goroutines are left:\n%s", left)
		}
		if !waitFor(func() bool { return w.open() == 0 }) {
			t.Errorf("%d connections are left open", w.open())
		}
	})
	return w
}

// recording remembers the connections that a server was given, which gets them
// as they are.
type recording struct {
	*net.TCPListener
	world *world
}

func (r *recording) Accept() (net.Conn, error) {
	conn, err := r.AcceptTCP()
	if err != nil {
		return nil, err
	}
	r.world.mu.Lock()
	r.world.accepted[conn.RemoteAddr().String()] = conn
	r.world.mu.Unlock()
	return conn, nil
}

// unread counts the bytes of a client that the server has not read; false where
// that cannot be known, because the connection is closed or is no longer Go's.
func (w *world) unread(client string) (int, bool) {
	w.mu.Lock()
	conn := w.accepted[client]
	w.mu.Unlock()
	if conn == nil {
		return 1, true // it is not even accepted
	}
	return unread(conn)
}

// forget lets go of a connection that the client has seen the end of.
func (w *world) forget(client string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.accepted, client)
}

// open counts the connections that the server has not closed.
func (w *world) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, conn := range w.accepted {
		if _, open := unread(conn); open {
			n++
		}
	}
	return n
}

// goroutines gives the stacks of those that have the label.
func goroutines(label string) string {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return err.Error()
	}
	var left []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, `"server":"`+label+`"`) {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// waitFor waits for a condition as long as patience lasts.
func waitFor(condition func() bool) bool {
	return waitAtMost(patience, condition)
}

func waitAtMost(limit time.Duration, condition func() bool) bool {
	if condition() {
		return true
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if condition() {
				return true
			}
		case <-deadline.C:
			return condition()
		}
	}
}

// within receives from a channel, as long as patience lasts.
func within[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		t.Fatalf("%s: nothing comes", what)
		panic("unreachable")
	}
}
