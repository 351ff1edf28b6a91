package load

import (
	"context"
	"errors"
	"sync"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

var (
	errNoTickets = errors.New("no tickets are kept")
	errNoHolds   = errors.New("none of the kept tickets has a hold")
)

// call makes the call of an arrival and fills in what it brought.
type call func(ctx context.Context, number int, s *sample)

// each makes a call for every arrival, over the phase's connections. begin
// gives what one of them does, and how it ends.
func (p *phaseRun) each(ctx context.Context, of *arrivals, begin func(n int) (call, func())) {
	line := &lineup{phaseRun: p, arrivals: of}
	var workers sync.WaitGroup
	line.start(ctx, &workers)
	for n := range p.phase.Connections {
		workers.Go(func() {
			do, end := begin(n)
			defer end()
			p.work(ctx, line, do)
		})
	}
	workers.Wait()
}

func (p *phaseRun) work(ctx context.Context, line *lineup, do call) {
	notes := p.tally.recorder()
	defer notes.flush()
	place := make(chan arrival, 1)
	for ctx.Err() == nil {
		a, more := line.next(place)
		if !more {
			return
		}
		s, goes := line.sample(ctx, a)
		if goes {
			s.sent = p.elapsed()
			do(ctx, a.number, &s)
		}
		notes.note(s)
	}
}

// poll asks for the kept tickets in turn.
func (p *phaseRun) poll(ctx context.Context) error {
	tickets := p.memory.snapshot()
	if len(tickets) == 0 {
		return errNoTickets
	}
	p.each(ctx, newArrivals(p.phase.Arrivals, p.phase.Requests), func(n int) (call, func()) {
		w := p.wire(n)
		out := p.requests(w)
		return func(ctx context.Context, number int, s *sample) {
			a, err := w.call(ctx, out.ask(tickets[number%len(tickets)].ticket, "", 0), 0)
			p.fill(s, &a, err)
		}, w.close
	})
	return nil
}

// confirm confirms the holds among the kept tickets.
func (p *phaseRun) confirm(ctx context.Context) error {
	var holds []*kept
	for _, k := range p.memory.snapshot() {
		if k.state == sale.Held && (p.phase.Requests == 0 || len(holds) < p.phase.Requests) {
			holds = append(holds, k)
		}
	}
	if len(holds) == 0 {
		return errNoHolds
	}
	p.each(ctx, newArrivals(Arrivals{Kind: Closed}, len(holds)), func(n int) (call, func()) {
		w := p.wire(n)
		out := p.requests(w)
		return func(ctx context.Context, number int, s *sample) {
			k := holds[number]
			a, err := w.call(ctx, out.confirm(k.ticket, out.reference(number)), 0)
			p.fill(s, &a, err)
			if s.state != "" {
				k.state = s.state
			}
		}, w.close
	})
	return nil
}

// fill notes in a sample what a call brought.
func (p *phaseRun) fill(s *sample, a *answer, err error) {
	s.at, s.status = p.elapsed(), a.status
	switch {
	case err != nil:
		s.failure = failureOf(err)
	case a.status == 200 || a.status == 202:
		if s.state = stateOf(member(a.body, "state")); s.state == "" {
			s.failure = ErrorMalformed
		}
	default:
		s.refusal = refusalOf(a)
	}
}
