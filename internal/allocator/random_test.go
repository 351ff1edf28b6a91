package allocator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestRandomFaults lets three processes own three partitions in turns, while
// commits fail in every way, stale owners go on, feeds and brokers are away. At
// the end the ledger is the fold of the log.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seeds := uint64(30)
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inWorld(t, 3, func(t *testing.T, w *world) { newChaos(w, seed).run() })
		})
	}
}

// chaos draws everything from one seed. The order of goroutines is not drawn,
// so a seed says what is tried, and not all of what happens.
type chaos struct {
	*world
	draw  *rand.Rand
	shops [3]shop
	owner [3]*process // whom the group means
}

// shop is what a partition's customers remember.
type shop struct {
	product sale.Product
	sale    sale.Offset
	buys    []sale.Offset
}

func newChaos(w *world, seed uint64) *chaos {
	c := &chaos{world: w, draw: rand.New(rand.NewPCG(seed, 1))}
	for p := range c.shops {
		c.shops[p] = shop{product: sale.Product(fmt.Sprintf("ring-%d", p)), sale: sale.None}
	}
	w.start()
	w.start()
	w.start()
	w.log.set(func(l *fakeLog) { l.portion = int(seed % 7) })
	return c
}

func (c *chaos) run() {
	for p := range c.owner {
		c.move(int32(p))
	}
	c.trouble()
	for range 200 {
		c.step()
		pass(time.Duration(c.draw.IntN(100)) * time.Millisecond)
	}
	c.mend()
	pass(40 * time.Second) // the longest hold ends in it
	for p := range int32(3) {
		if next, end := c.ledger.next(p), c.log.end(p); next != end {
			c.t.Errorf("partition %d: decided up to %d of %d", p, next, end)
		}
		c.checkFold(p)
		c.checkStarted(p)
		if n := len(c.waiting(p)); n > 0 {
			c.t.Errorf("partition %d: %d batches are not published", p, n)
		}
	}
}

func (c *chaos) step() {
	partition := int32(c.draw.IntN(3))
	switch c.draw.IntN(40) {
	case 0, 1:
		c.move(partition)
	case 2: // told again of what it has
		if c.owner[partition] != nil {
			c.owner[partition].member.assign(partition)
		}
	case 3: // the group has nobody for it
		if c.owner[partition] != nil {
			c.owner[partition].member.lose(partition)
			c.owner[partition] = nil
		}
	default:
		for range 1 + c.draw.IntN(4) {
			c.shopAt(partition)
		}
	}
}

// move gives the partition to some process. The earlier owner hears of it at
// once, or when the frozen are thawed: until then it goes on, and cannot prove
// anything.
func (c *chaos) move(partition int32) {
	earlier := c.owner[partition]
	next := c.processes[c.draw.IntN(3)]
	c.owner[partition] = next
	if earlier != nil && earlier != next {
		if c.draw.IntN(2) == 0 {
			earlier.member.lose(partition)
		} else {
			earlier.member.proves(notCounted)
			go func() {
				pass := time.After(time.Duration(200+100*partition) * time.Millisecond)
				<-pass
				earlier.member.lose(partition)
				earlier.member.proves(nil)
			}()
		}
	}
	next.member.assign(partition)
}

// shopAt appends one thing that a shopper, a merchant or nobody sensible does.
func (c *chaos) shopAt(partition int32) {
	s := &c.shops[partition]
	buyer := sale.Buyer(fmt.Sprintf("buyer-%d", c.draw.IntN(40)))
	some := func() sale.Offset {
		if len(s.buys) == 0 {
			return 0
		}
		return s.buys[c.draw.IntN(len(s.buys))]
	}
	switch kind := c.draw.IntN(30); {
	case s.sale == sale.None:
		s.sale = c.log.put(partition, s.product, aSale(8, int64(1+c.draw.IntN(20))))
	case kind == 0:
		c.log.put(partition, s.product, aSale(5, 2)) // refused: one is open
	case kind == 1:
		c.log.putRaw(partition, []byte(s.product), []byte("{"))
	case kind < 6:
		c.log.put(partition, s.product, sale.Confirm{Request: some(), PaymentReference: fmt.Sprintf("pay-%d", c.draw.IntN(2))})
	case kind < 12:
		c.log.put(partition, s.product, sale.Release{Request: some(), By: sale.ByShopper})
	default:
		s.buys = append(s.buys, c.log.put(partition, s.product, sale.Buy{Sale: s.sale, Buyer: buyer, Quantity: 1}))
	}
}

