package allocator

import (
	"context"
	"errors"
)

var errAbandoned = errors.New("the batch was given up")

// deliveries are the batches that are sealed and not committed: one in hand,
// and one that waits for it, whose rows are made meanwhile. One goroutine each;
// those are the run loop's, which uses this alone and leaves none behind.
type deliveries struct {
	inHand  *delivery
	waiting *delivery
	outcome chan error // of the one in hand
}

type delivery struct {
	batch *Batch
	turn  chan bool // whether it is to be committed; told once
	done  chan struct{}
}

func newDeliveries() deliveries { return deliveries{outcome: make(chan error, 1)} }

// wait begins to deliver a batch, which deliver does not commit before it is
// told that it is its turn. Nothing may be waiting.
func (d *deliveries) wait(ctx context.Context, batch *Batch, deliver func(context.Context, *Batch, <-chan bool) error) {
	w := &delivery{batch: batch, turn: make(chan bool, 1), done: make(chan struct{})}
	d.waiting = w
	go func() {
		defer close(w.done)
		if err := deliver(ctx, batch, w.turn); !errors.Is(err, errAbandoned) {
			d.outcome <- err
		}
	}()
}

// proceed takes the one that waits in hand. Nothing may be in hand.
func (d *deliveries) proceed() {
	d.inHand, d.waiting = d.waiting, nil
	d.inHand.turn <- true
}

// conclude takes the batch, whose outcome is known, out of the hand.
func (d *deliveries) conclude() *Batch {
	batch := d.inHand.batch
	d.inHand = nil
	return batch
}

// abandon gives up the one that waits: it follows one that may not be
// committed, or its claim has ended.
func (d *deliveries) abandon() {
	if d.waiting == nil {
		return
	}
	d.waiting.turn <- false
	<-d.waiting.done
	d.waiting = nil
}
