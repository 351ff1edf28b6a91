package allocator

import (
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	tickInterval = 100 * time.Millisecond // between ticks that only let time pass, and after a failure
	maxWake      = 10 * time.Second
	maxSkew      = time.Second
	skewAlarm    = 10 * time.Second // between two lines about it
)

// ticker decides when a tick is to be appended. A tick is outstanding until it
// is committed or has certainly failed; there is at most one.
type ticker struct {
	acknowledged chan acknowledgement
	inFlight     bool
	offset       sale.Offset // of the last one, once acknowledged, or None
	sent, at     time.Time   // when it was appended and acknowledged, by this clock
	seen         sale.Offset // the last tick that was read, or None
	seenTime     sale.Time   // and its time, by the broker's clock
	notBefore    time.Time
}

type acknowledgement struct {
	offset sale.Offset
	err    error
}

func newTicker() ticker {
	return ticker{acknowledged: make(chan acknowledgement, 1), offset: sale.None, seen: sale.None}
}

// tick appends a tick if one is wanted, and says after what time to look again.
func (o *owner) tick(now time.Time) time.Duration {
	t := &o.ticker
	if t.inFlight || (t.offset != sale.None && t.offset >= o.committed) {
		return maxWake // its acknowledgement, or its commit, wakes the loop
	}
	var body sale.Tick
	if since, ok := o.state.OldestUnstarted(); ok && since < o.committed {
		body.Committed = o.committed
	} else if due, ok := o.state.Due(); !ok {
		return maxWake
	} else if wait := time.UnixMilli(int64(due)).Sub(now); wait > 0 {
		return min(wait, maxWake)
	}
	if wait := t.notBefore.Sub(now); wait > 0 {
		return wait
	}
	value, err := event.Encode(body)
	if err == nil {
		err = o.log.Append(o.partition, nil, value, func(offset sale.Offset, err error) {
			t.acknowledged <- acknowledgement{offset: offset, err: err}
		})
	}
	if err != nil {
		o.logger.Warn("could not append a tick", "error", err)
		t.notBefore = now.Add(tickInterval)
		return tickInterval
	}
	t.inFlight, t.sent, t.offset = true, now, sale.None
	if body.Committed == 0 {
		t.notBefore = now.Add(tickInterval)
	}
	return maxWake
}

// note takes a tick's acknowledgement. One that failed may be in the log all
// the same; the one that is appended in its place then changes nothing.
func (t *ticker) note(a acknowledgement, now time.Time) {
	t.inFlight = false
	if a.err != nil {
		t.notBefore = now.Add(tickInterval)
		return
	}
	t.offset, t.at = a.offset, now
}

// skew gives how far the broker's clock is ahead of this one's, at least, once
// a tick of ours is both acknowledged and read, in either order. The broker
// stamped it between the two, however long they are apart.
func (t *ticker) skew() (time.Duration, bool) {
	if t.inFlight || t.offset == sale.None || t.seen != t.offset {
		return 0, false
	}
	stamped := time.UnixMilli(int64(t.seenTime))
	switch {
	case stamped.After(t.at):
		return stamped.Sub(t.at), true
	case stamped.Before(t.sent.Truncate(time.Millisecond)):
		return stamped.Sub(t.sent.Truncate(time.Millisecond)), true
	}
	return 0, true
}
