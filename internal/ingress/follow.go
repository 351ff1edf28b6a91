package ingress

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
)

// Times of streams.
const (
	heartbeatEvery = 15 * time.Second
	writeWait      = 5 * time.Second // after which a slow client is dropped
)

// stream is the way to one client. Its methods are called from one goroutine
// and take writeWait at most.
type stream interface {
	send(*shown) error
	beat() error
}

// ending says how a stream has ended.
type ending uint8

const (
	going        ending = iota // it has not
	endedFinal                 // the final state was sent
	endedDrained               // the client should come back elsewhere
	endedGone                  // nobody listens any more
)

// follow sends a request's status, which is first now, on every change, and its
// position, in the line or among those who wait, from time to time, until the state is final. watch was begun before
// first was looked up. A slow client holds up only itself: what happens while
// it is being written to is looked up afterwards, not queued.
func (i *Ingress) follow(ctx context.Context, of *claim, watch *board.Watch, first shown, out stream) ending {
	again := time.NewTimer(0) // when to look although no change was told
	defer again.Stop()
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()

	var sent shown
	var err error
	for now := first; ; {
		if err == nil && now.newsAfter(&sent) {
			if out.send(&now) != nil {
				return endedGone
			}
			sent = now
		}
		switch {
		case sent.status.State.Final():
			return endedFinal
		case err != nil:
			// A change is told once, and this one could not be read.
			again.Reset(time.Second + rand.N(time.Second))
		case sent.moves:
			again.Reset(untilMove(&sent.status))
		default:
			again.Stop()
		}
		if end := i.idle(ctx, watch, again, heartbeat, out); end != going {
			return end
		}
		now, err = i.show(ctx, of, marker{watermark: sent.watermark})
	}
}

// idle waits until the request should be looked at again.
func (i *Ingress) idle(ctx context.Context, watch *board.Watch, again *time.Timer, heartbeat *time.Ticker, out stream) ending {
	for {
		select {
		case <-watch.C:
			return going
		case <-again.C:
			return going
		case <-heartbeat.C:
			if out.beat() != nil {
				return endedGone
			}
		case <-i.drain.over:
			return endedDrained
		case <-ctx.Done():
			return endedGone
		}
	}
}

// newsAfter reports whether a client that was sent another status is to be sent
// this one: it differs, or those before it have become fewer.
func (s *shown) newsAfter(sent *shown) bool {
	if s.fingerprint != sent.fingerprint {
		return true
	}
	if s.status.Position == nil {
		return false
	}
	return sent.status.Position == nil || *s.status.Position < *sent.status.Position
}

func untilMove(s *status) time.Duration {
	if s.Position == nil {
		return positionEvery(0)
	}
	return positionEvery(*s.Position)
}
