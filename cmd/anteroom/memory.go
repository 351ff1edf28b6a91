package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// betweenCollections is about how many bytes are allocated from one
	// collection to the next: with 35,000 clicks/s, three collections a second. With
	// a share of the heap, as GOGC alone has it, a process that keeps thousands
	// of connections would hold several hundred MB of garbage.
	betweenCollections = 24 << 20

	// The bounds of GOGC. Where much is live the heap grows to twice of that, as
	// any Go program's does, so that collections never come so often that they do
	// most of the work, as they would with a limit that what is live can reach.
	// Where hardly anything is live, more than 200 saves little.
	leastGOGC = 100
	mostGOGC  = 200
)

// spendMemory paces collections by how much is allocated instead of by how much
// is live. For processes that would otherwise collect many times a second
// under load, or hardly ever and grow. GOGC in the environment has precedence;
// GOMEMLIMIT holds beside this.
func spendMemory() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(mostGOGC)
	afterCollection(func() { debug.SetGCPercent(percentFor(scanned())) })
}

// percentFor gives the GOGC that lets betweenCollections be allocated where a
// collection has so many bytes to go through.
func percentFor(bytes uint64) int {
	return int(min(max(betweenCollections*100/max(bytes, 1), leastGOGC), mostGOGC))
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
