// Package servertest holds an HTTP server to what net/http does with the same
// bytes, and to the limits, times and manner of stopping that the edge relies
// on. It speaks raw bytes over TCP and looks at the raw bytes that come back. It
// is for tests only.
//
// What always holds:
//   - net/http is the measure: what a server's handler sees, and what its
//     clients read, is compared with what net/http gives for the same bytes.
//     Where a server may differ is said at the comparison (compare.go), with the
//     reason.
//   - Nothing sleeps. Bytes that are to arrive apart are sent when the server
//     has read those before; all else waits for a condition, with a deadline.
//   - After each server's end its goroutines and connections are looked for:
//     none may be left.
//
// A test owns its servers and clients, which end with it.
package servertest

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// Server is what is tested, a subset of *http.Server. Serve returns
// http.ErrServerClosed after Shutdown or Close, and at once where these came
// before it.
type Server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// Limits are those of a server. A time of zero is no limit.
type Limits struct {
	ReadHeader     time.Duration // for a request's head, from its first byte; on a new connection from its start
	Idle           time.Duration // between requests
	Write          time.Duration // for an answer, from the end of the request's head
	MaxHeaderBytes int           // of a head, which may be longer by a few KiB, as net/http has it
}

// Start makes a server that is not serving yet. What it logs goes nowhere.
type Start func(h http.Handler, limits Limits) Server

// Streams is what the paths begin with whose handlers flush, send informational
// answers, or have limits of their own for what they read and write. A server
// may serve these apart; of no other call does it need to know more than a whole
// request and a whole answer.
const Streams = "/stream"

// patient are limits that no test reaches unless it means to.
var patient = Limits{ReadHeader: time.Minute, Idle: 2 * time.Minute, MaxHeaderBytes: 8 << 10}

// patience is how long a test waits for what has to happen.
const patience = 15 * time.Second

// Run holds a server to all of it. The clients of one test are served by one
// server, which must take 100 connections at a time.
func Run(t *testing.T, start Start) {
	for _, part := range []struct {
		name string
		test func(*testing.T, Start)
	}{
		{"Requests", testRequests},
		{"RandomRequests", testRandomRequests},
		{"Answers", testAnswers},
		{"Handlers", testHandlers},
		{"Hijack", testHijack},
		{"Heads", testHeads},
		{"Times", testTimes},
		{"Shutdown", testShutdown},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.test(t, start)
		})
	}
}
