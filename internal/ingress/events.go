package ingress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// serveEvents is GET /queue/{ticket}/events: the status as server-sent events,
// the last of which has the type "final". A client that has had it and
// reconnects, as browsers do, is told by 204 to stop.
func (i *Ingress) serveEvents(c echo.Context) error {
	of, err := i.claimOf(c.Param("ticket"))
	if err != nil {
		return err
	}
	seen := i.readMarker(of.text, c.Request().Header.Get("Last-Event-ID"))
	if seen.final {
		return c.NoContent(http.StatusNoContent)
	}
	if err := i.streams.enter(serverSentEvents); err != nil {
		return err
	}
	defer i.streams.leave(serverSentEvents)

	ctx := c.Request().Context()
	_ = i.catchUp(ctx, of.Partition, seen.watermark)
	watch := i.board.Watch(of.Partition, sale.Offset(of.Offset))
	defer watch.Close()
	follower := i.follower(of)
	first, err := follower.first(ctx, seen)
	if err != nil {
		return err
	}
	response := c.Response()
	response.Header()["Content-Type"] = eventType
	response.Header()["X-Accel-Buffering"] = noBuffering
	response.WriteHeader(http.StatusOK)

	out := &eventStream{ingress: i, to: response, control: http.NewResponseController(response)}
	// Those who are sent away together come back one by one.
	fmt.Fprintf(&out.pending, "retry: %d\n", 1000+rand.N(4000))
	follower.follow(ctx, watch, &first, out)
	return nil
}

// noBuffering asks proxies that know it to pass events on at once.
var noBuffering = []string{"no"}

type eventStream struct {
	ingress *Ingress
	to      http.ResponseWriter
	control *http.ResponseController
	pending bytes.Buffer
}

func (e *eventStream) send(s *shown) error {
	fmt.Fprintf(&e.pending, "id: %s\n", s.marker(e.ingress))
	if s.status.State.Final() {
		e.pending.WriteString("event: final\n")
	}
	data, err := json.Marshal(&s.status)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	e.pending.WriteString("data: ")
	e.pending.Write(data)
	e.pending.WriteString("\n\n")
	return e.flush()
}

// beat writes a comment: it keeps proxies from closing the connection, and
// finds out whether somebody is still there.
func (e *eventStream) beat() error {
	e.pending.WriteString(":\n\n")
	return e.flush()
}

func (e *eventStream) flush() error {
	// A writer that knows no deadlines is not a connection.
	_ = e.control.SetWriteDeadline(time.Now().Add(writeWait))
	if _, err := e.to.Write(e.pending.Bytes()); err != nil {
		return err
	}
	e.pending.Reset()
	return e.control.Flush()
}
