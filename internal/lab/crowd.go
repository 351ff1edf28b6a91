package lab

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	progressInterval = 250 * time.Millisecond
	// Pause before trying again where an answer is missing, or says none.
	retryPause = 200 * time.Millisecond
	// One loser in so many is asked once more at the end, and every winner.
	lookAgainEvery = 100
)

// crowd is a run.
type crowd struct {
	config  Config
	caller  *caller
	tally   *tally
	agenda  *agenda
	streams chan struct{} // a place for each open WebSocket
	running sync.WaitGroup
}

// Run sends the crowd and returns when every shopper has an outcome or has lost
// patience. report, if not nil, is called from one goroutine from time to time.
// When ctx ends it returns what was seen so far, and ctx's error.
func Run(ctx context.Context, config Config, report func(Progress)) (Result, error) {
	if err := config.Validate(); err != nil {
		return Result{}, err
	}
	c := &crowd{
		config: config, caller: newCaller(config), tally: newTally(config.Buyers),
		agenda: newAgenda(config.Buyers, config.MaxWaiting), streams: make(chan struct{}, config.MaxStreams),
	}
	defer c.caller.close()

	alive, stop := context.WithCancel(ctx)
	defer context.AfterFunc(alive, c.agenda.abandon)()
	began := time.Now()
	c.running.Go(func() { c.report(alive, began, report) })
	var workers sync.WaitGroup
	for range config.Connections {
		workers.Go(func() { c.work(alive) })
	}
	workers.Wait() // they end when nobody is left, or with ctx
	stop()
	c.running.Wait()
	if err := ctx.Err(); err != nil {
		return c.tally.total(began), fmt.Errorf("the run was interrupted: %w", err)
	}
	return c.tally.total(began), nil
}

func (c *crowd) report(ctx context.Context, began time.Time, report func(Progress)) {
	if report == nil {
		return
	}
	every := time.NewTicker(progressInterval)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			if line, err := c.caller.line(); err == nil {
				c.tally.line.Store(line)
			}
			report(c.tally.progress(began))
		case <-ctx.Done():
			return
		}
	}
}

// work does one step after another.
func (c *crowd) work(ctx context.Context) {
	for {
		s := c.agenda.next()
		if s == nil {
			return
		}
		if s.clicked.IsZero() {
			c.tally.clicked.Add(1)
		}
		if !c.take(ctx, s) { // else it follows by WebSocket, and comes back by itself
			c.agenda.put(s)
		}
	}
}

// take does a shopper's step and sets the next one. It reports whether the
// shopper went over to a stream.
func (c *crowd) take(ctx context.Context, s *shopper) (streaming bool) {
	switch s.step {
	case click:
		return c.click(ctx, s)
	case ask:
		c.ask(s)
	case pay:
		c.pay(s)
	case lookAt:
		c.lookAgain(s)
	case goAway, waitPay:
	}
	return false
}

func (c *crowd) click(ctx context.Context, s *shopper) (streaming bool) {
	if s.clicked.IsZero() {
		s.clicked = time.Now()
		s.patienceEnds = s.clicked.Add(c.config.Patience)
	}
	a, err := c.caller.buy(fmt.Sprintf("%s-%d", c.config.Crowd, s.number))
	now := time.Now()
	switch {
	case err == nil && (a.code == fasthttp.StatusAccepted || a.code == fasthttp.StatusOK):
		c.tally.noteAccepted(s.clicked, now)
		s.told(a.status, c.tally, now)
		s.etag = a.etag
		if !s.decided && s.number%1000 < c.config.Follow {
			select {
			case c.streams <- struct{}{}:
				c.running.Go(func() { c.stream(ctx, s) })
				return true
			default: // no place: poll
			}
		}
		c.goOn(s, now)
	case now.After(s.patienceEnds):
		c.leave(s, cmp.Or(a.problem, "no_answer"), now)
	case err != nil, a.code == fasthttp.StatusServiceUnavailable, a.code == fasthttp.StatusTooManyRequests,
		a.problem == "not_open", a.problem == "paused": // the door will open
		s.tryAgain(a.retryAfter, now)
	default:
		c.leave(s, a.problem, now)
	}
	return false
}

// leave ends the journey of a shopper who got no ticket.
func (c *crowd) leave(s *shopper, code string, now time.Time) {
	c.tally.noteRefused(code, s.clicked, now)
	s.step = goAway
}

func (c *crowd) ask(s *shopper) {
	a, err := c.caller.ask(s.ticket, s.etag)
	now := time.Now()
	switch {
	case err == nil && a.code == fasthttp.StatusOK:
		s.told(a.status, c.tally, now)
		s.etag = a.etag
		c.goOn(s, now)
	case err == nil && a.code == fasthttp.StatusNotModified:
		c.goOn(s, now)
	case now.After(s.patienceEnds):
		c.end(s)
	default:
		s.tryAgain(a.retryAfter, now)
	}
}

// goOn chooses the next step after a status, or after hearing that it is still
// the same.
func (c *crowd) goOn(s *shopper, now time.Time) {
	switch {
	case s.state == sale.Held && c.config.MerchantToken != "":
		s.step = waitPay
	case s.decided:
		c.finish(s, now)
	case now.After(s.patienceEnds):
		c.end(s)
	default:
		pause := cmp.Or(s.pollAfter, retryPause)
		s.step, s.due = ask, now.Add(pause+rand.N(pause/10+1))
	}
}

func (c *crowd) pay(s *shopper) {
	a, err := c.caller.confirm(s.ticket, fmt.Sprintf("payment-%s-%d", c.config.Crowd, s.number))
	now := time.Now()
	switch {
	case err == nil && a.code == fasthttp.StatusOK:
		s.told(a.status, c.tally, now)
		c.finish(s, now)
	case err == nil && a.code == fasthttp.StatusConflict: // too late: ask how it ended
		s.step, s.due = lookAt, now
	case now.After(s.patienceEnds.Add(c.config.Patience)):
		c.end(s)
	default: // the same again is the same confirmation
		s.tryAgain(a.retryAfter, now)
	}
}

// finish sends some to look once more whether their outcome still holds.
func (c *crowd) finish(s *shopper, now time.Time) {
	if s.state == sale.SoldOut && s.number%lookAgainEvery != 0 {
		c.end(s)
		return
	}
	s.step, s.due, s.etag = lookAt, now.Add(time.Second), ""
	s.patienceEnds = now.Add(c.config.Patience)
}

func (c *crowd) lookAgain(s *shopper) {
	a, err := c.caller.ask(s.ticket, "")
	now := time.Now()
	switch {
	case err == nil && a.code == fasthttp.StatusOK:
		s.told(a.status, c.tally, now)
		c.end(s)
	case now.After(s.patienceEnds):
		c.end(s)
	default:
		s.tryAgain(a.retryAfter, now)
	}
}

func (c *crowd) end(s *shopper) {
	c.tally.noteEnd(s)
	s.step = goAway
}
