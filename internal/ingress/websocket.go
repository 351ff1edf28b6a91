package ingress

import (
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// serveWebSocket is GET /queue/{ticket}/ws. ?after= takes the marker that every
// message has in its member "after", or an ETag without its quotes. It returns
// when the first status is sent, so that net/http lets its goroutine, its
// buffers and the request go; the socket goes on without them.
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
	goesOn := false
	defer func() {
		if !goesOn {
			i.streams.leave(webSocket)
		}
	}()

	seen := i.readMarker(of.text, request.URL.Query().Get("after"))
	_ = i.catchUp(request.Context(), of.Partition, seen.watermark)
	of.text = strings.Clone(of.text) // it outlives the request, of which it is a part
	out := &socket{follower: i.follower(of), turns: true}
	out.watch = i.board.WatchFunc(of.Partition, sale.Offset(of.Offset), out.onChange)
	defer func() {
		if !goesOn {
			out.watch.Close()
		}
	}()
	first, err := out.first(request.Context(), seen)
	if err != nil {
		return err
	}
	connection, in, err := upgrade(c.Response(), request)
	if err != nil {
		return err
	}
	goesOn = true
	out.connection = connection
	out.run(&first, in)
	return nil
}
