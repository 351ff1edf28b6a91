package load

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"time"
)

// socket is the client's side of a WebSocket (RFC 6455) that listens only. It is
// written by hand because thousands are open at once on the machine that is
// measured: what one costs here is a goroutine's stack and a buffer.
type socket struct{ wire *wire }

// Of frames.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	final          = 0x80 // bit of the first byte
	masked         = 0x80 // bit of the second
	longestMessage = 1 << 20
	longestControl = 125
	normalClosure  = 1000
)

// errEnded means that the server has said all, and closed the stream in order.
var errEnded = errors.New("the stream has ended")

// open makes the connection and the handshake. The answer is that of a server
// that refuses; its error is nil only when the stream is open.
func (s *socket) open(ctx context.Context, out *requests, ticket, etag string) (answer, error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	after := strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	a, err := s.wire.call(ctx, out.upgrade(ticket, after, key), 0)
	if err != nil {
		return a, err
	}
	digest := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	switch {
	case a.status != 101:
		return a, fmt.Errorf("the handshake was answered with %d", a.status)
	case string(a.accept) != base64.StdEncoding.EncodeToString(digest[:]):
		return answer{}, fmt.Errorf("%w: the handshake is not of this key", errMalformed)
	}
	return a, nil
}

// next waits for a message, and answers pings meanwhile. It waits until a time,
// if that is not zero, and no longer than the server may be silent. The message
// is valid until the next call.
func (s *socket) next(until time.Time) ([]byte, error) {
	s.wire.joined = s.wire.joined[:0]
	for begun := false; ; {
		deadline := time.Now().Add(longestSilence)
		if !until.IsZero() && until.Before(deadline) {
			deadline = until
		}
		if err := s.wire.connection.SetDeadline(deadline); err != nil {
			return nil, fmt.Errorf("setting a deadline: %w", err)
		}
		first, payload, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch code := first &^ final; {
		case code == opPing:
			if err := s.send(opPong, payload); err != nil {
				return nil, err
			}
		case code == opPong:
		case code == opClose:
			_ = s.send(opClose, payload[:min(len(payload), 2)]) // it may be gone
			if len(payload) >= 2 && binary.BigEndian.Uint16(payload) == normalClosure {
				return nil, errEnded
			}
			return nil, io.ErrUnexpectedEOF
		case (code == opText || code == opBinary) && !begun && first&final != 0:
			return payload, nil
		case (code == opText || code == opBinary) != begun && (begun && code == opContinuation || !begun):
			begun = true
			if s.wire.joined = append(s.wire.joined, payload...); len(s.wire.joined) > longestMessage {
				return nil, fmt.Errorf("%w: a message of more than %d bytes", errMalformed, longestMessage)
			}
			if first&final != 0 {
				return s.wire.joined, nil
			}
		default:
			return nil, fmt.Errorf("%w: a frame of kind %d", errMalformed, code)
		}
	}
}

// frame reads a frame: its first byte and what it carries.
func (s *socket) frame() (first byte, payload []byte, err error) {
	w := s.wire
	head, err := w.take(2)
	if err != nil {
		return 0, nil, err
	}
	first, length := head[0], uint64(head[1])
	extended := 0
	switch length {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	if extended > 0 {
		if head, err = w.take(extended); err != nil {
			return 0, nil, unexpected(err)
		}
		length = 0
		for _, b := range head {
			length = length<<8 | uint64(b)
		}
	}
	if first&0x70 != 0 || length > longestMessage || first&0x08 != 0 && (length > longestControl || first&final == 0) {
		return 0, nil, fmt.Errorf("%w: a frame that begins with %#x", errMalformed, first)
	}
	if payload, err = w.take(int(length)); err != nil {
		return 0, nil, unexpected(err)
	}
	return first, payload, nil
}

// send sends a control frame.
func (s *socket) send(code byte, payload []byte) error {
	if _, err := s.wire.connection.Write(controlFrame(code, payload)); err != nil {
		return fmt.Errorf("sending a frame: %w", err)
	}
	return nil
}

// controlFrame is a frame as a client has to send it, masked.
func controlFrame(code byte, payload []byte) []byte {
	frame := append(make([]byte, 0, 6+len(payload)), final|code, masked|byte(len(payload)))
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	frame = append(frame, key[:]...)
	for i, b := range payload {
		frame = append(frame, b^key[i%4])
	}
	return frame
}

// close ends the stream without waiting for the server to agree.
func (s *socket) close() { s.wire.close() }

// take gives the next bytes, reading as many as are needed. They are valid until
// the next call.
func (w *wire) take(n int) ([]byte, error) {
	if w.from == w.to {
		w.from, w.to = 0, 0
	}
	for w.to-w.from < n {
		if w.to == len(w.in) && w.from > 0 { // room is made before memory
			w.to = copy(w.in, w.in[w.from:w.to])
			w.from = 0
		}
		if err := w.more(); err != nil {
			return nil, err
		}
	}
	taken := w.in[w.from : w.from+n]
	w.from += n
	return taken, nil
}

// sourceFor spreads streams over the addresses of the loopback network, each of
// which has some 28,000 ports of its own. nil leaves it to the system.
func sourceFor(address string, n int) *net.TCPAddr {
	const addresses = 16
	host, _, _ := strings.Cut(address, ":")
	if ip := net.ParseIP(host).To4(); runtime.GOOS != "linux" || ip == nil || !ip.IsLoopback() {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n%addresses))}
}
