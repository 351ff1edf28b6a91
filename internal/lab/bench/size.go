package bench

import "time"

// size says how large the crowds are.
type size struct {
	burst       int           // buyers for one unit
	million     int           // buyers for two units
	contended   int           // buyers for half as many units
	longest     time.Duration // that an arm of contended may take; its rate is taken from what it did by then
	slow        int           // buyers of contended on a slow disk
	slowLongest time.Duration
	winners     int // buyers for as many units
	refused     int // clicks at a door that is shut
	polls       int
	streams     int
	holds       int // that are confirmed
	products    int // that are sold at once, each in a partition of its own
	perProduct  int // buyers of each
	backlog     int // records that nobody has decided
	backlogRows int // the same, where half of them win
	loads       []float64
	loadFor     time.Duration // of each up to the capacity
	overFor     time.Duration // of each beyond it: until what happens then has happened several times
	waiting     int           // shoppers who wait, in each way of following
	waitFor     time.Duration
	connections int
	crowded     int // connections of a crowd of which everybody is in the log; more would bring no more answers
	many        int // more of them
	crowd       int // connections of one that is more than the service can take: as good as one each
}

var fullSize = size{
	burst: 50_000, million: 1_000_000, contended: 20_000, longest: 15 * time.Second, slow: 8_000, slowLongest: 6 * time.Second, winners: 500_000,
	refused: 400_000, polls: 400_000, streams: 10_000, holds: 20_000, products: 12, perProduct: 10_000,
	backlog: 2_000_000, backlogRows: 1_000_000,
	loads: []float64{0.1, 0.3, 0.5, 0.7, 0.9, 1, 1.2}, loadFor: 6 * time.Second, overFor: 12 * time.Second,
	waiting: 5_000, waitFor: 10 * time.Second, connections: 256, crowded: 512, many: 2_048, crowd: 16_384,
}

var quickSize = size{
	burst: 50_000, million: 100_000, contended: 4_000, longest: 3 * time.Second, slow: 2_000, slowLongest: 2 * time.Second, winners: 40_000,
	refused: 100_000, polls: 100_000, streams: 2_000, holds: 2_000, products: 12, perProduct: 1_000,
	backlog: 400_000, backlogRows: 200_000,
	loads: []float64{0.7, 1.2}, loadFor: 3 * time.Second, overFor: 10 * time.Second,
	waiting: 1_000, waitFor: 3 * time.Second, connections: 256, crowded: 512, many: 2_048, crowd: 16_384,
}
