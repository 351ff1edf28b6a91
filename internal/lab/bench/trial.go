package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/measure"
	"github.com/anteroomhq/anteroom/internal/lab/report"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// product is what every trial sells: each has a log of its own.
const product = "console"

// trial is one arm of a scenario in one round.
type trial struct {
	stack    Stack
	size     size
	canned   *canned
	round    report.Round
	curve    []report.CurvePoint
	settings []report.Setting
	ends     []func() error
}

func newTrial(stack Stack, size size, canned *canned) *trial {
	return &trial{stack: stack, size: size, canned: canned, round: report.Round{Figures: make(map[string]float64)}}
}

// close ends what the trial has started, last first.
func (t *trial) close() error {
	var errs []error
	for i := len(t.ends) - 1; i >= 0; i-- {
		errs = append(errs, t.ends[i]())
	}
	t.ends = nil
	return errors.Join(errs...)
}

func (t *trial) service(ctx context.Context, config ServiceConfig) (Service, error) {
	if config.Partitions == 0 {
		config.Partitions = 1
	}
	s, err := t.stack.Service(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("starting anteroom: %w", err)
	}
	t.ends = append(t.ends, s.Close)
	return s, nil
}

func (t *trial) rival(ctx context.Context, config rival.Config, commitDelay time.Duration) (Rival, error) {
	config.Product = product
	r, err := t.stack.Rival(ctx, config, commitDelay)
	if err != nil {
		return nil, fmt.Errorf("starting the rival %s: %w", config.Kind, err)
	}
	t.ends = append(t.ends, r.Close)
	for _, s := range r.Settings() {
		t.settings = append(t.settings, report.Setting{Name: s.Name, Value: s.Value})
	}
	return r, nil
}

func (t *trial) generator(ctx context.Context) (*load.Driver, error) {
	g, err := t.stack.Generator(ctx)
	if err != nil {
		return nil, err
	}
	t.ends = append(t.ends, g.Close)
	return g, nil
}

// measured does work and notes what each process used meanwhile.
func (t *trial) measured(processes map[string]int, generator *load.Driver, work func() error) error {
	pids := t.stack.Backends()
	maps.Copy(pids, processes)
	if generator != nil {
		pids[report.Generator] = generator.PID()
	}
	sampler, err := measure.Watch(pids)
	if err != nil {
		return fmt.Errorf("looking at the processes: %w", err)
	}
	err = work()
	used, watched := sampler.Stop()
	for _, u := range used {
		t.round.Processes = append(t.round.Processes, report.Process{Name: u.Name, CPUSeconds: u.CPUSeconds, PeakRSSBytes: u.PeakRSSBytes})
	}
	return errors.Join(err, watched)
}

// note takes a figure down.
func (t *trial) note(figure string, value float64) { t.round.Figures[figure] = value }

func (t *trial) broken(format string, values ...any) {
	t.round.Broken = append(t.round.Broken, fmt.Sprintf(format, values...))
}

// noteClicks takes down what the generator saw.
func (t *trial) noteClicks(r *load.Result) {
	t.note("answered_per_second", r.AnsweredPerSecond)
	t.note("accepted_per_second", float64(r.Accepted)/max(r.Seconds, 1e-9))
	t.note("seconds", r.Seconds)
	t.note("click_p50_ms", r.AnswerMS.P50)
	t.note("click_p99_ms", r.AnswerMS.P99)
	t.note("click_max_ms", r.AnswerMS.Max)
	t.note("errors", float64(sum(r.Errors)))
	t.note("shed", float64(r.Shed))
	for _, p := range r.AnswerCurve {
		t.round.Latency = append(t.round.Latency, report.LatencyPoint{Quantile: p.Quantile, MS: p.MS})
	}
	for _, p := range r.Timeline {
		t.round.Timeline = append(t.round.Timeline, report.TimelinePoint{AtMS: float64(p.AtMS), Answered: float64(p.Answered)})
	}
	t.note(report.Answered, float64(r.Answered))
	var all, own float64
	for _, p := range t.round.Processes {
		all += p.CPUSeconds
		if p.Name == report.Generator {
			own = p.CPUSeconds
		}
	}
	if all > 0 {
		t.note("generator_cpu_share", own/all)
	}
	if r.MultipleOutcomes > 0 {
		t.broken("%d outcomes contradicted an earlier one", r.MultipleOutcomes)
	}
	if r.PositionRises > 0 {
		t.broken("%d places moved back", r.PositionRises)
	}
	if r.Undecided > 0 {
		t.broken("%d tickets without an outcome", r.Undecided)
	}
}

// noteStock takes down what the database says was sold.
func (t *trial) noteStock(sold, oversold, unsold int64) {
	t.note("sold", float64(sold))
	t.note("oversold", float64(oversold))
	t.note("unsold", float64(unsold))
	if oversold > 0 {
		t.broken("%d units oversold", oversold)
	}
	if unsold > 0 {
		t.broken("%d units stayed unsold", unsold)
	}
}

// noteSale takes down what anteroom's ledger says was sold of a sale.
func (t *trial) noteSale(ctx context.Context, s Service, of sale.Product) error {
	tally, err := s.Tally(ctx, of)
	if err != nil {
		return fmt.Errorf("counting what was sold: %w", err)
	}
	if !tally.Sale.Balanced() {
		t.broken("the ledger's units do not add up")
	}
	sold := tally.Units[sale.Held] + tally.Units[sale.Reserved] + tally.Units[sale.Confirmed]
	t.noteStock(sold, max(0, sold-tally.Sale.Quantity), max(0, tally.Sale.Quantity-sold))
	return nil
}

// lineInterval is how often the end of the line is looked for: every look is
// one call among the crowd's.
const lineInterval = 2 * time.Millisecond

// drained waits until everything that was appended is decided, as the ingress
// shows it, and gives when that was seen.
func drained(ctx context.Context, s Service, of string) (time.Time, error) {
	again := time.NewTicker(lineInterval)
	defer again.Stop()
	for {
		public, err := s.Operator().Product(ctx, of)
		switch {
		case err != nil:
			return time.Time{}, fmt.Errorf("waiting for the line's end: %w", err)
		case public.Line == 0:
			return time.Now(), nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// open opens a sale.
func open(ctx context.Context, s Service, wanted client.NewSale) error {
	if wanted.Product == "" {
		wanted.Product = product
	}
	wanted.HoldSeconds, wanted.MaxHoldSeconds = 7200, 7200 // nothing ends in the middle
	wanted.Actor, wanted.Reason = "bench", "measuring"
	if _, err := s.Operator().CreateSale(ctx, wanted); err != nil {
		return fmt.Errorf("opening the sale: %w", err)
	}
	return known(ctx, s, wanted.Product)
}

// known waits until the ingress knows the sale.
func known(ctx context.Context, s Service, of string) error {
	again := time.NewTicker(lineInterval)
	defer again.Stop()
	for {
		_, err := s.Operator().Product(ctx, of)
		if err == nil {
			return nil
		}
		if !client.HasCode(err, "unknown_product") {
			return fmt.Errorf("waiting for the sale to be known: %w", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func sum[K comparable](of map[K]int) int {
	total := 0
	for _, n := range of {
		total += n
	}
	return total
}
