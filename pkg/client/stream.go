package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
)

// maxMessage bounds a message of a stream, in bytes.
const maxMessage = 64 << 10

// message is a status with the marker that says what was seen.
type message struct {
	Status
	After string `json:"after"`
}

// stream follows by WebSocket until it breaks or nothing more is to be given.
// Why it broke does not matter: what is wrong with the ticket or the service
// is said to the next poll.
func (f *follower) stream(ctx context.Context) error {
	streaming, leave := context.WithCancel(ctx)
	defer leave()
	alive := time.AfterFunc(silence, leave)
	defer alive.Stop()
	connection, err := f.dial(streaming, alive)
	if err != nil {
		f.withoutStream()
		f.failures++
		return nil
	}
	defer connection.CloseNow()
	connection.SetReadLimit(maxMessage)

	began, told := time.Now(), false
	for !f.over {
		alive.Reset(silence)
		next, err := read(streaming, connection)
		if err != nil {
			break
		}
		alive.Stop() // the caller takes the time that it needs
		told = true
		if next.After != "" {
			f.marker = next.After
		}
		f.tell(next.Status)
	}
	switch {
	case f.over:
		return nil
	case told && time.Since(began) >= steady:
		f.failures = 0
	case told && f.failures == 0: // once is no habit
		f.failures++
	default:
		f.withoutStream()
		f.failures++
	}
	// A server that drains sends everybody away at once.
	return wait(ctx, rand.N(comeBack))
}

func (f *follower) dial(ctx context.Context, alive *time.Timer) (*websocket.Conn, error) {
	target, err := f.client.target([]string{"queue", f.ticket, "ws"})
	if err != nil {
		return nil, err
	}
	if f.marker != "" {
		target.RawQuery = url.Values{"after": {f.marker}}.Encode()
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	// Where it fails there is nothing to close, and where it does not the
	// connection is what has to be closed.
	connection, _, err := websocket.Dial(ctx, target.String(), &websocket.DialOptions{ //nolint:bodyclose // see above
		HTTPClient: f.client.http,
		HTTPHeader: http.Header{"User-Agent": {userAgent}},
		OnPingReceived: func(context.Context, []byte) bool {
			alive.Reset(silence)
			return true
		},
	})
	return connection, err
}

func read(ctx context.Context, connection *websocket.Conn) (message, error) {
	var next message
	_, content, err := connection.Read(ctx)
	if err != nil {
		return next, err
	}
	if err := json.Unmarshal(content, &next); err != nil {
		return next, err
	}
	if next.ID == "" {
		return next, errors.New("the message is no status of a request")
	}
	return next, nil
}
