package servertest

import (
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// client is a TCP connection to a server. A goroutine reads what comes, until
// the end of the connection.
type client struct {
	t     testing.TB
	world *world
	conn  *net.TCPConn
	name  string // its address, as the server sees it

	mu      sync.Mutex
	changed *sync.Cond
	read    []byte
	ended   bool // by the server, in whatever way
}

// dial connects. The connection ends with the test, or with close.
func (w *world) dial(t testing.TB) *client {
	t.Helper()
	c := &client{t: t, world: w, conn: w.connect(t)}
	c.name = c.conn.LocalAddr().String()
	c.changed = sync.NewCond(&c.mu)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 16<<10)
		for {
			n, err := c.conn.Read(buffer)
			c.mu.Lock()
			c.read = append(c.read, buffer[:n]...)
			c.ended = err != nil
			c.changed.Broadcast()
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { c.close(); <-done })
	return c
}

// connect gives a connection that nobody reads.
func (w *world) connect(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// close leaves at once and keeps no port waiting: thousands follow.
func (c *client) close() {
	_ = c.conn.SetLinger(0)
	_ = c.conn.Close()
}

// send writes. Where the server has ended the connection, what it said before
// is what counts.
func (c *client) send(text string) { _, _ = c.conn.Write([]byte(text)) }

// sendApart sends pieces that the server reads one by one: each follows when the
// one before has been read.
func (c *client) sendApart(pieces ...string) {
	for i, piece := range pieces {
		if i > 0 && !c.waitRead() {
			return
		}
		c.send(piece)
	}
}

// waitRead waits until the server has read everything, and is false where it has
// ended the connection.
func (c *client) waitRead() bool {
	look := func() bool {
		n, known := c.world.unread(c.name)
		return !known || n == 0 || c.hasEnded()
	}
	for range 200 { // mostly it takes no longer
		if look() {
			return !c.hasEnded()
		}
		runtime.Gosched()
	}
	waitAtMost(2*time.Second, look) // a server may be busy with what came before
	return !c.hasEnded()
}

func (c *client) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// wait waits until what has been read, and whether the connection has ended,
// fulfil a condition, and gives both.
func (c *client) wait(limit time.Duration, condition func(read []byte, ended bool) bool) (read []byte, ended, fulfilled bool) {
	expired := false
	timer := time.AfterFunc(limit, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		expired = true
		c.changed.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if condition(c.read, c.ended) {
			return c.read, c.ended, true
		}
		if c.ended || expired {
			return c.read, c.ended, false
		}
		c.changed.Wait()
	}
}

// answers waits for a number of whole answers, or the end of the connection.
func (c *client) answers(n int) ([]answer, bool) {
	c.t.Helper()
	var answers []answer
	read, ended, fulfilled := c.wait(patience, func(read []byte, ended bool) bool {
		answers, _, _ = parseAnswers(read, ended)
		return len(answers) >= n
	})
	if !fulfilled && !ended {
		c.t.Fatalf("%d answers do not come; read so far: %q", n, read)
	}
	return answers, ended
}

// answer waits for the first answer.
func (c *client) answer() answer {
	c.t.Helper()
	answers, _ := c.answers(1)
	if len(answers) == 0 {
		c.t.Fatalf("the connection ends without an answer: %q", c.text())
	}
	return answers[0]
}

// rest waits for the end of the connection and gives all that was answered.
func (c *client) rest() []answer {
	c.t.Helper()
	read, ended, _ := c.wait(patience, func(_ []byte, ended bool) bool { return ended })
	if !ended {
		c.t.Fatalf("the connection is not closed; read so far: %q", read)
	}
	answers, err := parseAll(read, true)
	if err != nil {
		c.t.Fatal(err)
	}
	return answers
}

func (c *client) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.read)
}

// silent is true where the server says and does nothing for a while.
func (c *client) silent(limit time.Duration) bool {
	before := len(c.text())
	_, _, spoke := c.wait(limit, func(read []byte, ended bool) bool { return ended || len(read) > before })
	return !spoke
}
