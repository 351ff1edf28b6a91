package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what an Allocator needs. All fields are required but Credits,
// without which no ingress lets anybody into a sale whose policy is reject, and
// Decisions with Outbox, without which decisions are not published.
type Config struct {
	Log        Log
	Membership Membership
	Ledger     Ledger
	Feed       Feed
	Credits    Credits
	Decisions  Decisions
	Outbox     Outbox
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Validate reports the first thing that is missing.
func (c Config) Validate() error {
	switch {
	case c.Log == nil:
		return errors.New("allocator: no log")
	case c.Membership == nil:
		return errors.New("allocator: no membership")
	case c.Ledger == nil:
		return errors.New("allocator: no ledger")
	case c.Feed == nil:
		return errors.New("allocator: no feed")
	case (c.Decisions == nil) != (c.Outbox == nil):
		return errors.New("allocator: decisions are published from an outbox: both or neither")
	case c.Registerer == nil:
		return errors.New("allocator: no registerer")
	case c.Logger == nil:
		return errors.New("allocator: no logger")
	}
	return nil
}

const (
	claimTimeout  = 15 * time.Second
	commitTimeout = 10 * time.Second

	// A loop whose claim failed tries again after a time between half of this
	// and the whole, which doubles with each failure in a row.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second
	// One that met a fault which only an operator can mend.
	stoppedRetry = 10 * time.Second
)

// Allocator runs a loop for each partition that it is assigned.
type Allocator struct {
	config  Config
	metrics *metrics
	outbox  *outboxMetrics

	mu    sync.Mutex
	loops map[int32]*loop
}

// loop is the running loop of a partition.
type loop struct {
	stop context.CancelFunc
	done chan struct{}
}

// New makes an allocator; Run starts it.
func New(config Config) (*Allocator, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Allocator{
		config: config, metrics: newMetrics(config.Registerer), outbox: newOutboxMetrics(config.Registerer),
		loops: make(map[int32]*loop),
	}, nil
}

// Run serves the partitions that it is assigned until ctx is done. Then it
// finishes the commits in hand, and leaves the group last, so that whoever
// takes over finds nothing in the way.
func (a *Allocator) Run(ctx context.Context) error {
	membership, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	left := make(chan error, 1)
	go func() {
		left <- a.config.Membership.Run(membership,
			func(partitions []int32) { a.assigned(ctx, partitions) }, a.lost)
	}()

	select {
	case err := <-left:
		a.stopAll()
		if err == nil {
			err = errors.New("the consumer group was left")
		}
		return fmt.Errorf("taking part in the consumer group: %w", err)
	case <-ctx.Done():
	}
	a.stopAll()
	leave()
	if err := <-left; err != nil {
		// The group finds out by itself, by the end of the session.
		a.config.Logger.Warn("could not leave the consumer group", "error", err)
	}
	return nil
}

func (a *Allocator) assigned(ctx context.Context, partitions []int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, partition := range partitions {
		earlier := a.loops[partition]
		if earlier != nil {
			earlier.stop() // a claim dies with its assignment
		}
		loopCtx, stop := context.WithCancel(ctx)
		l := &loop{stop: stop, done: make(chan struct{})}
		a.loops[partition] = l
		go func() {
			defer close(l.done)
			defer stop()
			if earlier != nil {
				<-earlier.done
			}
			a.serve(loopCtx, partition)
		}()
	}
}

// lost ends loops without waiting for them: their batches in hand either
// commit before the next owner's claim, or are refused.
func (a *Allocator) lost(partitions []int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, partition := range partitions {
		if l := a.loops[partition]; l != nil {
			l.stop()
		}
	}
}

func (a *Allocator) stopAll() {
	a.mu.Lock()
	loops := make([]*loop, 0, len(a.loops))
	for _, l := range a.loops {
		l.stop()
		loops = append(loops, l)
	}
	a.mu.Unlock()
	for _, l := range loops {
		<-l.done
	}
}

// serve owns the partition again and again, for as long as it is assigned.
func (a *Allocator) serve(ctx context.Context, partition int32) {
	logger := a.config.Logger.With("partition", partition)
	retry := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		epoch, err := a.own(ctx, partition, logger)
		a.metrics.forget(partition)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastRetry {
			retry = firstRetry
		}
		wait := retry/2 + rand.N(retry/2)
		retry = min(2*retry, lastRetry)
		switch {
		case errors.Is(err, ErrFenced):
			a.metrics.fenceLost.Inc()
			logger.Warn("lost the partition to another epoch; claiming it again", "epoch", epoch)
		case needsOperator(err):
			logger.Error("the partition stands still", "epoch", epoch, "error", err)
			a.stopped(ctx, partition, epoch, err)
			wait = stoppedRetry/2 + rand.N(stoppedRetry/2)
		default:
			logger.Warn("in doubt about the partition; claiming it again", "epoch", epoch, "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// stopped tells ingresses and operators, through the ledger, why a partition
// cannot go on.
func (a *Allocator) stopped(ctx context.Context, partition int32, epoch int64, why error) {
	if epoch == 0 {
		return // not claimed: the ledger says itself what is wrong
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := a.config.Ledger.Stop(ctx, partition, epoch, stopReason(why)); err != nil {
		a.config.Logger.Warn("could not note why the partition stands still", "partition", partition, "error", err)
	}
}
