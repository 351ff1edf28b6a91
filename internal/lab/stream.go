package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// stream follows a shopper's request by WebSocket until it has an outcome, and
// gives the shopper back. One whose stream breaks goes on by polling.
func (c *crowd) stream(ctx context.Context, s *shopper) {
	defer func() { <-c.streams }()
	c.tally.noteStream()
	if err := c.follow(ctx, s); err != nil {
		s.step, s.due = ask, time.Now().Add(rand.N(retryPause))
	}
	c.agenda.put(s)
}

func (c *crowd) follow(ctx context.Context, s *shopper) error {
	ctx, cancel := context.WithDeadline(ctx, s.patienceEnds)
	defer cancel()
	address := c.config.Addresses[s.number%len(c.config.Addresses)]
	seen := url.QueryEscape(strings.Trim(strings.TrimPrefix(s.etag, "W/"), `"`))
	connection, response, err := websocket.Dial(ctx, "ws://"+address+"/queue/"+s.ticket+"/ws?after="+seen, nil)
	if err != nil {
		return fmt.Errorf("following by WebSocket: %w", err)
	}
	if response != nil && response.Body != nil {
		defer response.Body.Close()
	}
	defer connection.CloseNow()
	for {
		var told status
		if err := wsjson.Read(ctx, connection, &told); err != nil {
			return fmt.Errorf("reading the stream: %w", err)
		}
		now := time.Now()
		s.told(told, c.tally, now)
		s.etag = `W/"` + told.After + `"`
		if s.decided {
			c.goOn(s, now)
			return nil
		}
	}
}
