package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Config is what a Dispatcher needs. All is required but AllowPrivate and
// Attempts.
type Config struct {
	URL     string
	Secrets []string // whsec_..., newest first; messages are signed with each
	// AllowPrivate lets messages go to addresses that are not public, and by
	// http.
	AllowPrivate bool
	// Attempts is how often a message is tried before it is dead: 14, which
	// takes about a day.
	Attempts int

	Source     Source
	Store      Store
	Registerer prometheus.Registerer
	Logger     *slog.Logger

	transport http.RoundTripper // of tests
}

const (
	defaultAttempts = 14
	maxAttempts     = 1000

	concurrency = 16  // attempts at once, of what is read and of what is kept each
	window      = 256 // records that are read and not done

	// While this many messages wait to be tried again, the topic is read no
	// further.
	maxWaiting = 1000
	// How often the store is asked for what is due.
	retryInterval = 2 * time.Second
	// For this long a message that is due is left to the process that took it.
	leaseTime    = time.Minute
	storeTimeout = 5 * time.Second
	// How often the group's place is stored, at most.
	commitInterval = time.Second

	// The time to the second attempt, which is tripled from each to the next,
	// up to the last; each one is taken half to one and a half times, at random.
	firstBackoff = 5 * time.Second
	lastBackoff  = 4 * time.Hour
)

// Validate reports the first setting that cannot be used.
func (c Config) Validate() error {
	switch {
	case c.Source == nil:
		return errors.New("webhook: no source")
	case c.Store == nil:
		return errors.New("webhook: no store")
	case c.Registerer == nil:
		return errors.New("webhook: no registerer")
	case c.Logger == nil:
		return errors.New("webhook: no logger")
	case c.Attempts < 0 || c.Attempts > maxAttempts:
		return fmt.Errorf("webhook: %d attempts, want 1 to %d", c.Attempts, maxAttempts)
	}
	return nil
}

// CheckSettings reports what is wrong with where messages go and how they are
// signed, before anything is connected to.
func CheckSettings(url string, secrets []string, allowPrivate bool) error {
	_, err := newSender(Config{URL: url, Secrets: secrets, AllowPrivate: allowPrivate})
	return err
}

// Dispatcher delivers messages.
type Dispatcher struct {
	config   Config
	sender   *sender
	attempts *prometheus.CounterVec
	waiting  atomic.Int64 // in the store, as last counted, and those kept since
}

// New makes a Dispatcher; Run starts it.
func New(config Config) (*Dispatcher, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Attempts == 0 {
		config.Attempts = defaultAttempts
	}
	sender, err := newSender(config)
	if err != nil {
		return nil, err
	}
	d := &Dispatcher{config: config, sender: sender}
	factory := promauto.With(config.Registerer)
	d.attempts = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anteroom_webhook_attempts_total", Help: "Attempts to deliver a message, by what became of it: delivered, failed (tried again later), dead.",
	}, []string{"type", "outcome"})
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "anteroom_webhook_waiting", Help: "Messages that wait to be tried again.",
	}, func() float64 { return float64(d.waiting.Load()) })
	return d, nil
}

// slot is a record that was read. done is closed when it needs no more care;
// settled is then false if the program ended before that.
type slot struct {
	place   Place
	done    chan struct{}
	settled bool
}

// Run delivers until ctx is done. Attempts underway are then finished.
func (d *Dispatcher) Run(ctx context.Context) error {
	slots := make(chan *slot, window)
	var parts sync.WaitGroup
	parts.Go(func() {
		defer close(slots)
		d.read(ctx, slots)
	})
	parts.Go(func() { d.commit(ctx, slots) })
	parts.Go(func() { d.retry(ctx) })
	parts.Wait()
	return nil
}

// read tries each message of the topic once, and keeps those that fail. It ends
// after the attempts that it began.
func (d *Dispatcher) read(ctx context.Context, slots chan<- *slot) {
	var underway sync.WaitGroup
	defer underway.Wait()
	free := make(chan struct{}, concurrency)
	for ctx.Err() == nil {
		if d.waiting.Load() >= maxWaiting {
			pause(ctx, retryInterval)
			continue
		}
		records, err := d.config.Source.Poll(ctx)
		if err != nil && ctx.Err() == nil {
			d.config.Logger.Warn("could not read the topic of decisions; trying again", "error", err)
			pause(ctx, firstBackoff/2+rand.N(firstBackoff))
		}
		for i := range records {
			s := &slot{place: records[i].Place, done: make(chan struct{})}
			select {
			case slots <- s:
			case <-ctx.Done():
				return
			}
			m, told := d.message(&records[i])
			if !told {
				s.settled = true
				close(s.done)
				continue
			}
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				close(s.done)
				return
			}
			underway.Go(func() {
				defer func() { <-free }()
				defer close(s.done)
				s.settled = d.first(ctx, m)
			})
		}
	}
}

// message reads a record. What cannot be read never will be: it is told of,
// and passed over.
func (d *Dispatcher) message(r *Record) (Message, bool) {
	m, told, err := messageOf(r.Value)
	if err != nil {
		d.config.Logger.Error("a record of the topic of decisions is no decision", "partition", r.Partition, "offset", r.Offset, "error", err)
	}
	return m, told
}

