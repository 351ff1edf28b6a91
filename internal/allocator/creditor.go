package allocator

import (
	"context"
	"sync"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	// How often an owner tells the gate again, in case that the gate has lost
	// it, or never heard it.
	creditInterval = time.Second
	creditTimeout  = time.Second
)

// creditor tells the gate what can be sold of the sales whose policy is reject,
// beside the loop, which it never holds up. What is to be told is replaced
// while the gate is slow, so it is bounded by the sales, and the leases by the
// records of a few batches: those that are not told in time end by themselves.
type creditor struct {
	topic   event.TopicID
	credits Credits // nil is nobody to tell
	failed  func()  // counts what could not be told
	wake    chan struct{}

	mu    sync.Mutex
	known map[sale.Offset]Credit // of each sale that is not closed
}

// maxEnded is how many leases of a sale wait to be ended.
const maxEnded = 100_000

func newCreditor(topic event.TopicID, credits Credits, claim Claim, failed func()) *creditor {
	c := &creditor{topic: topic, credits: credits, failed: failed, wake: make(chan struct{}, 1), known: make(map[sale.Offset]Credit)}
	for i := range claim.State.Sales {
		c.take(&claim.State.Sales[i])
	}
	c.reach(claim.State.Next)
	return c
}

// note takes in what a batch has changed.
func (c *creditor) note(b *Batch) {
	if c.credits == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b.Sales {
		c.take(&b.Sales[i].Sale)
	}
	for of, leases := range b.leases {
		if credit, ok := c.known[of]; ok && len(credit.Ended) < maxEnded {
			credit.Ended = append(credit.Ended, leases...)
			c.known[of] = credit
		}
	}
	c.reach(b.To)
	if len(c.known) > 0 {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

func (c *creditor) take(s *sale.Sale) {
	if s.Policy != sale.PolicyReject || s.Stage == sale.StageClosed {
		delete(c.known, s.ID)
		return
	}
	credit := c.known[s.ID]
	credit.Product, credit.Sale, credit.Available = s.Product, s.ID, s.Available
	c.known[s.ID] = credit
}

// reach notes that everything below next is decided.
func (c *creditor) reach(next sale.Offset) {
	for of, credit := range c.known {
		credit.Next = next
		c.known[of] = credit
	}
}

// pending gives what is to be told.
func (c *creditor) pending() []Credit {
	c.mu.Lock()
	defer c.mu.Unlock()
	credits := make([]Credit, 0, len(c.known))
	for of, credit := range c.known {
		credits = append(credits, credit)
		credit.Ended = nil
		c.known[of] = credit
	}
	return credits
}

// putBack keeps the leases that the gate was not told of.
func (c *creditor) putBack(credits []Credit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, untold := range credits {
		if credit, ok := c.known[untold.Sale]; ok && len(credit.Ended)+len(untold.Ended) <= maxEnded {
			credit.Ended = append(untold.Ended, credit.Ended...)
			c.known[untold.Sale] = credit
		}
	}
}

// run tells the gate until ctx is done.
func (c *creditor) run(ctx context.Context) {
	if c.credits == nil {
		return
	}
	again := time.NewTicker(creditInterval)
	defer again.Stop()
	for {
		if credits := c.pending(); len(credits) > 0 {
			bounded, cancel := context.WithTimeout(ctx, creditTimeout)
			if err := c.credits.Grant(bounded, c.topic, credits); err != nil && ctx.Err() == nil {
				c.failed() // it is told again within a second
				c.putBack(credits)
			}
			cancel()
		}
		select {
		case <-c.wake:
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}
