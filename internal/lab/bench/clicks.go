package bench

import (
	"context"
	"runtime"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// clicks is a crowd whose buyers each click once.
type clicks struct {
	buyers, connections int
	units               int64
	longest             time.Duration // 0: as long as it takes
	follow              load.Follow
	commitDelay         time.Duration // of Postgres
}

func (c clicks) phase(address string) load.Phase {
	return load.Phase{
		Do: load.Click, Addresses: []string{address}, Connections: c.connections,
		Product: product, Crowd: "crowd", Buyers: c.buyers, Follow: c.follow,
		Arrivals: load.Arrivals{Kind: load.Closed, For: c.longest},
		Patience: 5 * time.Minute,
	}
}

// atRival sends the crowd at a rival, whose answer is the outcome.
func (c clicks) atRival(ctx context.Context, t *trial, config rival.Config) error {
	r, err := t.rival(ctx, config, c.commitDelay)
	if err != nil {
		return err
	}
	g, err := t.generator(ctx)
	if err != nil {
		return err
	}
	var seen load.Result
	phase := c.phase(r.Address())
	phase.Follow = "" // there is nothing to follow
	err = t.measured(r.Processes(), g, func() (err error) {
		seen, err = g.Run(ctx, phase, nil)
		return err
	})
	if err != nil {
		return err
	}
	t.noteClicks(&seen)
	t.note("decided_per_second", seen.AnsweredPerSecond)
	t.note("told_per_second", seen.AnsweredPerSecond)
	if config.Kind == rival.BareEcho {
		return nil
	}
	tally, err := r.Tally(ctx)
	if err != nil {
		return err
	}
	c.noteStock(t, &seen, tally.Sold, tally.Oversold, tally.Unsold)
	return nil
}

// noteStock takes what is left for unsold only where enough have asked.
func (c clicks) noteStock(t *trial, seen *load.Result, sold, oversold, unsold int64) {
	if asked := int64(seen.Answered - seen.Shed); asked < c.units {
		unsold = max(0, asked-sold)
	}
	t.noteStock(sold, oversold, unsold)
}

// atService sends the crowd at anteroom, and waits until all of it is decided.
// prepare opens the sale; finish, if it is not nil, ends it before it is
// counted.
func (c clicks) atService(ctx context.Context, t *trial, prepare func(context.Context, Service) error, finish func(context.Context, Service) error) error {
	s, err := t.service(ctx, ServiceConfig{CommitDelay: c.commitDelay})
	if err != nil {
		return err
	}
	if err := prepare(ctx, s); err != nil {
		return err
	}
	g, err := t.generator(ctx)
	if err != nil {
		return err
	}
	before, err := t.stack.Syncs(ctx)
	if err != nil {
		return err
	}
	var seen load.Result
	var decided time.Time
	err = t.measured(s.Processes(), g, func() (err error) {
		if seen, err = g.Run(ctx, c.phase(s.Address()), nil); err != nil {
			return err
		}
		decided, err = drained(ctx, s, product)
		return err
	})
	if err != nil {
		return err
	}
	t.noteClicks(&seen)
	took := decided.Sub(time.UnixMilli(seen.FirstUnixMS))
	t.note("decided_per_second", float64(seen.Answered)/took.Seconds())
	t.note("decided_per_core_second", float64(seen.Answered)/took.Seconds()/float64(runtime.NumCPU()))
	if c.follow == "" {
		t.note("last_outcome_ms", max(0, float64(decided.Sub(time.UnixMilli(seen.LastUnixMS)).Microseconds())/1000))
	} else {
		told := time.UnixMilli(seen.LastUnixMS).Sub(time.UnixMilli(seen.FirstUnixMS)).Seconds() + seen.LastOutcomeMS/1000
		t.note("told_per_second", float64(seen.Answered)/told)
		t.note("last_outcome_ms", seen.LastOutcomeMS)
		t.note("outcome_p50_ms", seen.OutcomeMS.P50)
		t.note("outcome_p99_ms", seen.OutcomeMS.P99)
	}
	var rss int64
	for _, p := range t.round.Processes {
		if p.Name == "ingress" || p.Name == "allocator" {
			rss += p.PeakRSSBytes
		}
	}
	t.note("service_peak_mb", float64(rss)/1e6)
	if finish != nil {
		if err := finish(ctx, s); err != nil {
			return err
		}
	}
	if err := t.noteSale(ctx, s, product); err != nil {
		return err
	}
	// The ledger's sessions report their syncs when they end.
	if err := t.close(); err != nil {
		return err
	}
	after, err := t.stack.Syncs(ctx)
	if err != nil {
		return err
	}
	if syncs := after - before; syncs > 0 {
		t.note("decisions_per_fsync", float64(seen.Accepted)/float64(syncs))
	}
	return nil
}

// line is the arm of anteroom with every click in the log.
func (c clicks) line() arm {
	return arm{"anteroom", "anteroom, every click in the log", func(ctx context.Context, t *trial) error {
		return c.atService(ctx, t,
			func(ctx context.Context, s Service) error { return openLine(ctx, s, product) },
			func(ctx context.Context, s Service) error { return endLine(ctx, s, product) })
	}}
}

// sold is the arm of anteroom with a sale as a shop would open it.
func (c clicks) sold(name, title string, wanted client.NewSale) arm {
	return arm{name, title, func(ctx context.Context, t *trial) error {
		return c.atService(ctx, t, func(ctx context.Context, s Service) error { return open(ctx, s, wanted) }, nil)
	}}
}
