package ingress

import (
	"strconv"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := newLimiter(8)
	now := time.Unix(1000, 0)
	if wait := l.admit("ada", now); wait != 0 {
		t.Errorf("first: wait %s", wait)
	}
	for _, after := range []time.Duration{0, 300 * time.Millisecond, 999 * time.Millisecond} {
		if wait := l.admit("ada", now.Add(after)); wait != time.Second-after {
			t.Errorf("after %s: wait %s", after, wait)
		}
	}
	if wait := l.admit("bob", now.Add(900*time.Millisecond)); wait != 0 {
		t.Errorf("bob: wait %s", wait)
	}
	// Nobody is forgotten too early when a period turns: here all shards' at 0 s
	// and 1 s.
	turning := newLimiter(limiterEntries)
	for n := range 100 * limiterShards {
		turning.admit(sale.Buyer(strconv.Itoa(n)), now)
	}
	turning.admit("bob", now.Add(900*time.Millisecond))
	if wait := turning.admit("bob", now.Add(1100*time.Millisecond)); wait != 800*time.Millisecond {
		t.Errorf("over the turn: wait %s", wait)
	}
	if wait := l.admit("bob", now.Add(1100*time.Millisecond)); wait != 800*time.Millisecond {
		t.Errorf("bob again: wait %s", wait)
	}
	if wait := l.admit("ada", now.Add(1100*time.Millisecond)); wait != 0 {
		t.Errorf("ada again: wait %s", wait)
	}

	// Its memory is bounded, and who does not fit waits.
	full := 0
	for n := range limiterShards * 8 * 2 {
		if l.admit(sale.Buyer(strconv.Itoa(n)), now.Add(10*time.Second)) > 0 {
			full++
		}
	}
	entries := 0
	for n := range l.shards {
		entries += len(l.shards[n].current) + len(l.shards[n].previous)
	}
	if full == 0 || entries > limiterShards*8 {
		t.Errorf("%d entries, %d refused", entries, full)
	}
}
