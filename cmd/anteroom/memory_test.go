package main

import (
	"math"
	"runtime"
	"testing"
)

// What is allocated between collections is bounded where little is live, and
// collections do not follow one another where much is.
func TestPaceOfCollections(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[uint64]int{
		0: fastGOGC, 1 << 20: fastGOGC, betweenCollections: 100, smallHeap: 58, 2 * smallHeap: 79, 1 << 40: 99, math.MaxUint64: 99,
	} {
		if got := percentFor(bytes, fastGOGC); got != want {
			t.Errorf("%d%% of %d bytes, want %d%%", got, bytes, want)
		}
	}
	if scanned() == 0 {
		t.Error("nothing is live: the runtime does not have these metrics any more")
	}
	called := make(chan struct{}, 2)
	afterCollection(func() {
		select {
		case called <- struct{}{}:
		default:
		}
	})
	for range 2 {
		runtime.GC()
		<-called
	}
}
