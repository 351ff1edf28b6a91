package ingress

import (
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// pollAfter gives the milliseconds after which a client that polls should ask
// again: soon near the head of the line, later far from it, never at the same
// time as the others, and 0 where nothing more is to come.
func pollAfter(state sale.State, position int64) int64 {
	var least, most time.Duration
	switch state {
	case sale.Queued, sale.Waitlisted:
		// A hot sale's line moves by ten thousand records in a second or less.
		least = min(250*time.Millisecond+time.Duration(max(position, 0))*100*time.Microsecond, 6*time.Second)
		most = least + least*2/3
	case sale.Reserved, sale.Held:
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
