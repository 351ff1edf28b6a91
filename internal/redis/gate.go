package redis

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/anteroomhq/anteroom/internal/ingress"
)

const (
	// buyInterval is the least time between two buys of a buyer in a sale.
	buyInterval = time.Second

	// hintLife is how long a hint is kept after it was stored: longer than a
	// common hold (8 minutes) and the time in the line before it. Reading does
	// not prolong it, since a read would then cost a write; a buyer who clicks
	// later than that is told of the first request by the core.
	hintLife = 15 * time.Minute

	maxBatch = 2_048  // buyers in a script call, hints in a round trip
	maxAsks  = 16_384 // that wait; more are better served without Redis

	// maxWait is how long an ask may wait for its turn. Then it is answered with
	// an error, by the time that the call in flight has ended.
	maxWait = 500 * time.Millisecond

	// apart is the least time between two script calls while several asks wait:
	// each call costs Redis and, by what it lets in, the broker a request.
	apart = 4 * time.Millisecond

	maxHints  = 65_536 // that wait
	maxYields = 16_384 // that wait
)

// GateConfig says what a gate uses.
type GateConfig struct {
	Client *Client

	// Observe is called after each script call with its duration, from
	// connecting to the answer, and the number of buyers in it. It must not
	// block. It may be nil.
	Observe func(took time.Duration, buyers int)
}

// Gate is an ingress.Gate. Concurrent calls of Admit share script calls: those
// that arrive while one is in flight form the next one, and a lone one goes at
// once. Its methods may be called from several goroutines.
type Gate struct {
	client    *goredis.Client
	timeout   time.Duration // of a call
	maxWait   time.Duration // of an ask, for its turn
	leaseLife time.Duration
	observe   func(time.Duration, int)
	script    *goredis.Script
	credit    *goredis.Script
	breaker   breaker
	asks      *queue[call]
	hints     *queue[remembered]
	yields    *queue[yielded]

	leases   *leases   // belongs to the goroutine that sends asks
	settings []setting // belong to the one that stores hints
}

// call is an Admit that waits for its answer.
type call struct {
	of    saleID
	key   string // of the buyer
	units int64  // that need a credit
	fresh bool
	asked time.Time
	asker ingress.Asker

	lease string // for the credit; set before it is sent
}

// fail answers a call without Redis.
func (c *call) fail(err error) {
	c.asker.Admitted(ingress.Admission{}, fmt.Errorf("asking the gate: %w", err))
}

// NewGate makes a gate. It answers while Run runs.
func NewGate(config GateConfig) *Gate {
	if config.Observe == nil {
		config.Observe = func(time.Duration, int) {}
	}
	return &Gate{
		client:    config.Client.redis,
		timeout:   callTimeout,
		maxWait:   maxWait,
		leaseLife: leaseLife,
		observe:   config.Observe,
		script:    goredis.NewScript(gateSource),
		credit:    goredis.NewScript(creditSource),
		asks:      newQueue[call](maxAsks, apart),
		hints:     newQueue[remembered](maxHints, apart),
		yields:    newQueue[yielded](maxYields, apart),
		leases:    newLeases(),
	}
}

// Run serves Admit, Remember and Yield until ctx is done. Then it ends the calls
// in flight, refuses those that wait, stores the hints and ends the leases that
// wait, and returns nil. It is to be called once.
func (g *Gate) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	workers.Go(func() {
		for calls := g.asks.take(ctx, maxBatch); calls != nil; calls = g.asks.take(ctx, maxBatch) {
			g.admit(ctx, calls)
		}
	})
	workers.Go(func() {
		for hints := g.hints.take(ctx, maxBatch); hints != nil; hints = g.hints.take(ctx, maxBatch) {
			g.store(ctx, hints)
		}
	})
	workers.Go(func() {
		for yields := g.yields.take(ctx, maxBatch); yields != nil; yields = g.yields.take(ctx, maxBatch) {
			g.end(ctx, yields)
		}
	})
	workers.Wait()

	for _, call := range g.asks.close() {
		call.fail(errStopped)
	}
	for hints := g.hints.close(); len(hints) > 0; {
		batch := hints[:min(len(hints), maxBatch)]
		g.store(ctx, batch)
		hints = hints[len(batch):]
	}
	for yields := range slices.Chunk(g.yields.close(), maxBatch) {
		g.end(ctx, yields)
	}
	return nil
}

// Admit lets a buyer in at most once per second and sale, or gives the hint of
// the buyer's latest request; with ask.Fresh, that hint is forgotten when the
// buyer gets past the limit. Who has no hint and gets past the limit needs a
// credit if ask.Units is above 0: the answer is then a lease, Full or Unknown.
// All three count against the limit, so that a sale without a free unit is not
// asked for it more often than one with: who hears Full may ask again after the
// second that everybody waits.
//
// Admit fails when Redis does not answer within callTimeout, after maxWait at
// the latest when others are before it, and at once when Redis has failed just
// before or too many calls wait. A call whose asker has left when it is about
// to be sent is not sent. A lease that Redis gives without being heard ends by
// itself after leaseLife.
//
// The asker hears the answer once, from the goroutine that has everybody's
// answers, or before Admit returns.
func (g *Gate) Admit(ask ingress.Ask, asker ingress.Asker) {
	if err := g.breaker.refusal(); err != nil {
		asker.Admitted(ingress.Admission{}, fmt.Errorf("asking the gate: %w", err))
		return
	}
	call := call{of: saleOf(ask), key: key(ask), units: ask.Units, fresh: ask.Fresh, asked: time.Now(), asker: asker}
	if err := g.asks.push(call); err != nil {
		call.fail(err)
	}
}

// admit answers calls with one round trip.
func (g *Gate) admit(ctx context.Context, calls []call) {
	began := time.Now()
	calls = slices.DeleteFunc(calls, func(c call) bool {
		switch {
		case began.Sub(c.asked) > g.maxWait:
			c.fail(errBusy)
			return true
		case c.asker.Left():
			c.fail(errLeft)
			return true
		}
		return false
	})
	if len(calls) == 0 {
		return
	}
	if err := g.breaker.enter(); err != nil {
		for _, call := range calls {
			call.fail(err)
		}
		return
	}
	groups := bySale(calls)
	// What is in hand is ended even when the gate is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	err := g.ask(ctx, groups)
	g.breaker.leave(err)
	g.observe(time.Since(began), len(calls))
	for _, group := range groups {
		group.answer()
	}
}
