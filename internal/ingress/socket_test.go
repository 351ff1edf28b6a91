package ingress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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
	early      []byte // came with the request
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	in := bufio.NewReader(io.MultiReader(bytes.NewReader(h.early), h.connection))
	_, _ = in.Peek(len(h.early))
	_ = h.connection.SetDeadline(time.Now().Add(time.Second)) // as a server sets, for a request
	return h.connection, bufio.NewReadWriter(in, bufio.NewWriter(h.connection)), nil
}

// peer is a client that speaks in frames.
type peer struct {
	net.Conn
	from *bufio.Reader
}

// ask asks for a handshake, and sends early frames with it.
func (i *Ingress) ask(t *testing.T, ticket string, early ...byte) (net.Conn, *http.Request) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	// No test waits longer for what does not come.
	_ = client.SetDeadline(time.Now().Add(time.Hour))
	r := request("GET", "/queue/"+ticket+"/ws", "", header{
		"Upgrade": "websocket", "Connection": "Upgrade",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	})
	go i.Handler().ServeHTTP(hijacked{httptest.NewRecorder(), server, early}, r)
	return client, r
}

// connect makes a handshake, and reads its answer but not the first message.
func (i *Ingress) connect(t *testing.T, ticket string, early ...byte) *peer {
	t.Helper()
	client, r := i.ask(t, ticket, early...)
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

// next reads a frame.
func (p *peer) next() (ws.Frame, error) {
	header, err := ws.ReadHeader(p.from)
	if err != nil {
		return ws.Frame{}, err
	}
	payload := make([]byte, header.Length)
	_, err = io.ReadFull(p.from, payload)
	return ws.Frame{Header: header, Payload: payload}, err
}

// frames reads until the connection ends, answers pings if it is to, and gives
// the last frame and the payload of each pong.
func (p *peer) frames(pongs bool) (last ws.Frame, answered [][]byte) {
	for {
		frame, err := p.next()
		if err != nil {
			return last, answered
		}
		last = frame
		if frame.Header.OpCode == ws.OpPing && pongs {
			_, _ = p.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewPongFrame(frame.Payload))))
		}
		if frame.Header.OpCode == ws.OpPong {
			answered = append(answered, frame.Payload)
		}
		if frame.Header.OpCode == ws.OpClose {
			_ = p.Close()
			return last, answered
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
		i.ask(t, s.Ticket)     // nor does this one, from the beginning
		synctest.Wait()
		if n := i.streams.count(); n != 4 {
			t.Fatalf("%d streams", n)
		}
		pass(2*writeWait + time.Second)
		synctest.Wait()
		if n := i.streams.count(); n != 2 {
			t.Errorf("%d streams after two clients were too slow", n)
		}
		pass(2*heartbeatEvery + time.Second)
		synctest.Wait()
		if n := i.streams.count(); n != 1 {
			t.Errorf("%d streams after a peer did not answer", n)
		}
		i.drains(t)
		if n := len(i.streams.sockets); n != 0 {
			t.Errorf("%d sockets are kept", n)
		}
	})
}

// drains drains, and waits an hour at most.
func (i *Ingress) drains(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := i.Drain(ctx); err != nil {
		t.Error(err)
	}
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
		i.drains(t)
		if took := time.Since(began); took != closeWait {
			t.Errorf("it took %s", took)
		}
	})
}

// TestNothingFollowsAClose: a client may ping until it has agreed.
func TestNothingFollowsAClose(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, _ *world, i *Ingress) {
		s := i.buys(t, "ada")
		p := i.connect(t, s.Ticket)
		frames := make(chan []ws.Frame, 1)
		go func() {
			var all []ws.Frame
			for {
				frame, err := p.next()
				if err != nil {
					frames <- all
					return
				}
				all = append(all, frame)
				if frame.Header.OpCode == ws.OpClose {
					go func() { _, _ = p.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame([]byte("a"))))) }()
				}
			}
		}()
		synctest.Wait()
		i.drains(t)
		all := <-frames
		if last := all[len(all)-1].Header.OpCode; len(all) != 2 || last != ws.OpClose {
			t.Errorf("%d frames, the last of which has opcode %d", len(all), last)
		}
	})
}

// TestClientsThatBreakRulesAndStay: one that reads why it is sent away, and
// does not go, is not waited for; nor is one that goes on sending.
func TestClientsThatBreakRulesAndStay(t *testing.T) {
	t.Parallel()
	for name, chatters := range map[string]bool{"silent": false, "chatters": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, _ *world, i *Ingress) {
				s := i.buys(t, "ada")
				p := i.connect(t, s.Ticket)
				go func() { _, _ = io.Copy(io.Discard, p.from) }()
				began := time.Now()
				_, _ = p.Write([]byte{0x81, 0x00}) // not masked
				sent := 0
				for err := error(nil); chatters && err == nil && sent < 4*maxLingering; {
					var n int
					n, err = p.Write(make([]byte, 1024))
					sent += n
				}
				<-i.streams.gone()
				took := time.Since(began)
				if !chatters && took != lingerWait {
					t.Errorf("it took %s", took)
				}
				if chatters && (took != 0 || sent > maxLingering) {
					t.Errorf("it took %s, and %d bytes were read", took, sent)
				}
			})
		})
	}
}

// TestSocketsOfADrain: a handshake that a drain overtakes is not forgotten.
func TestSocketsOfADrain(t *testing.T) {
	t.Parallel()
	var all streams
	all.refuse(make(chan struct{}))
	late := &socket{turns: true}
	all.keep(late)
	if late.due != drained {
		t.Errorf("due is %b", late.due)
	}
}

func TestPanicOfASocket(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server, client := net.Pipe()
	s := &socket{follower: follower{ingress: &Ingress{log: logTo(&log)}}, connection: server}
	s.guard(func() { panic("at the disco") })
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("reading: %v", err)
	}
	if !strings.Contains(log.String(), "at the disco") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestRulesOfFrames(t *testing.T) {
	t.Parallel()
	masked := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	part := make([]byte, maxIncoming-10)
	for name, c := range map[string]struct {
		early []byte // comes with the request
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
		"ping that comes early": {
			early: masked(ws.NewPingFrame([]byte("c"))),
			sends: [][]byte{masked(ws.NewCloseFrame([]byte{3, 232}))}, code: ws.StatusNormalClosure, pong: "c",
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
				p := i.connect(t, s.Ticket, c.early...)
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
