package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// What a client may send: nothing is expected of it, and what comes is thrown
// away.
const maxIncoming = 512 // bytes of a message

// serveWebSocket is GET /queue/{ticket}/ws. ?after= takes the marker that every
// message has in its member "after", or an ETag without its quotes.
func (i *Ingress) serveWebSocket(c echo.Context) error {
	of, err := i.claimOf(c.Param("ticket"))
	if err != nil {
		return err
	}
	request := c.Request()
	if !strings.EqualFold(request.Header.Get("Upgrade"), "websocket") {
		c.Response().Header().Set("Upgrade", "websocket")
		return refuse(upgradeRequired, "")
	}
	if err := i.streams.enter(webSocket); err != nil {
		return err
	}
	defer i.streams.leave(webSocket)

	seen := i.readMarker(of.text, request.URL.Query().Get("after"))
	_ = i.catchUp(request.Context(), of.Partition, seen.watermark)
	watch := i.board.Watch(of.Partition, sale.Offset(of.Offset))
	defer watch.Close()
	first, err := i.show(request.Context(), &of, seen)
	if err != nil {
		return err
	}

	connection, err := websocket.Accept(upgrade{c.Response()}, request, &websocket.AcceptOptions{
		// Any page may follow any ticket that it knows: the ticket in the path
		// is the whole right to see it, and no cookie or other thing that a
		// browser adds by itself counts here, so a foreign page can do no more
		// with a shopper's browser than without it.
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled, // a status is small, and memory per client is not
	})
	if err != nil {
		return refuse(invalidRequest, "the WebSocket handshake is not valid")
	}
	// After the upgrade the request's context says nothing of the client.
	ctx, leave := context.WithCancel(context.WithoutCancel(request.Context()))
	out := &socket{ingress: i, connection: connection, leave: leave}
	out.goroutines.Go(func() { out.discard(ctx) })
	end := i.follow(ctx, &of, watch, first, out)
	out.close(end)
	leave()
	out.goroutines.Wait()
	return nil
}

// socket is a WebSocket. It owns a goroutine that reads, without which no pong
// is seen, and one for each ping that is not answered yet.
type socket struct {
	ingress    *Ingress
	connection *websocket.Conn
	leave      context.CancelFunc // ends the stream
	goroutines sync.WaitGroup
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
	ctx, cancel := context.WithTimeout(context.Background(), writeWait)
	defer cancel()
	return s.connection.Write(ctx, websocket.MessageText, encoded)
}

// beat pings. A peer that has not answered before the next one is dead.
func (s *socket) beat() error {
	s.goroutines.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), heartbeatEvery-time.Second)
		defer cancel()
		if s.connection.Ping(ctx) != nil {
			s.leave()
		}
	})
	return nil
}

// discard reads until the client leaves, or sends more than it may.
func (s *socket) discard(ctx context.Context) {
	defer s.leave()
	s.connection.SetReadLimit(maxIncoming)
	for {
		_, reader, err := s.connection.Reader(ctx)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			return
		}
	}
}

// close tells the client why, and ends the connection. It waits a few seconds
// for the client to agree.
func (s *socket) close(end ending) {
	switch end {
	case endedFinal:
		_ = s.connection.Close(websocket.StatusNormalClosure, "")
	case endedDrained:
		_ = s.connection.Close(websocket.StatusServiceRestart, "")
	case endedGone, going:
		_ = s.connection.CloseNow()
	}
}

// upgrade lets nothing but the handshake's answer through: its refusals are
// answered as problems.
type upgrade struct{ http.ResponseWriter }

func (u upgrade) WriteHeader(code int) {
	if code == http.StatusSwitchingProtocols {
		u.ResponseWriter.WriteHeader(code)
	}
}

func (u upgrade) Write(body []byte) (int, error) { return len(body), nil }

func (u upgrade) Unwrap() http.ResponseWriter { return u.ResponseWriter }
