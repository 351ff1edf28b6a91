package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

const (
	firstBuffer = 2 << 10  // bytes; most answers are smaller
	longestHead = 64 << 10 // bytes
	longestBody = 16 << 20 // bytes
	// A connection that was idle for longer is replaced before it is used:
	// servers close idle ones, and a click that meets the closing would count
	// as lost.
	longestIdle = 20 * time.Second
)

// errConnect means that a call was not sent.
var errConnect = errors.New("no connection")

// wire is one keep-alive connection to one address, made when it is first
// needed and again when it broke. It is used by one goroutine.
type wire struct {
	address string
	timeout time.Duration // of a call
	source  *net.TCPAddr  // nil: the system's choice

	connection net.Conn
	forget     func() bool // of the watch over the context
	in         []byte
	from, to   int       // what is read and not used yet
	joined     []byte    // of a chunked body
	deadline   time.Time // as set
	used       time.Time
}

// call sends a request and reads the answer. It is under way for at most the
// timeout and a quarter, plus wait, or until ctx ends.
func (w *wire) call(ctx context.Context, request []byte, wait time.Duration) (answer, error) {
	now := time.Now()
	if w.connection != nil && now.Sub(w.used) > longestIdle {
		w.close()
	}
	if w.connection == nil {
		if err := w.open(ctx); err != nil {
			return answer{}, err
		}
	}
	a, err := w.exchange(request, now.Add(w.timeout+wait))
	if err != nil {
		w.close()
		return answer{}, err
	}
	if a.closes {
		w.close()
	}
	w.used = now
	return a, nil
}

func (w *wire) open(ctx context.Context) error {
	dialer := net.Dialer{Timeout: w.timeout}
	if w.source != nil {
		dialer.LocalAddr = w.source
	}
	connection, err := dialer.DialContext(ctx, "tcp", w.address)
	if err != nil {
		return fmt.Errorf("%w: %w", errConnect, err)
	}
	w.connection, w.from, w.to, w.deadline = connection, 0, 0, time.Time{}
	w.forget = context.AfterFunc(ctx, func() { _ = connection.Close() }) // ends a call that waits
	return nil
}

func (w *wire) close() {
	if w.connection != nil {
		w.forget()
		_ = w.connection.Close()
		w.connection = nil
	}
}

func (w *wire) exchange(request []byte, until time.Time) (answer, error) {
	// A deadline costs as much as a good part of a call, so one serves for many.
	if w.deadline.Before(until) || w.deadline.After(until.Add(w.timeout)) {
		w.deadline = until.Add(w.timeout / 4)
		if err := w.connection.SetDeadline(w.deadline); err != nil {
			return answer{}, fmt.Errorf("setting a deadline: %w", err)
		}
	}
	if _, err := w.connection.Write(request); err != nil {
		return answer{}, fmt.Errorf("sending: %w", err)
	}
	for {
		a, err := w.read()
		if err != nil || a.status >= 200 || a.status == 101 {
			return a, err
		} // else it is a preliminary one
	}
}

// read reads one answer.
func (w *wire) read() (answer, error) {
	if w.from == w.to {
		w.from, w.to = 0, 0
	}
	end, seen := -1, 0
	for end < 0 {
		if at := bytes.Index(w.in[w.from+seen:w.to], []byte("\r\n\r\n")); at >= 0 {
			end = w.from + seen + at + 4
			break
		}
		seen = max(w.to-w.from-3, 0)
		if w.to-w.from > longestHead {
			return answer{}, fmt.Errorf("%w: a head of more than %d bytes", errMalformed, longestHead)
		}
		if err := w.more(); err != nil {
			return answer{}, err
		}
	}
	a, length, err := parseHead(w.in[w.from:end])
	if err != nil {
		return answer{}, err
	}
	w.from = end
	a.body, err = w.body(length)
	return a, err
}

// body reads a body.
func (w *wire) body(length int) ([]byte, error) {
	switch {
	case length == chunked:
		return w.chunks()
	case length == untilClose:
		var err error
		for err == nil && w.to-w.from <= longestBody {
			err = w.more()
		}
		if err == nil {
			return nil, fmt.Errorf("%w: a body of more than %d bytes", errMalformed, longestBody)
		}
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		length = w.to - w.from
	case length > longestBody:
		return nil, fmt.Errorf("%w: a body of %d bytes", errMalformed, length)
	}
	for w.to-w.from < length {
		if err := w.more(); err != nil {
			return nil, unexpected(err)
		}
	}
	body := w.in[w.from : w.from+length]
	w.from += length
	return body, nil
}

// chunks reads the rest of a chunked body, trailers included.
func (w *wire) chunks() ([]byte, error) {
	w.joined = w.joined[:0]
	for {
		line, err := w.line()
		if err != nil {
			return nil, err
		}
		digits, _, _ := bytes.Cut(line, []byte{';'})
		size, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 31)
		if err != nil || len(w.joined)+int(size) > longestBody {
			return nil, fmt.Errorf("%w: a chunk's size", errMalformed)
		}
		if size == 0 {
			break
		}
		for w.to-w.from < int(size)+2 {
			if err := w.more(); err != nil {
				return nil, unexpected(err)
			}
		}
		w.joined = append(w.joined, w.in[w.from:w.from+int(size)]...)
		w.from += int(size)
		if line, err := w.line(); err != nil || len(line) > 0 {
			return nil, fmt.Errorf("%w: a chunk's end", errMalformed)
		}
	}
	for {
		if line, err := w.line(); err != nil || len(line) == 0 {
			return w.joined, err
		}
	}
}

// line reads a line without its end.
func (w *wire) line() ([]byte, error) {
	for {
		if at := bytes.Index(w.in[w.from:w.to], []byte("\r\n")); at >= 0 {
			line := w.in[w.from : w.from+at]
			w.from += at + 2
			return line, nil
		}
		if w.to-w.from > longestHead {
			return nil, fmt.Errorf("%w: a line without an end", errMalformed)
		}
		if err := w.more(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// more reads what is there, into a larger buffer if need be: offsets stay, and
// slices of the one before stay what they were.
func (w *wire) more() error {
	if w.to == len(w.in) {
		larger := make([]byte, max(firstBuffer, 2*len(w.in)))
		copy(larger, w.in[:w.to])
		w.in = larger
	}
	n, err := w.connection.Read(w.in[w.to:])
	w.to += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return fmt.Errorf("reading: %w", err)
}

// unexpected is an end where there should be more.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return err
}

// failureOf gives an error's name in [Result].Errors.
func failureOf(err error) string {
	switch {
	case errors.Is(err, errConnect):
		return ErrorConnect
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrorTimeout
	case errors.Is(err, errMalformed):
		return ErrorMalformed
	}
	return ErrorConnection
}
