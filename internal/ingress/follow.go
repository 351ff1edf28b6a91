package ingress

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Times of streams.
const (
	heartbeatEvery = 15 * time.Second
	writeWait      = WriteTimeout
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

// follower is what one client is shown of one request, and what it was last
// sent. It is small: there is one for everybody who waits.
type follower struct {
	ingress *Ingress
	of      claim

	fingerprint string      // of what was sent, but for the position
	position    int64       // that was sent, or board.NoPosition
	seen        sale.Offset // the watermark that the client has seen
	at          sale.Offset // the board's, before the last look
	moves       bool        // what was sent has a place that changes
	unread      bool        // the last look failed: a change may be untold
}

func (i *Ingress) follower(of claim) follower {
	return follower{ingress: i, of: of, position: board.NoPosition}
}

// first looks for the first time, at what a client is to be shown that has seen
// a marker, and sends nothing.
func (f *follower) first(ctx context.Context, seen marker) (shown, error) {
	f.at = f.ingress.board.Watermark(f.of.Partition)
	return f.ingress.show(ctx, &f.of, seen)
}

// look sends the client what it does not know yet.
func (f *follower) look(ctx context.Context, out stream) ending {
	f.at = f.ingress.board.Watermark(f.of.Partition)
	now, err := f.ingress.show(ctx, &f.of, marker{watermark: f.seen})
	if f.unread = err != nil; f.unread {
		return going
	}
	return f.tell(&now, out)
}

// tell sends what is shown, if it is news.
func (f *follower) tell(now *shown, out stream) ending {
	if !f.isNews(now) {
		return going
	}
	if out.send(now) != nil {
		return endedGone
	}
	f.fingerprint, f.seen, f.moves, f.position = now.fingerprint, now.watermark, now.moves, board.NoPosition
	if now.status.Position != nil {
		f.position = *now.status.Position
	}
	if now.status.State.Final() {
		return endedFinal
	}
	return going
}

// isNews reports whether what is shown differs from what was sent, or those
// before the client have become fewer.
func (f *follower) isNews(now *shown) bool {
	if f.fingerprint != now.fingerprint {
		return true
	}
	if now.status.Position == nil {
		return false
	}
	return f.position == board.NoPosition || *now.status.Position < f.position
}

// again gives the time after which to look although no change was told, and 0
// for never.
func (f *follower) again() time.Duration {
	switch {
	case f.unread:
		// A change is told once, and this one could not be read.
		return time.Second + rand.N(time.Second)
	case f.moves:
		return positionEvery(max(0, f.position))
	}
	return 0
}

// stands reports whether nothing can have moved since the last look: a place
// changes with the watermark only. One that is not known may become known.
func (f *follower) stands() bool {
	return !f.unread && f.position != board.NoPosition && f.ingress.board.Watermark(f.of.Partition) == f.at
}

// follow sends a request's status, which is first now, on every change, and its
// position, in the line or among those who wait, from time to time, until the
// state is final. watch was begun before first was looked up. A slow client
// holds up only itself: what happens while it is being written to is looked up
// afterwards, not queued.
func (f *follower) follow(ctx context.Context, watch *board.Watch, first *shown, out stream) {
	again := time.NewTimer(0) // when to look although no change was told
	defer again.Stop()
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()

	for end := f.tell(first, out); end == going; end = f.look(ctx, out) {
		if after := f.again(); after > 0 {
			again.Reset(after)
		} else {
			again.Stop()
		}
		if !f.idle(ctx, watch, again, heartbeat, out) {
			return
		}
	}
}

// idle waits until the request should be looked at again. It reports false
// where the stream ends instead.
func (f *follower) idle(ctx context.Context, watch *board.Watch, again *time.Timer, heartbeat *time.Ticker, out stream) bool {
	for {
		select {
		case <-watch.C:
			return true
		case <-again.C:
			if !f.stands() {
				return true
			}
			again.Reset(f.again())
		case <-heartbeat.C:
			if out.beat() != nil {
				return false
			}
		case <-f.ingress.drain.over:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
