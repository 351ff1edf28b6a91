package ingress

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// hijacked is an answer whose connection is a pipe, so that a bubble's clock
// rules its deadlines.
type hijacked struct {
	*httptest.ResponseRecorder
	connection net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.connection, bufio.NewReadWriter(bufio.NewReader(h.connection), bufio.NewWriter(h.connection)), nil
}

// peer is a client that speaks in frames.
type peer struct {
	net.Conn
	from *bufio.Reader
}

// connect makes a handshake, and reads its answer but not the first message.
func (i *Ingress) connect(t *testing.T, ticket string) *peer {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	r := request("GET", "/queue/"+ticket+"/ws", "", header{
		"Upgrade": "websocket", "Connection": "Upgrade",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	})
	go i.Handler().ServeHTTP(hijacked{httptest.NewRecorder(), server}, r)
	p := &peer{client, bufio.NewReader(client)}
	answer, err := http.ReadResponse(p.from, r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("answered %d %v", answer.StatusCode, answer.Header)
	}
	return p
}

// frames reads until the connection ends, answers pings if it is to, and gives
// the last frame and the payload of each pong.
func (p *peer) frames(pongs bool) (last ws.Frame, answered [][]byte) {
	for {
		header, err := ws.ReadHeader(p.from)
		if err != nil {
			return last, answered
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(p.from, payload); err != nil {
			return last, answered
		}
		last = ws.Frame{Header: header, Payload: payload}
		switch header.OpCode {
		case ws.OpPing:
			if pongs {
				_, _ = p.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewPongFrame(payload))))
			}
		case ws.OpPong:
			answered = append(answered, payload)
		case ws.OpClose:
			_ = p.Close()
		}
	}
}

func TestPeersThatAreGone(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, _ *world, i *Ingress) {
		s := i.buys(t, "ada")
		silent, alive := i.connect(t, s.Ticket), i.connect(t, s.Ticket)
		go silent.frames(false)
		go alive.frames(true)
		i.connect(t, s.Ticket) // it reads nothing
		synctest.Wait()
		if n := i.streams.count(); n != 3 {
			t.Fatalf("%d streams", n)
		}
		pass(writeWait + time.Second)
		synctest.Wait()
		if n := i.streams.count(); n != 2 {
			t.Errorf("%d streams after a client was too slow", n)
		}
		pass(2*heartbeatEvery + time.Second)
		synctest.Wait()
		if n := i.streams.count(); n != 1 {
			t.Errorf("%d streams after a peer did not answer", n)
		}
		if err := i.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(i.streams.sockets); n != 0 {
			t.Errorf("%d sockets are kept", n)
		}
	})
}

// TestPeersThatDoNotAgree: a drain waits for the close handshake, and not for
// ever.
func TestPeersThatDoNotAgree(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, _ *world, i *Ingress) {
		s := i.buys(t, "ada")
		p := i.connect(t, s.Ticket)
		go func() { _, _ = io.Copy(io.Discard, p.from) }()
		synctest.Wait()
		began := time.Now()
		if err := i.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != closeWait {
			t.Errorf("it took %s", took)
		}
	})
}

func TestRulesOfFrames(t *testing.T) {
	t.Parallel()
	masked := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	part := make([]byte, maxIncoming-10)
	for name, c := range map[string]struct {
		sends [][]byte
		code  ws.StatusCode // of the close that answers
		pong  string
	}{
		"not masked":         {sends: [][]byte{ws.MustCompileFrame(ws.NewTextFrame([]byte("x")))}, code: ws.StatusProtocolError},
		"reserved bit":       {sends: [][]byte{masked(ws.Frame{Header: ws.Header{Fin: true, Rsv: 4, OpCode: ws.OpText}})}, code: ws.StatusProtocolError},
		"unknown opcode":     {sends: [][]byte{masked(ws.NewFrame(3, true, nil))}, code: ws.StatusProtocolError},
		"fragmented ping":    {sends: [][]byte{masked(ws.NewFrame(ws.OpPing, false, nil))}, code: ws.StatusProtocolError},
		"long ping":          {sends: [][]byte{masked(ws.NewFrame(ws.OpPing, true, make([]byte, 126)))}, code: ws.StatusProtocolError},
		"continues nothing":  {sends: [][]byte{masked(ws.NewFrame(ws.OpContinuation, true, nil))}, code: ws.StatusProtocolError},
		"close in bad UTF-8": {sends: [][]byte{masked(ws.NewCloseFrame([]byte{3, 232, 0xff}))}, code: ws.StatusProtocolError},
		"close of one byte":  {sends: [][]byte{masked(ws.NewCloseFrame([]byte{3}))}, code: ws.StatusProtocolError},
		"close with 1005":    {sends: [][]byte{masked(ws.NewCloseFrame([]byte{3, 237}))}, code: ws.StatusProtocolError},
		"close":              {sends: [][]byte{masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "bye")))}, code: ws.StatusGoingAway},
		"too much": {
			sends: [][]byte{masked(ws.NewTextFrame(make([]byte, maxIncoming+1)))}, code: ws.StatusMessageTooBig,
		},
		"too much in parts": {
			sends: [][]byte{masked(ws.NewFrame(ws.OpText, false, part)), masked(ws.NewFrame(ws.OpContinuation, true, part))}, code: ws.StatusMessageTooBig,
		},
		"ping": {
			sends: [][]byte{masked(ws.NewPingFrame([]byte("a"))), masked(ws.NewCloseFrame([]byte{3, 232}))}, code: ws.StatusNormalClosure, pong: "a",
		},
		"ping within a message": {
			sends: [][]byte{
				masked(ws.NewFrame(ws.OpText, false, []byte("x"))), masked(ws.NewPingFrame([]byte("b"))),
				masked(ws.NewFrame(ws.OpContinuation, true, []byte("y"))), masked(ws.NewCloseFrame([]byte{3, 232})),
			},
			code: ws.StatusNormalClosure, pong: "b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, _ *world, i *Ingress) {
				s := i.buys(t, "ada")
				p := i.connect(t, s.Ticket)
				go func() {
					for _, frame := range c.sends {
						if _, err := p.Write(frame); err != nil {
							return
						}
					}
				}()
				last, pongs := p.frames(true)
				<-i.streams.gone()
				if code, _ := ws.ParseCloseFrameData(last.Payload); last.Header.OpCode != ws.OpClose || code != c.code {
					t.Errorf("answered with %v, code %d", last.Header, code)
				}
				if got := string(bytes.Join(pongs, nil)); got != c.pong {
					t.Errorf("pongs %q", got)
				}
			})
		})
	}
}
