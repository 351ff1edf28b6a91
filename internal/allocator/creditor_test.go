package allocator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// fakeCredits is a gate as owners feed it.
type fakeCredits struct {
	mu     sync.Mutex
	grants []Credit // in the order in which they were told
	at     []time.Time
	slow   time.Duration
	fails  bool
}

func (c *fakeCredits) Grant(ctx context.Context, _ event.TopicID, credits []Credit) error {
	c.mu.Lock()
	slow, fails := c.slow, c.fails
	c.mu.Unlock()
	if fails {
		return errors.New("the gate is gone")
	}
	c.note(credits)
	if slow == 0 {
		return nil
	}
	select {
	case <-time.After(slow):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *fakeCredits) note(credits []Credit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, credit := range credits {
		credit.Ended = slices.Clone(credit.Ended)
		c.grants, c.at = append(c.grants, credit), append(c.at, time.Now())
	}
}

func (c *fakeCredits) set(change func(*fakeCredits)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *fakeCredits) told() ([]Credit, []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.grants), slices.Clone(c.at)
}

func (c *fakeCredits) last(t *testing.T) Credit {
	t.Helper()
	grants, _ := c.told()
	if len(grants) == 0 {
		t.Fatal("the gate was told nothing")
	}
	return grants[len(grants)-1]
}

func rejecting(units int64) sale.Create {
	create := aSale(units, 30)
	create.Rules, create.Later = sale.NewestRules, true
	create.Settings.Policy, create.Settings.MaxHoldSeconds = sale.PolicyReject, 60
	return create
}

func (w *world) leased(of sale.Offset, buyer, lease string) sale.Offset {
	return w.log.put(0, "ring", sale.Buy{Sale: of, Buyer: sale.Buyer(buyer), Quantity: 1, Lease: lease})
}

func TestGateIsToldWhatCanBeSold(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.start()
		p.member.assign(0)
		of := w.log.put(0, "ring", rejecting(3))
		pass(10 * time.Millisecond)
		if diff := gocmp.Diff(Credit{Product: "ring", Sale: of, Next: of + 1, Available: 3}, w.credits.last(t)); diff != "" {
			t.Errorf("after the sale is made (-want +told):\n%s", diff)
		}
		w.leased(of, "ann", "a-1")
		last := w.leased(of, "bob", "b-1")
		pass(10 * time.Millisecond)
		told := w.credits.last(t)
		var ended []string
		grants, _ := w.credits.told()
		for _, g := range grants {
			ended = append(ended, g.Ended...)
		}
		if told.Available != 1 || told.Next <= last || !slices.Equal(ended, []string{"a-1", "b-1"}) {
			t.Errorf("after two were decided: %+v, leases ended %q", told, ended)
		}

		before := len(grants)
		pass(3500 * time.Millisecond)
		grants, at := w.credits.told()
		if repeats := len(grants) - before; repeats < 3 {
			t.Errorf("told again %d times in 3.5 s", repeats)
		}
		for i := 1; i < len(at); i++ {
			if at[i].Sub(at[i-1]) > creditInterval+creditTimeout {
				t.Errorf("nothing was told for %s", at[i].Sub(at[i-1]))
			}
		}
		w.log.put(0, "ring", sale.Close{Sale: of, Actor: "operator"})
		pass(10 * time.Millisecond)
		grants, _ = w.credits.told()
		pass(5 * time.Second)
		if after, _ := w.credits.told(); len(after) != len(grants) {
			t.Errorf("a closed sale's credits were told %d times", len(after)-len(grants))
		}
	})
}

// The next owner tells it, although no record changes the sale.
func TestNextOwnerTellsTheGate(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.start()
		p.member.assign(0)
		of := w.log.put(0, "ring", rejecting(2))
		pass(10 * time.Millisecond)
		p.stop()
		before, _ := w.credits.told()
		next := w.start()
		next.member.assign(0)
		pass(time.Second)
		after, _ := w.credits.told()
		if len(after) == len(before) || w.credits.last(t).Sale != of || w.credits.last(t).Available != 2 {
			t.Errorf("the next owner told %+v", after[len(before):])
		}
	})
}

// Other policies have no credits, and a gate that is slow or gone holds nothing
// up.
func TestGateHoldsNothingUp(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.credits.set(func(c *fakeCredits) { c.slow = time.Hour })
		p, of := opened(w, 2, 5)
		request := w.buy(of, "ann")
		pass(10 * time.Millisecond)
		if grants, _ := w.credits.told(); len(grants) != 0 {
			t.Errorf("a sale without credits was told of: %+v", grants)
		}
		w.log.put(0, "ring", sale.Close{Sale: of})
		of = w.log.put(0, "ring", rejecting(2))
		pass(10 * time.Millisecond)
		leased := w.leased(of, "bob", "b-1")
		pass(10 * time.Millisecond)
		if w.state(request) != sale.Held || w.state(leased) != sale.Held {
			t.Errorf("with a slow gate: %s and %s", w.state(request), w.state(leased))
		}
		w.credits.set(func(c *fakeCredits) { c.slow, c.fails = 0, true })
		second := w.leased(of, "cid", "c-1")
		pass(2 * time.Second)
		if w.state(second) != sale.Held {
			t.Errorf("without a gate: %s", w.state(second))
		}
		w.credits.set(func(c *fakeCredits) { c.fails = false })
		pass(2 * time.Second)
		if told := w.credits.last(t); told.Available != 0 || told.Next <= second {
			t.Errorf("once the gate is back: %+v", told)
		}
		var ended []string
		grants, _ := w.credits.told()
		for _, g := range grants {
			ended = append(ended, g.Ended...)
		}
		if !slices.Contains(ended, "c-1") {
			t.Errorf("a lease that ended while the gate was gone was not told of: %q", ended)
		}
		p.stop()
		synctest.Wait()
	})
}
