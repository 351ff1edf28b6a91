package fairness

import (
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// maxListed bounds a report's lists of pauses and of actions.
const maxListed = 1000

// moment is a record's place and its log time.
type moment struct {
	offset sale.Offset
	time   sale.Time
}

// pauses gathers what a sale's pauses did.
type pauses struct {
	count, total  int64
	parked, moved int64
	wait          durations
	now           Pause // the one that lasts
	lasts         bool
	listed        []Pause
}

// change takes the sale as a record has made it, before that record's
// decisions: whoever the record served was not held when a pause ended.
func (p *pauses) change(in *partition, of *tally, to *sale.Sale, at moment) {
	switch paused := to.Stage == sale.StagePaused; {
	case paused && !p.lasts:
		p.lasts, p.now = true, Pause{From: event.Instant(at.time), Offset: at.offset}
		p.count++
	case !paused && p.lasts:
		p.now.To = event.Instant(at.time)
		for _, request := range in.live { // in any order: they are counted
			if request.sale == of && request.state == sale.Held && request.started && request.start < at.time && event.Instant(at.time) > p.now.From {
				p.now.HoldsMoved++
				if !request.moved {
					request.moved = true
					p.moved++
				}
			}
		}
		p.end()
	}
}

func (p *pauses) end() {
	p.lasts = false
	p.total += int64(p.now.To - p.now.From)
	p.list()
}

func (p *pauses) list() {
	if len(p.listed) < maxListed {
		p.listed = append(p.listed, p.now)
	}
}

func (p *pauses) park() {
	p.parked++
	p.now.Parked++
}

func (p *pauses) report(s *sale.Sale, now sale.Time) Pauses {
	total, listed := p.total, append([]Pause{}, p.listed...)
	if p.lasts {
		total += int64(event.Instant(now) - p.now.From)
		if len(listed) < maxListed {
			listed = append(listed, p.now)
		}
	}
	return Pauses{
		Count: p.count, Total: total, Parked: p.parked, Wait: p.wait.report(), HoldsMoved: p.moved, Listed: listed,
	}
}
