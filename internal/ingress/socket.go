package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/anteroomhq/anteroom/internal/board"
)

// Bounds of what a client may send. Nothing is expected of it, and what comes is
// thrown away.
const (
	maxIncoming  = 512     // bytes of a message, in all its frames
	maxLingering = 1 << 16 // bytes after a frame that breaks the rules
)

// Times of the end of a WebSocket.
const (
	closeWait  = 5 * time.Second // for the client to agree
	lingerWait = time.Second     // for a client that breaks the rules to read why it is sent away
)

// socket is a WebSocket after its handshake. Many wait and few have news, so
// what waits is small: one goroutine that reads and keeps no buffer. When
// something is due, the board, the timer or a drain starts another one, which
// takes turns until nothing is due. Whichever of the two is the last to go
// closes the socket; until then it counts as an open stream.
type socket struct {
	follower
	connection net.Conn
	watch      *board.Watch

	mu     sync.Mutex
	due    occasions
	turns  bool        // somebody takes turns
	gone   bool        // nobody reads any more
	timer  *time.Timer // of the next turn; nil before the first
	lookAt time.Time   // although no change was told; zero for never. Its turn's, while somebody takes turns
	beatAt time.Time   // the same
	ended  bool        // nothing more is to be told. The same
	pinged bool        // The same

	heard atomic.Bool // since the last ping

	writing sync.Mutex // one frame at a time
	closed  bool       // a close frame was written: it is the last one
}

// occasions are what a turn may be about.
type occasions uint8

const (
	changed occasions = 1 << iota // the board may have another answer
	timely                        // the timer has fired
	drained                       // the server is about to stop
)

func (s *socket) onChange() { s.wake(changed) }
func (s *socket) onTime()   { s.wake(timely) }

// wake has a turn taken. It does not block.
func (s *socket) wake(why occasions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due |= why
	if !s.turns && !s.gone {
		s.turns = true
		go s.takeTurns()
	}
}

// run tells a client the first status, and leaves the rest to goroutines. Turns
// are taken from the beginning, so that none is taken before.
func (s *socket) run(first *shown, in io.Reader) {
	go s.read(in)
	s.ingress.streams.keep(s)
	s.beatAt = time.Now().Add(heartbeatEvery/2 + rand.N(heartbeatEvery/2)) // those who come together are not pinged together
	s.guard(func() { s.after(s.tell(first, s)) })
	s.takeTurns()
}

func (s *socket) takeTurns() {
	for due := s.next(); due != 0; due = s.next() {
		s.guard(func() { s.turn(due) })
	}
}

// next gives what is due, or ends the turns and sets the timer.
func (s *socket) next() occasions {
	s.mu.Lock()
	due := s.due
	s.due = 0
	if s.gone || s.ended {
		due = 0
	}
	gone := s.gone
	if due == 0 {
		s.turns = false
		s.setTimer()
	}
	s.mu.Unlock()
	if due == 0 && gone {
		s.finish()
	}
	return due
}

func (s *socket) setTimer() {
	if s.gone || s.ended {
		return
	}
	at := s.beatAt
	if !s.lookAt.IsZero() && s.lookAt.Before(at) {
		at = s.lookAt
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(at), s.onTime)
	} else {
		s.timer.Reset(time.Until(at))
	}
}

func (s *socket) turn(due occasions) {
	if due&drained != 0 {
		s.after(endedDrained)
		return
	}
	now := time.Now()
	if !s.beatAt.After(now) {
		s.beatAt = now.Add(heartbeatEvery)
		if s.beat() != nil {
			s.after(endedGone)
			return
		}
	}
	looks := !s.lookAt.IsZero() && !s.lookAt.After(now)
	switch {
	case due&changed != 0, looks && !s.stands():
		// Every wait in it is bounded.
		s.after(s.look(context.Background(), s))
	case looks:
		s.after(going)
	}
}

// after ends the stream, or says when to look again.
func (s *socket) after(end ending) {
	switch end {
	case going:
		s.lookAt = time.Time{}
		if after := s.again(); after > 0 {
			s.lookAt = time.Now().Add(after)
		}
	case endedFinal:
		s.end(ws.StatusNormalClosure)
	case endedDrained:
		s.end(statusServiceRestart)
	case endedGone:
		s.ended = true
		_ = s.connection.Close()
	}
}

const statusServiceRestart ws.StatusCode = 1012 // registered after RFC 6455

// end begins to close: the client is told why, and the reader waits for it to
// agree.
func (s *socket) end(code ws.StatusCode) {
	s.ended = true
	if s.writeClose(code, "") != nil {
		_ = s.connection.Close()
		return
	}
	_ = s.connection.SetReadDeadline(time.Now().Add(closeWait))
}

