package ingress

import (
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// pollAfter gives the milliseconds after which a client that polls should ask
// again: soon near the head of the line, later far from it, never at the same
// time as the others, and 0 where nothing more is to come.
func pollAfter(view *board.View) int64 {
	ahead := time.Duration(min(max(view.Position, 0), far))
	var least, most time.Duration
	switch view.State {
	case sale.Queued:
		if parked(view) {
			least, most = 5*time.Second, 10*time.Second
			break
		}
		// A hot sale's line moves by ten thousand records in a second or less.
		least = min(250*time.Millisecond+ahead*100*time.Microsecond, 6*time.Second)
		most = least + least*2/3
	case sale.Waitlisted:
		// It moves when a hold ends or somebody leaves: by a few in a minute.
		least = min(2*time.Second+ahead*50*time.Millisecond, 15*time.Second)
		most = least * 2
	case sale.Reserved:
		// It moves as fast as the shop's checkout can bear, and the time to pay
		// runs from the turn on.
		least = min(time.Second+ahead*5*time.Millisecond, 10*time.Second)
		most = least * 2
	case sale.Held:
		least, most = 2*time.Second, 5*time.Second
	case sale.Confirmed:
		least, most = 10*time.Second, 15*time.Second // only a refund can follow
	case sale.SoldOut, sale.Rejected, sale.Released, sale.Expired, sale.Returned:
		return 0
	}
	return (least + rand.N(most-least)).Milliseconds()
}

// Distances and times between two positions that a stream is sent.
const (
	near      = 1_000
	far       = 100_000
	nearEvery = time.Second
	farEvery  = 20 * time.Second
)

// positionEvery gives the time until a stream is sent its next position. The
// jitter keeps those who came together from being served together for ever.
func positionEvery(position int64) time.Duration {
	every := nearEvery
	switch {
	case position >= far:
		every = farEvery
	case position > near:
		every += (farEvery - nearEvery) * time.Duration(position-near) / (far - near)
	}
	return every - rand.N(every/10)
}
