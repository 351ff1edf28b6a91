package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// cut says what becomes of a COMMIT that passes a proxy.
type cut int32

const (
	cutNothing cut = iota
	cutCommit      // the connection breaks before the server gets it
	cutAnswer      // the connection breaks after the server has answered
)

// proxy stands between an owner and Postgres, and breaks connections at the
// next COMMIT when it is told to.
type proxy struct {
	url    string // the server's address through the proxy
	next   atomic.Int32
	server string
	t      testing.TB

	mu          sync.Mutex
	closed      bool
	connections []net.Conn
	running     sync.WaitGroup
}

func startProxy(t testing.TB, serverURL string) *proxy {
	t.Helper()
	address, err := url.Parse(serverURL)
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	p := &proxy{server: address.Host, t: t}
	address.Host = listener.Addr().String()
	p.url = address.String()
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		check(t, listener.Close())
		p.mu.Lock()
		p.closed = true
		for _, connection := range p.connections {
			_ = connection.Close() // most are closed already
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	return p
}

// keep notes connections, to be closed with the proxy.
func (p *proxy) keep(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connections = append(p.connections, connections...)
	return !p.closed
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer server.Close()
	if !p.keep(client, server) {
		return
	}
	var silent atomic.Bool // what the server says is not passed on
	answered := make(chan struct{})
	p.running.Go(func() {
		defer client.Close()
		defer close(answered)
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil || silent.Load() {
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	startup, err := readMessage(client) // it has no type
	if err != nil {
		return
	}
	if _, err := server.Write(startup); err != nil {
		return
	}
	for {
		head := make([]byte, 1)
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		message, err := readMessage(client)
		if err != nil {
			return
		}
		if head[0] == 'Q' && bytes.Equal(message[4:], []byte("commit\x00")) {
			switch cut(p.next.Swap(int32(cutNothing))) {
			case cutNothing:
			case cutCommit:
				return
			case cutAnswer:
				silent.Store(true)
				if _, err := server.Write(append(head, message...)); err == nil {
					<-answered
				}
				return
			}
		}
		if _, err := server.Write(append(head, message...)); err != nil {
			return
		}
	}
}

// readMessage reads a message from its length on, which counts itself.
func readMessage(from io.Reader) ([]byte, error) {
	length := make([]byte, 4)
	if _, err := io.ReadFull(from, length); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint32(length))
	copy(message, length)
	_, err := io.ReadFull(from, message[4:])
	return message, err
}
