package board

import (
	"math"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// NoETA is the ETA where nothing is known of when a request's turn comes.
const NoETA time.Duration = -1

const (
	// smoothing is the time constant of a rate: what happened so long ago
	// counts 1/e of what happens now. It is longer where so much time would
	// hold fewer than smoothingEvents.
	smoothing       = 5 * time.Second
	smoothingEvents = 5

	// leastMeasured is for how long must have been measured before anything is
	// said: a first batch says little.
	leastMeasured = time.Second

	// farthest is the longest ETA. What is farther off nobody can tell.
	farthest = 7 * 24 * time.Hour
)

// meter measures how fast something happens while it is waited for: decisions
// of records while there is a line, openings of checkout windows while requests
// are reserved. Time in which nobody waited is left out, and what happened in
// it.
//
// The rate is an exponentially weighted moving average for events that come in
// batches at irregular times: the weighted count of events divided by the
// weighted time, each moment weighing exp(-age/smoothing), and a batch's events
// being spread over the time since the last batch. Dividing by the weighted
// time instead of by smoothing is what makes the average right from the start
// (the bias correction of D. P. Kingma and J. Ba, "Adam", 2015, section 3). A
// steady rate is measured exactly, however it is cut into batches.
//
// A batch of weight w, as a share of all weights, that has half of the events
// that were to be expected, after batches that all had up to half more, lowers
// the rate to 1-2w/3 of what it was, at most. With batches at most half a
// second apart, as an owner's are, w is below 0.35 once anything is said, and
// below 0.15 when 5 s are measured. So such noise makes an ETA jump up by a
// factor of 1.3 at most, and of 1.12 from then on.
type meter struct {
	events  float64   // weighted
	seconds float64   // weighted likewise
	last    time.Time // when both were brought up to date
	since   time.Time // from when on the events to come were waited for; zero while nobody waits
}

// note takes the events since the last call, and whether anybody waits for more.
func (m *meter) note(events int64, waiting bool, now time.Time) {
	if events > 0 && !m.since.IsZero() {
		decay := math.Exp(-now.Sub(m.last).Seconds() / m.constant().Seconds())
		passed := now.Sub(m.since).Seconds()
		spread := 1.0 // the mean weight of the moments that have passed
		if x := passed / m.constant().Seconds(); x > 0 {
			spread = -math.Expm1(-x) / x
		}
		m.events = m.events*decay + float64(events)*spread
		m.seconds = m.seconds*decay + passed*spread
		m.last, m.since = now, now
	}
	switch {
	case !waiting:
		m.since = time.Time{}
	case m.since.IsZero():
		m.since = now
	}
}

// skip leaves out what has happened since the last call.
func (m *meter) skip(waiting bool, now time.Time) {
	m.since = time.Time{}
	m.note(0, waiting, now)
}

// constant is the time constant at the rate that is measured.
func (m *meter) constant() time.Duration {
	if m.events == 0 {
		return smoothing
	}
	longer := time.Duration(min(smoothingEvents*m.seconds/m.events, farthest.Seconds()) * float64(time.Second))
	return max(smoothing, longer)
}

// rate is how fast something happens, as it was measured. It is not written to.
type rate struct {
	perSecond float64
	until     time.Time // it says nothing of what comes later
}

// rate gives what is measured, or nil where that is too little. It counts for
// one time constant: where nothing has happened for so long, nobody knows when
// the next thing will.
func (m *meter) rate() *rate {
	if m.events == 0 || m.seconds < leastMeasured.Seconds() {
		return nil
	}
	return &rate{perSecond: m.events / m.seconds, until: m.last.Add(m.constant())}
}

func (r *rate) counts() bool { return r != nil && !time.Now().After(r.until) }

func (r *rate) timeFor(events int64) time.Duration {
	if !r.counts() {
		return NoETA
	}
	return timeFor(events, r.perSecond)
}

// timeFor is how long so many events take.
func timeFor(events int64, perSecond float64) time.Duration {
	seconds := float64(events) / perSecond
	if !(seconds >= 0 && seconds <= farthest.Seconds()) {
		return NoETA
	}
	return time.Duration(seconds * float64(time.Second))
}

// measure notes what a change has brought since the watermark before, once for
// all of it. Where the partition was read from the ledger, that tells how far
// it is and not how fast it came there: the jump is left out.
func (p *partition) measure(before sale.Offset, healed bool) {
	now := time.Now()
	if p.stopped != "" {
		p.decisions = meter{} // it will go on at a speed of its own
	}
	line := p.line() > 0 && p.stopped == ""
	switch {
	case !healed:
		p.decisions.note(int64(p.watermark()-before), line, now)
	case p.watermark() > before:
		p.decisions.skip(line, now)
		for _, at := range p.places {
			at.windows.skip(len(at.turns) > 0, now)
		}
	}
	p.speed.Store(p.decisions.rate())
	for _, at := range p.touched {
		if !healed {
			at.windows.note(at.opened, len(at.turns) > 0, now)
		}
		at.opened, at.touched = 0, false
	}
	clear(p.touched)
	p.touched = p.touched[:0]
}

// etaInLine is lineETA for one who does not hold mu, which it takes only while
// a sale is paused.
func (p *partition) etaInLine(of sale.Offset, ahead int64) time.Duration {
	if p.paused.Load() > 0 {
		p.mu.RLock()
		defer p.mu.RUnlock()
		return p.lineETA(of, ahead)
	}
	return p.speed.Load().timeFor(ahead)
}

// lineETA is when a request with so many records ahead will be decided. That of
// a paused sale will be kept then, nobody knows for how long.
func (p *partition) lineETA(of sale.Offset, ahead int64) time.Duration {
	if s := p.sales[of]; s != nil && s.Stage == sale.StagePaused {
		return NoETA
	}
	return p.speed.Load().timeFor(ahead)
}

// windowETA is when the checkout window of a reserved request will open that
// has so many before it: by the measured rate, which no sale's pace lets be
// higher, or by the pace alone where nothing is measured and there is room for
// all of them.
func (p *partition) windowETA(row *sale.Request, ahead int64) time.Duration {
	s, at := p.sales[row.Sale], p.places[row.Sale]
	if s == nil || at == nil || ahead == NoPosition || p.stopped != "" || s.Stage == sale.StagePaused {
		return NoETA
	}
	pace := float64(s.AdmitPerSecond)
	measured := at.windows.rate()
	switch {
	case measured.counts() && pace > 0:
		return timeFor(ahead+1, min(measured.perSecond, pace))
	case measured.counts():
		return measured.timeFor(ahead + 1)
	case pace > 0 && (s.MaxActiveHolds == 0 || s.Held+ahead < s.MaxActiveHolds):
		// A hold has one unit at least, so there are no more of them than units.
		return timeFor(ahead+1, pace)
	}
	return NoETA
}
