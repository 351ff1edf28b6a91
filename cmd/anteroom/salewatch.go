package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/anteroomhq/anteroom/pkg/client"
)

type saleWatchCommand struct {
	latestSale
	Interval    time.Duration `default:"1s" placeholder:"DURATION" help:"How often to ask. Default: 1s."`
	UntilClosed bool          `help:"End when the sale is closed."`
	Patience    time.Duration `default:"1h" placeholder:"DURATION" help:"How long to go on while the service does not answer. Default: 1h."`
	apiSettings
}

// Help is shown before the flags.
func (*saleWatchCommand) Help() string {
	return "On a terminal it is one screen that is written over; elsewhere a line for each answer, and with --json an object on a line of its own: the sale in the shape of the API, with the time as at, and decided_per_second and confirmed_per_second from one answer to the next. While the service does not answer it says so and goes on asking. ^C ends it, with exit code 0."
}

// Bounds of watching.
const (
	shortestInterval = 100 * time.Millisecond
	longestInterval  = time.Minute
	watchWait        = 5 * time.Second // for one answer
	firstPause       = 250 * time.Millisecond
	longestPause     = 5 * time.Second // where the service does not ask for more
)

func (c *saleWatchCommand) Run(ctx context.Context, t terminal) error {
	if c.Interval < shortestInterval || c.Interval > longestInterval {
		return fmt.Errorf("%w: --interval must be from %s to %s", errMisuse, shortestInterval, longestInterval)
	}
	if c.Patience <= 0 {
		return fmt.Errorf("%w: --patience must be above 0", errMisuse)
	}
	// What is asked again, and what is said meanwhile, is decided here.
	api, err := client.New(client.Config{URL: c.URL, OperatorToken: c.OperatorToken, Patience: -1})
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	w := &saleWatch{
		api: api, product: c.Product, interval: c.Interval, patience: c.Patience, untilClosed: c.UntilClosed,
		show: c.display(t),
	}
	if err := w.run(ctx); err != nil {
		return fmt.Errorf("watching the sale: %w", err)
	}
	return nil
}

func (c *saleWatchCommand) display(t terminal) saleDisplay {
	if c.JSON {
		return &saleLines{t: t, json: true}
	}
	if out, ok := t.out.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		return &saleScreen{out: out, width: func() int {
			width, _, err := term.GetSize(int(out.Fd()))
			if err != nil || width < 1 {
				return 80
			}
			return width
		}}
	}
	return &saleLines{t: t}
}

// watchedSales is what is asked while watching.
type watchedSales interface {
	Sale(ctx context.Context, product string) (client.Sale, error)
	Product(ctx context.Context, product string) (client.Product, error)
}

// saleView is a sale at a time.
type saleView struct {
	at      time.Time
	sale    client.Sale
	opensIn *time.Duration // until a scheduled sale opens; nil where that is not known
	rates   *saleRates     // since the answer before; nil for the first
}

// saleRates are counts per second.
type saleRates struct {
	decided   float64 // requests
	confirmed float64 // units
}

// saleTrouble is a time without an answer.
type saleTrouble struct {
	since time.Time
	tries int
	why   error
	now   time.Time
}

// saleDisplay shows what is seen. Its errors are about printing.
type saleDisplay interface {
	view(v *saleView) error
	trouble(t *saleTrouble) error
	recovered(t *saleTrouble) error // a view follows
}

// saleWatch follows a product's latest sale by asking for it. It is used by one
// goroutine.
type saleWatch struct {
	api         watchedSales
	product     string
	interval    time.Duration
	patience    time.Duration
	untilClosed bool
	show        saleDisplay

	last  *saleView     // nil before the first answer
	ahead time.Duration // the service's clock, compared with this one
}

// run gives nil when the context ends, or the sale where that was asked for.
func (w *saleWatch) run(ctx context.Context) error {
	var bad *saleTrouble
	for {
		view, err := w.look(ctx)
		pause := w.interval
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !w.passes(err):
			return err
		case err != nil:
			if bad == nil {
				bad = &saleTrouble{since: time.Now()}
			}
			bad.tries++
			bad.why, bad.now = err, time.Now()
			if bad.now.Sub(bad.since) > w.patience {
				return fmt.Errorf("given up after %s: %w", bad.now.Sub(bad.since).Round(time.Second), err)
			}
			if err := w.show.trouble(bad); err != nil {
				return err
			}
			pause = bad.pause()
		default:
			if bad != nil {
				bad.now = time.Now()
				if err := w.show.recovered(bad); err != nil {
					return err
				}
				bad = nil
			}
			if over, err := w.take(view); over || err != nil {
				return err
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// look asks once.
func (w *saleWatch) look(ctx context.Context) (*saleView, error) {
	ctx, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	found, err := w.api.Sale(ctx, w.product)
	if err != nil {
		return nil, err
	}
	view := &saleView{at: time.Now(), sale: found}
	if found.State == "scheduled" && !found.OpensAt.IsZero() {
		// It opens by the service's time.
		asked := time.Now()
		if public, err := w.api.Product(ctx, w.product); err == nil && !public.ServerTime.IsZero() {
			w.ahead = public.ServerTime.Sub(asked.Add(time.Since(asked) / 2))
		}
		view.opensIn = new(max(0, found.OpensAt.Sub(time.Now().Add(w.ahead))))
	}
	return view, nil
}

// take shows an answer, and reports whether it was the last. One of a server
// that is behind the others is left out.
func (w *saleWatch) take(v *saleView) (over bool, err error) {
	if w.last != nil {
		before := &w.last.sale
		if v.sale.Sale != before.Sale || !v.sale.CreatedAt.Equal(before.CreatedAt) {
			if v.sale.CreatedAt.Before(before.CreatedAt) {
				return false, nil
			}
			if w.untilClosed { // else there were no other
				return true, nil
			}
		} else {
			if v.sale.Version < before.Version || v.sale.Requests < before.Requests {
				return false, nil
			}
			v.rates = ratesBetween(w.last, v)
		}
	}
	w.last = v
	return w.untilClosed && v.sale.State == "closed", w.show.view(v)
}

func ratesBetween(before, now *saleView) *saleRates {
	seconds := now.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return before.rates
	}
	return &saleRates{
		decided:   float64(now.sale.Requests-before.sale.Requests) / seconds,
		confirmed: max(0, float64(now.sale.Confirmed-before.sale.Confirmed)/seconds), // units are returned too
	}
}

// passes reports whether what the service said, or did not, may be otherwise
// soon. While it restarts, a proxy before it may say anything.
func (w *saleWatch) passes(err error) bool {
	if errors.Is(err, client.ErrUnknown) {
		return true
	}
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return false
	}
	return problem.Status == 429 || w.last != nil && (problem.Code == "" || problem.Code == "unknown_product")
}

// pause gives how long to wait before the next try: longer each time, with
// jitter, and no shorter than the service asks for.
func (t *saleTrouble) pause() time.Duration {
	growing := min(firstPause<<min(t.tries, 10), longestPause)
	var asked time.Duration
	var problem *client.Problem
	if errors.As(t.why, &problem) {
		asked = min(problem.RetryAfter, time.Minute)
	}
	return max(asked, growing/2) + rand.N(growing/2)
}
