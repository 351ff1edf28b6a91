package ingress

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// upgrade makes the WebSocket handshake and takes the connection from net/http,
// which keeps nothing of it. An error has answered nothing yet.
//
// Any page may follow any ticket that it knows, so the Origin is not looked at:
// the ticket in the path is the whole right to see it, and no cookie or other
// thing that a browser adds by itself counts here, so a foreign page can do no
// more with a shopper's browser than without it. No extension is accepted: a
// status is small, and memory for compression is not.
func upgrade(w http.ResponseWriter, r *http.Request) (net.Conn, io.Reader, error) {
	header := w.Header().Clone()
	header.Del("Connection") // a drain may have begun
	if lines := r.Header["Connection"]; len(lines) > 1 {
		// Proxies add lines of their own, and the library reads the first.
		r.Header["Connection"] = []string{strings.Join(lines, ", ")}
	}
	rehearsal := rehearsal{ResponseWriter: w}
	if _, _, _, err := (ws.HTTPUpgrader{Header: header}).Upgrade(r, &rehearsal); err != nil {
		return nil, nil, refuse(invalidRequest, "the WebSocket handshake is not valid")
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, refuse(invalidRequest, "this connection cannot become a WebSocket")
	}
	// The server's deadlines were for the request.
	_ = connection.SetDeadline(time.Time{})
	_ = connection.SetWriteDeadline(time.Now().Add(writeWait))
	_, _ = connection.Write(rehearsal.answer.Bytes()) // where it fails, so does the first message
	// What came with the request is copied, so that the buffers are let go.
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	if len(early) == 0 {
		return connection, connection, nil
	}
	return connection, io.MultiReader(bytes.NewReader(bytes.Clone(early)), connection), nil
}

// rehearsal lets the library judge the handshake and write its answer before
// the connection is taken: it hijacks first, but a refusal is to be answered as
// a problem, by net/http.
type rehearsal struct {
	http.ResponseWriter
	answer bytes.Buffer
}

func (r *rehearsal) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return noConnection{}, bufio.NewReadWriter(nil, bufio.NewWriterSize(&r.answer, 512)), nil
}

// noConnection takes the deadlines that a handshake sets.
type noConnection struct{ net.Conn }

func (noConnection) SetDeadline(time.Time) error { return nil }
