package ingress

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

// maxBody is the largest body of any call, in bytes.
const maxBody = 4 << 10

// bodies are buffers with room for one byte more than a body may have.
var bodies = sync.Pool{New: func() any { return new([maxBody + 1]byte) }}

// limitBody limits how long the body of a call may take. The limit stays where
// the body is not read, or not to its end: net/http reads the rest of it before
// it answers, and would wait for that as long as the client likes.
func limitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// What knows no deadlines is not a connection.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(BodyTimeout))
	}
}

// readBody reads a call's body as one JSON value into a struct, strictly:
// members that into does not have, names that are there twice, data that
// follows and a body that is too long are refused. An empty body leaves into as
// it is, so the caller puts the defaults there; null sets a member to its zero
// value. It is JSON whatever its Content-Type says.
func readBody(c echo.Context, into any) error {
	r := c.Request()
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	buffer := bodies.Get().(*[maxBody + 1]byte)
	defer bodies.Put(buffer)
	n, err := io.ReadFull(r.Body, buffer[:])
	switch {
	case err == nil:
		return refusef(invalidRequest, "the body is longer than %d bytes", maxBody)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(invalidRequest, "the body cannot be read")
	}
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
	if n == 0 {
		return nil
	}
	if err := json.Unmarshal(buffer[:n], into, json.RejectUnknownMembers(true)); err != nil {
		return refuse(invalidRequest, "the body is not the JSON object that this call takes: "+err.Error())
	}
	return nil
}
