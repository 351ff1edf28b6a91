package allocator

import (
	"context"
	"errors"
	"testing"
)

// The batch that waits is not committed before it is its turn, and never where
// it is given up.
func TestDeliveriesTakeTurns(t *testing.T) {
	t.Parallel()
	d := newDeliveries()
	defer d.abandon()
	made, committed := make(chan *Batch), make(chan *Batch, 3)
	deliver := func(_ context.Context, b *Batch, turn <-chan bool) error {
		made <- b
		if !<-turn {
			return errAbandoned
		}
		committed <- b
		return errors.New("its outcome")
	}
	first, second := &Batch{From: 0, To: 1}, &Batch{From: 1, To: 2}
	d.wait(t.Context(), first, deliver)
	d.proceed()
	d.wait(t.Context(), second, deliver)
	<-made // in any order: the second's rows do not wait for the first
	<-made
	if err := <-d.outcome; err == nil {
		t.Error("the first has no outcome")
	}
	if d.conclude() != first || <-committed != first || len(committed) > 0 {
		t.Error("not the first, and it alone, is committed")
	}
	d.abandon()
	if len(committed) > 0 || len(d.outcome) > 0 || d.waiting != nil || d.inHand != nil {
		t.Errorf("what was given up is not gone: %d committed, %d outcomes", len(committed), len(d.outcome))
	}
}