// finish closes what is left. Nobody reads and nobody takes turns any more.
func (s *socket) finish() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.watch.Close()
	_ = s.connection.Close()
	s.ingress.streams.forget(s)
	s.ingress.streams.leave(webSocket)
}

// guard keeps a panic to the stream in which it happens.
func (s *socket) guard(what func()) {
	defer func() {
		if reason := recover(); reason != nil {
			s.ingress.log.Error("a stream panicked", "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			_ = s.connection.Close()
		}
	}()
	what()
}

// read reads until the client leaves, or does what it may not.
func (s *socket) read(in io.Reader) {
	s.guard(func() { s.discard(in) })
	_ = s.connection.Close() // whoever still writes need not wait
	s.mu.Lock()
	s.gone = true
	turns := s.turns
	s.mu.Unlock()
	if !turns {
		s.finish()
	}
}

// discard throws away what the client sends, and answers pings and the close.
func (s *socket) discard(in io.Reader) {
	frames := wsutil.Reader{
		Source: in, State: ws.StateServerSide, MaxMessageSize: maxIncoming, OnIntermediate: s.answer,
	}
	for {
		header, err := frames.NextFrame()
		if err == nil {
			s.heard.Store(true)
			if header.OpCode.IsControl() {
				err = s.answerOutside(header, &frames)
			} else {
				err = frames.Discard()
			}
		}
		if err != nil {
			s.sendAway(err, in)
			return
		}
	}
}

// answerOutside answers a control frame that no message is interrupted by.
func (s *socket) answerOutside(header ws.Header, frames *wsutil.Reader) error {
	if frames.State.Fragmented() {
		return nil // NextFrame had it answered
	}
	return s.answer(header, frames)
}

// answer answers a control frame.
func (s *socket) answer(header ws.Header, body io.Reader) error {
	s.heard.Store(true)
	if header.OpCode == ws.OpPong {
		_, err := io.CopyN(io.Discard, body, header.Length)
		return err
	}
	var reply bytes.Buffer // so that it is written as one
	err := wsutil.ControlHandler{Src: body, Dst: &reply, State: ws.StateServerSide, DisableSrcCiphering: true}.Handle(header)
	if reply.Len() == 0 {
		return err
	}
	if written := s.write(reply.Bytes(), header.OpCode == ws.OpClose); err == nil {
		err = written
	}
	return err
}

// sendAway tells a client that breaks the rules which, and gives it a moment to
// read that: a connection that is closed while there is more to read is reset.
func (s *socket) sendAway(err error, in io.Reader) {
	var broken ws.ProtocolError
	switch {
	case errors.Is(err, wsutil.ErrMessageTooLarge):
		err = s.writeClose(ws.StatusMessageTooBig, "")
	case errors.As(err, &broken), errors.Is(err, ws.ErrHeaderLengthMSB):
		err = s.writeClose(ws.StatusProtocolError, err.Error())
	default:
		return
	}
	if err == nil {
		_ = s.connection.SetReadDeadline(time.Now().Add(lingerWait))
		_, _ = io.CopyN(io.Discard, in, maxLingering)
	}
}

// message is a status with the marker for ?after=.
type message struct {
	*status
	After string `json:"after"`
}

func (s *socket) send(what *shown) error {
	encoded, err := json.Marshal(message{&what.status, what.marker(s.ingress)})
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	return s.writeFrame(ws.NewTextFrame(encoded))
}

// beat pings. A peer that has sent nothing since the last ping is dead.
func (s *socket) beat() error {
	if s.pinged && !s.heard.Load() {
		return errSilent
	}
	s.pinged = true
	s.heard.Store(false)
	return s.write(ws.CompiledPing, false)
}

var errSilent = errors.New("the peer does not answer pings")

func (s *socket) writeClose(code ws.StatusCode, why string) error {
	return s.writeFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, why)))
}

func (s *socket) writeFrame(frame ws.Frame) error {
	compiled, err := ws.CompileFrame(frame)
	if err != nil {
		return fmt.Errorf("encoding a frame: %w", err)
	}
	return s.write(compiled, frame.Header.OpCode == ws.OpClose)
}

// write writes one frame, unless a close frame went before it: nothing follows
// that.
func (s *socket) write(frame []byte, closes bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = closes
	_ = s.connection.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := s.connection.Write(frame)
	if err != nil {
		s.closed = true // whatever followed half a frame would be part of it
	}
	return err
}