// first makes a message's first attempt, and keeps it if that failed. It is
// false if the program ended before that.
func (d *Dispatcher) first(ctx context.Context, m Message) bool {
	// It is not cut short when the program ends: the shop may have it by then.
	failed, delivered := d.attempt(context.WithoutCancel(ctx), Kept{Message: m})
	if delivered {
		return true
	}
	for {
		err := d.store(ctx, func(ctx context.Context) error { return d.config.Store.Keep(ctx, failed) })
		if err == nil {
			if !failed.Dead {
				d.waiting.Add(1)
			}
			return true
		}
		d.config.Logger.Warn("could not keep a message that was not delivered; trying again", "webhook", m.ID, "error", err)
		if !pause(ctx, firstBackoff/2+rand.N(firstBackoff)) {
			return false
		}
	}
}

// attempt sends a message once, and gives what is to be kept of it if that
// failed.
func (d *Dispatcher) attempt(ctx context.Context, k Kept) (Kept, bool) {
	sent := d.sender.send(ctx, k.Message)
	if sent.delivered() {
		d.attempts.WithLabelValues(k.Type, "delivered").Inc()
		return k, true
	}
	k.Attempts++
	k.URL, k.LastStatus, k.LastError = d.sender.url.Redacted(), sent.status, sent.text()
	k.FailedAt = time.Now()
	k.NextAttempt = k.FailedAt.Add(max(backoff(k.Attempts), sent.retryAfter))
	k.Dead = sent.gone() || k.Attempts >= d.config.Attempts
	if k.Dead {
		d.attempts.WithLabelValues(k.Type, "dead").Inc()
		d.config.Logger.Error("a webhook is dead", "webhook", k.ID, "type", k.Type, "attempts", k.Attempts, "error", k.LastError)
	} else {
		d.attempts.WithLabelValues(k.Type, "failed").Inc()
	}
	return k, false
}

// backoff gives the time from so many attempts to the next.
func backoff(attempts int) time.Duration {
	wait := firstBackoff
	for range attempts - 1 {
		if wait = 3 * wait; wait >= lastBackoff {
			wait = lastBackoff
			break
		}
	}
	return wait/2 + rand.N(wait)
}

// commit stores how far the topic is done, in its order, without gaps.
func (d *Dispatcher) commit(ctx context.Context, slots <-chan *slot) {
	done := make(map[int32]Place) // and not stored
	store := func() {
		if len(done) == 0 {
			return
		}
		places := make([]Place, 0, len(done))
		for _, place := range done {
			places = append(places, place)
		}
		err := d.store(ctx, func(ctx context.Context) error { return d.config.Source.Commit(ctx, places) })
		if err != nil {
			d.config.Logger.Warn("could not store how far the topic of decisions is read; what is not stored is repeated after a restart", "error", err)
			return
		}
		clear(done)
	}
	defer store()
	again := time.NewTicker(commitInterval)
	defer again.Stop()
	for {
		select {
		case s, more := <-slots:
			if !more {
				return
			}
			// Bounded by an attempt, and by the store's absence.
			for waiting := true; waiting; {
				select {
				case <-s.done:
					waiting = false
				case <-again.C:
					store()
				}
			}
			if !s.settled {
				return // nothing after it may be stored
			}
			done[s.place.Partition] = s.place
		case <-again.C:
			store()
		}
	}
}

// retry tries what is kept, as it falls due.
func (d *Dispatcher) retry(ctx context.Context) {
	for ctx.Err() == nil {
		tried, err := d.due(ctx)
		if err != nil && ctx.Err() == nil {
			d.config.Logger.Warn("could not look for webhooks to try again", "error", err)
		}
		if tried < concurrency {
			pause(ctx, retryInterval)
		}
	}
}

// due tries what is due now, as many as may be tried at once.
func (d *Dispatcher) due(ctx context.Context) (tried int, err error) {
	var due []Kept
	err = d.store(ctx, func(ctx context.Context) (err error) {
		waiting, err := d.config.Store.Waiting(ctx)
		if err != nil {
			return err
		}
		d.waiting.Store(int64(waiting))
		now := time.Now()
		due, err = d.config.Store.Due(ctx, now, now.Add(leaseTime), concurrency)
		return err
	})
	if err != nil {
		return 0, err
	}
	var all sync.WaitGroup
	for _, k := range due {
		all.Go(func() { d.another(context.WithoutCancel(ctx), k) })
	}
	all.Wait()
	return len(due), nil
}

// another makes a further attempt at a message. Where its outcome cannot be
// stored, it is made again when the lease is over.
func (d *Dispatcher) another(ctx context.Context, k Kept) {
	after, delivered := d.attempt(ctx, k)
	err := d.store(ctx, func(ctx context.Context) error {
		if delivered {
			return d.config.Store.Delivered(ctx, k.ID)
		}
		return d.config.Store.Failed(ctx, after)
	})
	if err != nil {
		d.config.Logger.Warn("could not store what became of a webhook; it is tried again", "webhook", k.ID, "error", err)
	}
}

// store makes a bounded call, which is not cut short when the program ends.
func (d *Dispatcher) store(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return call(ctx)
}

// pause waits; it is false if ctx ended it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
