package bench

import (
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// million is a crowd for two units.
func million(of size) scenario {
	c := clicks{buyers: of.million, connections: of.crowded, units: 2}
	many := c
	many.connections = of.many
	return scenario{
		"million", count(of.million) + " buyers for 2 units",
		"Everybody clicks once. In the first arm every click gets a ticket and is decided by the log; in the second the sale is as a shop opens it, and the door refuses whoever comes when nothing is left. Each click that waits for its answer takes memory, so the first arm is run over " + count(of.many) + " connections, too.",
		[]arm{
			c.line(),
			many.line().as("anteroom_many", "anteroom, every click in the log, over "+count(of.many)+" connections"),
			c.sold("anteroom_door", "anteroom as shipped, the door refuses the late", client.NewSale{Quantity: 2}),
			echo(c, func(a *canned) rival.Canned { return a.accepted }),
			echoAsAnteroom(c, func(a *canned) rival.Canned { return a.accepted }),
		},
	}
}

// burst is the classic question.
func burst(of size) scenario {
	c := clicks{buyers: of.burst, connections: of.connections, units: 1}
	s := scenario{
		"burst", count(of.burst) + " buyers for 1 unit",
		"The classic question. The rivals answer sold out without an order; anteroom gives every click a ticket and a place.",
		[]arm{
			c.line(),
			c.sold("anteroom_door", "anteroom as shipped, the door refuses the late", client.NewSale{Quantity: 1}),
		},
	}
	for _, kind := range rival.Kinds() {
		if kind != rival.BareEcho {
			s.arms = append(s.arms, against(c, kind))
		}
	}
	s.arms = append(s.arms, againstAsAnteroom(c, rival.RedisThenDB))
	return s
}

// contended is where rows must be written.
func contended(of size) scenario {
	c := clicks{buyers: of.contended, connections: of.connections, units: int64(of.contended / 2), longest: of.longest}
	told := c
	told.follow = load.FollowLongPoll
	one := client.NewSale{Quantity: c.units, Policy: "queue"}
	s := scenario{
		"contended", count(of.contended) + " buyers for " + count(of.contended/2) + " units",
		"Half of the crowd wins, and each winner is a row. An arm that takes longer than " + of.longest.String() + " is cut off, and its rate is of what it did by then.",
		[]arm{
			c.sold("anteroom", "anteroom, until the last click is decided", one),
			told.sold("anteroom_told", "anteroom, until the last buyer has been told, by long poll", one),
			echo(c, func(a *canned) rival.Canned { return a.accepted }),
		},
	}
	for _, kind := range rival.Kinds() {
		if kind != rival.BareEcho {
			s.arms = append(s.arms, against(c, kind))
		}
	}
	return s
}

// slowSync is what a sync takes on many a disk that survives the loss of power.
const slowSync = 2 * time.Millisecond

// slowDisk is contended where a commit costs what it costs elsewhere.
func slowDisk(of size) scenario {
	c := clicks{
		buyers: of.slow, connections: of.connections, units: int64(of.slow / 2),
		longest: of.slowLongest, commitDelay: slowSync,
	}
	s := scenario{
		"slow_disk", count(of.slow) + " buyers for " + count(of.slow/2) + " units, where a sync takes " + slowSync.String(),
		"The same on a disk that takes longer to sync, which Postgres' commit_delay stands for: whoever holds a lock over a commit holds it for as long. Cut off after " + of.slowLongest.String() + ".",
		[]arm{c.sold("anteroom", "anteroom, until the last click is decided", client.NewSale{Quantity: c.units, Policy: "queue"})},
	}
	for _, kind := range rival.Kinds() {
		if kind != rival.BareEcho && !kind.Oversells() {
			s.arms = append(s.arms, against(c, kind))
		}
	}
	return s
}

// winners is a sale in which everybody wins.
func winners(of size) scenario {
	c := clicks{buyers: of.winners, connections: of.crowded, units: int64(of.winners)}
	return scenario{
		"winners", count(of.winners) + " buyers for as many units",
		"Everybody wins, so every click is a row.",
		[]arm{c.sold("anteroom", "anteroom", client.NewSale{Quantity: c.units, Policy: "queue"})},
	}
}
