package rival

import (
	"context"
	"sync"
	"time"
)

// doubts are units that were taken in Redis and of whose hold it is not known
// whether Postgres has it: a commit was sent, and no answer came. To put the
// unit back could sell it twice, so the hold is written again, under the same
// id, until Postgres says that it is there. It has one goroutine, which close
// ends.
type doubts struct {
	ledger  *ledger
	putBack func(context.Context) error // a unit that turns out not to be needed

	mu      sync.Mutex
	waiting []doubt // at most one for each unit
	wake    chan struct{}

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

type doubt struct {
	buyer string
	id    int64
}

var doubtBackoff = backoff{base: 100 * time.Millisecond, most: time.Second}

func newDoubts(l *ledger, putBack func(context.Context) error) *doubts {
	ctx, stop := context.WithCancel(context.Background())
	d := &doubts{ledger: l, putBack: putBack, wake: make(chan struct{}, 1), stop: stop}
	d.stopped.Go(func() { d.run(ctx) })
	return d
}

func (d *doubts) close() {
	d.stop()
	d.stopped.Wait()
}

func (d *doubts) add(one doubt) {
	d.mu.Lock()
	d.waiting = append(d.waiting, one)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *doubts) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		}
		d.mu.Lock()
		taken := d.waiting
		d.waiting = nil
		d.mu.Unlock()
		for _, one := range taken {
			if !d.settle(ctx, one) {
				return
			}
		}
	}
}

// settle tries until Postgres answers, or ctx ends.
func (d *doubts) settle(ctx context.Context, one doubt) bool {
	for tried := 0; ; tried++ {
		_, o, err := d.ledger.write(ctx, one.buyer, one.id)
		if err == nil {
			if o == repeated { // the buyer's other click was quicker, with a unit of its own
				_ = d.putBack(ctx) // see increment
			}
			return true
		}
		if doubtBackoff.wait(ctx, tried) != nil {
			return false
		}
	}
}
