package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// betweenCollections is how many bytes may be allocated from one collection to
	// the next where at most smallHeap is to be gone through, if GOGC's bound is
	// not less: with 8 MB live and 40,000 clicks/s it is 9 MB, and there are five
	// collections a second. With a share of the heap, as GOGC alone
	// has it, a process that keeps thousands of connections would hold several
	// hundred MB of garbage. Each byte beyond smallHeap lets one more be
	// allocated, so that collections never come so often that they do most of the
	// work, as they would with a limit that what is live can reach.
	betweenCollections = 14 << 20
	smallHeap          = 24 << 20

	// Bounds of GOGC, where hardly anything is live: of the service, which is to
	// be small, and of what is only to be fast.
	smallGOGC = 100
	fastGOGC  = 400
)

// spendMemory paces collections by how much is allocated instead of by how much
// is live. For processes that would otherwise collect many times a second
// under load, or hardly ever and grow. GOGC in the environment has precedence;
// GOMEMLIMIT holds beside this.
func spendMemory(mostGOGC int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(mostGOGC)
	afterCollection(func() { debug.SetGCPercent(percentFor(scanned(), mostGOGC)) })
}

// percentFor gives the GOGC for a collection that has so many bytes to go
// through.
func percentFor(bytes uint64, mostGOGC int) int {
	through := max(float64(bytes), 1)
	between := betweenCollections + max(through-smallHeap, 0)
	return int(min(100*between/through, float64(mostGOGC)))
}

// scanned is what GOGC is a percentage of: the bytes that were live after the
// last collection, and those of stacks and globals.
func scanned() (bytes uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	for _, sample := range samples {
		bytes += sample.Value.Uint64()
	}
	return bytes
}

// afterCollection has the runtime call f after each collection, in a goroutine
// of its own: every collection finds something that nobody refers to.
func afterCollection(f func()) {
	type canary struct{ _ [64]byte } // too large to share its place with others
	runtime.AddCleanup(new(canary), func(f func()) {
		f()
		afterCollection(f)
	}, f)
}
