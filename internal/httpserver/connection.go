package httpserver

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// state is what a connection does. It decides what a sweep looks for.
type state uint8

const (
	waiting   state = iota // for a request to begin
	reading                // one that has begun
	serving                // the handler runs
	answering              // the client is to read
	ended                  // closed, or handed over
)

// connection is one client's.
type connection struct {
	server *Server
	socket *net.TCPConn
	raw    syscall.RawConn
	peer   string // as http.Request.RemoteAddr has it

	// until is when the state has lasted too long, since the server was made; in
	// serving, when to look for the client. It is set under the lock, and read
	// without it by sweeps, for most of which it is too early.
	until atomic.Int64

	mu    sync.Mutex
	state state
	life  *life // in serving: the request's
}

// newConnection is false for what is not a TCP connection, which net/http takes.
// As there, a client that says nothing at first is given as long as for a head.
func (s *Server) newConnection(accepted net.Conn) (*connection, bool) {
	socket, ok := accepted.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, false
	}
	c := &connection{server: s, socket: socket, raw: raw, peer: socket.RemoteAddr().String()}
	c.until.Store(int64(s.within(s.headTimeout)))
	return c, true
}

// enter goes to another state, unless the connection has been closed.
func (c *connection) enter(next state, until time.Duration, of *life) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == ended {
		return false
	}
	c.state, c.life = next, of
	c.until.Store(int64(until))
	return true
}

// closeIf closes a connection that is in a state.
func (c *connection) closeIf(in state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == in {
		c.end()
	}
}

// cut closes the connection, whatever it does.
func (c *connection) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != ended {
		c.end()
	}
}

// end is called under the lock.
func (c *connection) end() {
	if c.life != nil {
		c.life.end()
	}
	c.state, c.life = ended, nil
	_ = c.socket.Close()
}

// sweep closes a connection that has lasted too long, and ends the context of a
// client that has left.
func (c *connection) sweep(now time.Duration) {
	if now < time.Duration(c.until.Load()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == ended || now < time.Duration(c.until.Load()):
	case c.state != serving:
		c.end()
	case c.left():
		c.life.end()
		fallthrough
	default:
		c.until.Store(int64(now + lookEvery))
	}
}

// left reports whether the client has closed its side. As for net/http, one
// that has sent more has not.
func (c *connection) left() (left bool) {
	_ = c.raw.Control(func(fd uintptr) { // fails where it is closed
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		left = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
	return left
}

const (
	lookEvery = time.Second // for a client that may have left

	bufferSize = 8 << 10
	mostPieces = 16 // in which a request may come; it is looked at from its beginning after each
	leastBegun = 4  // bytes with which a request begins that is not a connection's first, as net/http has it
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// inbox is what has been read and not been used. It has a buffer only while
// there is something, so that a connection that waits costs none.
type inbox struct {
	buffer *[bufferSize]byte
	filled int
	err    error

	after  string // the method of the request before
	pieces int    // in which the request has come so far
	headed bool   // its head is whole
}

// begun reports whether there is a request's beginning.
func (b *inbox) begun() bool { return b.filled >= leastBegun || b.filled > 0 && b.after == "" }

// fill is for syscall.RawConn: it is true once it has read something.
func (b *inbox) fill(fd uintptr) bool {
	if b.buffer == nil {
		b.buffer = buffers.Get().(*[bufferSize]byte)
	}
	for {
		n, err := syscall.Read(int(fd), b.buffer[b.filled:])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			b.release()
			return false
		case err == nil && n == 0:
			err = io.EOF
		}
		b.err = err
		b.filled += max(n, 0)
		return true
	}
}

// drop takes the first bytes out.
func (b *inbox) drop(n int) {
	b.filled = copy(b.buffer[:], b.buffer[n:b.filled])
	b.release()
}

// release gives an empty buffer back.
func (b *inbox) release() {
	if b.filled == 0 && b.buffer != nil {
		buffers.Put(b.buffer)
		b.buffer = nil
	}
}

// serve answers one request after another, until the connection ends or says
// something that is for net/http. A panic ends the connection alone.
func (c *connection) serve() {
	defer c.server.remove(c)
	defer c.cut() // unless it has ended
	defer func() {
		if reason := recover(); reason != nil && reason != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			c.server.log.Printf("httpserver: panic serving %s: %v\n%s", c.peer, reason, debug.Stack())
		}
	}()
	var in inbox
	defer func() {
		in.filled = 0
		in.release()
	}()
	fill := in.fill
	for {
		if err := c.raw.Read(fill); err != nil || in.err != nil {
			if err == nil && errors.Is(in.err, io.EOF) && in.filled > 0 {
				c.handOver(&in) // what it means to leave amid a request is for net/http
			}
			return
		}
		if !in.begun() {
			continue
		}
		if in.pieces == 0 && !c.enter(reading, c.server.within(c.server.headTimeout), nil) {
			return
		}
		in.pieces++
		if !c.answerAll(&in) {
			return
		}
		if in.begun() {
			continue
		}
		in.pieces = 0
		if !c.enter(waiting, c.server.within(c.server.idleTimeout), nil) {
			return
		}
		if c.server.closing.Load() { // it may not have seen that this one waits
			return
		}
	}
}

// answerAll answers the requests that are whole, and reports whether more may
// come.
func (c *connection) answerAll(in *inbox) bool {
	for in.begun() {
		if in.after == http.MethodPost {
			in.after = http.MethodGet
			if in.drop(newlines(in.buffer[:in.filled])); in.filled == 0 {
				return true
			}
		}
		t := turns.Get().(*turn)
		used, verdict := t.parse(in.buffer[:in.filled])
		if verdict == whole && c.server.streams(t.url.Path) || verdict == headed && c.server.streams(string(t.path)) {
			verdict = foreign
		}
		switch {
		case verdict == foreign, verdict != whole && (in.filled == bufferSize || in.pieces > mostPieces):
			t.release()
			c.handOver(in)
			return false
		case verdict == headed && !in.headed:
			in.headed = true
			t.release()
			return c.enter(reading, c.server.within(c.server.bodyTimeout), nil)
		case verdict != whole:
			t.release()
			return true
		}
		in.after, in.pieces, in.headed = t.request.Method, 1, false
		in.drop(used)
		if !c.answer(t) {
			return false
		}
		if in.begun() && !c.enter(reading, c.server.within(c.server.headTimeout), nil) {
			return false
		}
	}
	return true
}

// handOver gives the connection to net/http.
func (c *connection) handOver(in *inbox) {
	if c.enter(ended, 0, nil) {
		c.server.handed.take(&replayed{c.socket, append([]byte(nil), in.buffer[:in.filled]...)})
	}
}

// answer serves a request, and reports whether another may follow. Where the
// handler panics the turn is not used again: it may be in somebody's hands.
func (c *connection) answer(t *turn) bool {
	if !c.enter(serving, c.server.within(0), t.life) {
		return false
	}
	t.request.RemoteAddr = c.peer
	c.server.handler.ServeHTTP(t, &t.request)
	t.life.end()
	if c.server.closing.Load() {
		t.close = true
	}
	if !c.enter(answering, c.server.within(c.server.writeTimeout), nil) {
		return false
	}
	answer, last := t.finish(*c.server.date.Load())
	_, err := c.socket.Write(answer)
	t.release()
	return err == nil && !last
}