// aSale is a sale of so many units and so long a hold, in seconds.
func aSale(units, hold int64) sale.Create {
	return sale.Create{
		Rules: sale.FirstRules, BuyerKey: "key-1",
		Settings: sale.Settings{Quantity: units, HoldSeconds: hold, PerBuyerLimit: 2, MaxQuantityPerRequest: 2, Policy: sale.PolicyQueue},
	}
}

// trouble makes the fakes fail.
func (c *chaos) trouble() {
	ledger, log, feed := c.generator(2), c.generator(3), c.generator(4)
	c.ledger.set(func(l *fakeLedger) {
		l.onCommit = func(*Batch) commitFate { return randomCommit(ledger) }
		l.onClaim = func(int32) claimFate { return randomClaim(ledger) }
	})
	c.log.set(func(l *fakeLog) {
		l.onAppend = func(int32, []byte) appendFate { return randomAppend(log) }
		l.onRead = func(int32, sale.Offset) error {
			if log.IntN(60) == 0 {
				return errBroker
			}
			return nil
		}
	})
	topic := c.generator(5)
	c.topic.fails(func(ctx context.Context, _ int32) (float64, error) {
		c.topic.mu.Lock()
		fate, part := topic.IntN(10), topic.Float64()
		c.topic.mu.Unlock()
		switch fate {
		case 0:
			return part, errTopic
		case 1: // a former owner's may come late
			<-time.After(time.Duration(part * float64(time.Second)))
			return 1, nil
		}
		return 1, ctx.Err()
	})
	c.feed.fails(func(ctx context.Context) error {
		c.feed.mu.Lock()
		fate := feed.IntN(20)
		c.feed.mu.Unlock()
		switch fate {
		case 0:
			return errConnection
		case 1:
			return hangs(ctx)
		}
		return nil
	})
}

// generator makes a generator of its own for one kind of fault, which is used
// under that fake's lock.
func (c *chaos) generator(kind uint64) *rand.Rand {
	return rand.New(rand.NewPCG(c.draw.Uint64(), kind))
}

func randomCommit(draw *rand.Rand) commitFate {
	some := time.Duration(draw.IntN(400)) * time.Millisecond
	switch draw.IntN(30) {
	case 0:
		return commitFate{failed: errConnection}
	case 1:
		return commitFate{answer: errConnection} // done, and nobody knows
	case 2, 3:
		return commitFate{failed: errConnection, detached: some + 1}
	case 4:
		return commitFate{slow: 5 * some}
	case 5:
		if draw.IntN(5) == 0 {
			return commitFate{hangs: true}
		}
	case 6:
		if draw.IntN(5) == 0 {
			return commitFate{silent: true}
		}
	}
	return commitFate{slow: some / 40}
}

func randomClaim(draw *rand.Rand) claimFate {
	switch draw.IntN(12) {
	case 0:
		return claimFate{failed: errConnection}
	case 1:
		return claimFate{answer: errConnection}
	case 2:
		return claimFate{frozen: time.Duration(draw.IntN(1000)) * time.Millisecond}
	case 3:
		if draw.IntN(5) == 0 {
			return claimFate{hangs: true}
		}
	}
	return claimFate{}
}

func randomAppend(draw *rand.Rand) appendFate {
	some := time.Duration(draw.IntN(300)) * time.Millisecond
	switch draw.IntN(10) {
	case 0:
		return appendFate{refused: errBroker}
	case 1:
		return appendFate{lost: true, late: some, failed: errBroker}
	case 2:
		return appendFate{late: some, failed: errBroker} // it is there all the same
	case 3:
		return appendFate{delay: some, late: some}
	}
	return appendFate{late: time.Millisecond}
}

// mend takes all faults away and lets each partition have one owner.
func (c *chaos) mend() {
	c.ledger.set(func(l *fakeLedger) { l.onCommit, l.onClaim = nil, nil })
	c.log.set(func(l *fakeLog) { l.onAppend, l.onRead = nil, nil })
	c.feed.fails(nil)
	c.topic.fails(nil)
	pass(time.Second) // the last of the frozen are told
	for p := range c.owner {
		partition := int32(p)
		for _, process := range c.processes {
			if process != c.owner[p] {
				process.member.lose(partition)
			}
			process.member.proves(nil)
		}
		if c.owner[p] == nil {
			c.owner[p] = c.processes[p]
		}
		c.owner[p].member.assign(partition)
	}
}
