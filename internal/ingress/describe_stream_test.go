package ingress

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/anteroomhq/anteroom/internal/ingress/ingresstest"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestEventsAreDescribed: the stream's head, and each status that it carries.
func TestEventsAreDescribed(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		c := description(t)
		s := i.buys(t, "ada")
		follow := func(lastEvent string, code int) (events []sent) {
			l, over := i.listen(t.Context(), s.Ticket, lastEvent)
			synctest.Wait()
			if lastEvent == "" {
				w.decide(0)
				w.start(0)
				synctest.Wait()
				pass(time.Minute)
				w.record(0, "", sale.Tick{})
				w.decide(0)
			}
			<-over
			if l.code != code {
				t.Fatalf("answered %d, want %d", l.code, code)
			}
			r := request("GET", "/queue/"+s.Ticket+"/events", "", nil)
			if err := c.Check(r, nil, ingresstest.Answer{Code: l.code, Header: l.header, Stream: true}); err != nil {
				t.Error(err)
			}
			for line := range strings.Lines(l.text.String()) {
				if data, ok := strings.CutPrefix(line, "data: "); ok {
					if err := c.CheckBody("ShopperStatus", []byte(data)); err != nil {
						t.Errorf("event %s: %v", data, err)
					}
				}
			}
			events, _ = l.events(t)
			return events
		}
		events := follow("", http.StatusOK)
		if len(events) < 3 {
			t.Fatalf("%d events", len(events))
		}
		follow(events[len(events)-1].id, http.StatusNoContent)
	})
}

// TestWebSocketIsDescribed: the handshake, and each message.
func TestWebSocketIsDescribed(t *testing.T) {
	t.Parallel()
	c := description(t)
	w, i, server := onNetwork(t, nil)
	s := i.buys(t, "ada")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := &http.Client{Transport: c.Transport(server.Client().Transport)}
	address := "ws" + strings.TrimPrefix(server.URL, "http") + "/queue/" + s.Ticket + "/ws"
	connection, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: client}) //nolint:bodyclose // Dial says that it is not to be closed
	if err != nil {
		t.Fatal(err)
	}
	defer connection.CloseNow()
	for _, next := range []func(){func() { w.decide(0) }, func() { w.start(0) }, nil} {
		_, text, err := connection.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CheckBody("StatusMessage", text); err != nil {
			t.Errorf("message %s: %v", text, err)
		}
		if next != nil {
			next()
		}
	}
}
