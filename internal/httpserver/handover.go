package httpserver

import (
	"net"
	"sync"
)

// handed is the listener from which net/http takes the connections that are
// handed over to it.
type handed struct {
	connections chan net.Conn
	errors      chan error
	done        chan struct{}
	close       func()
	address     net.Addr
}

func newHanded() handed {
	done := make(chan struct{})
	return handed{
		connections: make(chan net.Conn), errors: make(chan error),
		done: done, close: sync.OnceFunc(func() { close(done) }),
	}
}

// Accept is called by net/http.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.connections:
		return c, nil
	case err := <-h.errors:
		return nil, err
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close is called by net/http.
func (h *handed) Close() error {
	h.close()
	return nil
}

// Addr is called by net/http.
func (h *handed) Addr() net.Addr { return h.address }

// take hands a connection over. It is closed if nobody accepts any more.
func (h *handed) take(c net.Conn) {
	select {
	case h.connections <- c:
	case <-h.done:
		_ = c.Close()
	}
}

// fail hands an error of accepting over, and reports whether anybody hears it.
func (h *handed) fail(err error) bool {
	select {
	case h.errors <- err:
		return true
	case <-h.done:
		return false
	}
}

// replayed is a connection from which some bytes have been read already.
type replayed struct {
	*net.TCPConn
	read []byte
}

// Read reads those first.
func (r *replayed) Read(to []byte) (int, error) {
	if len(r.read) == 0 {
		return r.TCPConn.Read(to)
	}
	n := copy(to, r.read)
	r.read = r.read[n:]
	if len(r.read) == 0 {
		r.read = nil
	}
	return n, nil
}
