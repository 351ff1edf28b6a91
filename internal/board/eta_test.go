package board_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// drain is a partition whose line is decided by batches that the test sends.
type drain struct {
	*stack
	t  *testing.T
	of sale.Offset
	at sale.Offset
}

// newDrain makes a board with a line of a million records.
func newDrain(t *testing.T) *drain {
	s := newStack(1, 10_000)
	d := &drain{stack: s, t: t, of: s.createOf("a", waitlist(1))}
	s.commit()
	s.start()
	d.at = s.committed
	s.NoteAppended(0, d.at+1_000_000)
	return d
}

// decide sends a batch of so many losers.
func (d *drain) decide(records int64, rows ...sale.Request) {
	m := &event.Message{Log: topic.String(), From: d.at, To: d.at + sale.Offset(records), OldestStart: d.at, Requests: rows}
	d.feed.send(m)
	d.at = m.To
}

// live sends signs of life for some time.
func (d *drain) live(during time.Duration) {
	for end := time.Now().Add(during); time.Now().Before(end); {
		advance(min(500*time.Millisecond, time.Until(end)))
		d.decide(0)
	}
}

func (d *drain) eta(offset sale.Offset) time.Duration {
	d.t.Helper()
	v, err := d.Lookup(d.t.Context(), 0, d.of, offset)
	if err != nil {
		d.t.Fatal(err)
	}
	return v.ETA
}

func (d *drain) wantETA(what string, offset sale.Offset, want time.Duration) {
	d.t.Helper()
	got := d.eta(offset)
	if want == board.NoETA || got == board.NoETA {
		if got != want {
			d.t.Errorf("%s: the ETA is %s, expected %s", what, got, want)
		}
		return
	}
	if off := math.Abs(float64(got-want)) / float64(want); off > 0.02 {
		d.t.Errorf("%s: the ETA is %s, expected about %s", what, got, want)
	}
}

// TestETAOfASteadyDrain: batches have 50 % more or less than they should.
func TestETAOfASteadyDrain(t *testing.T) {
	const perSecond, ahead = 1000, 200_000
	for _, every := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprint(every, seed), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					d := newDrain(t)
					defer func() { d.stop() }()
					random := rand.New(rand.NewPCG(seed, 1))
					d.decide(1)
					began, offset := time.Now(), d.at+ahead
					last := board.NoETA
					for time.Since(began) < min(30*time.Second, 1000*every) {
						advance(every)
						d.decide(int64(perSecond * every.Seconds() * (0.5 + random.Float64())))
						eta := d.eta(offset)
						passed := time.Since(began)
						if eta == board.NoETA {
							if passed > 1600*time.Millisecond {
								t.Fatalf("no ETA after %s", passed)
							}
							continue
						}
						right := time.Duration(offset-d.at) * time.Second / perSecond
						bound, jump := 0.5, 1.3
						if passed > 5500*time.Millisecond {
							bound, jump = 0.35, 1.12
						}
						if off := math.Abs(float64(eta-right)) / float64(right); off > bound {
							t.Errorf("after %s the ETA is %s, %.2f off", passed, eta, off)
						}
						if last != board.NoETA && float64(eta) > float64(last)*jump {
							t.Errorf("after %s the ETA jumped from %s to %s", passed, last, eta)
						}
						last = eta
					}
				})
			})
		}
	}
}

// TestTheWorstNoise: all batches had half more, and one has half.
func TestTheWorstNoise(t *testing.T) {
	for before, jump := range map[int]float64{3: 1.3, 12: 1.12, 100: 1.12} {
		bubbleOf(t, fmt.Sprint(before), func(t *testing.T) {
			d := newDrain(t)
			defer func() { d.stop() }()
			offset := d.at + 500_000
			d.decide(1)
			for range before {
				advance(500 * time.Millisecond)
				d.decide(1500)
			}
			last := d.eta(offset)
			advance(500 * time.Millisecond)
			d.decide(500)
			if eta := d.eta(offset); last == board.NoETA || float64(eta) > float64(last)*jump {
				t.Errorf("after %d batches the ETA jumped from %s to %s", before, last, eta)
			}
		})
	}
}

func bubbleOf(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, test) })
}

func TestASteadyRateIsMeasuredExactly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDrain(t)
		defer func() { d.stop() }()
		d.wantETA("before anything is decided", d.at+1000, board.NoETA)
		advance(300 * time.Millisecond)
		d.decide(9000) // nobody knows for how long they have been decided
		for i, every := range []time.Duration{100, 30, 470, 1, 699, 400, 10, 290} {
			advance(every * time.Millisecond)
			d.decide(int64(every)) // 1,000 a second
			if i < 3 {
				d.wantETA("too early", d.at+1000, board.NoETA)
			} else if i > 3 {
				d.wantETA("then", d.at+10_000, 10*time.Second)
			}
		}
		d.wantETA("the next one", d.at, 0)
		d.wantETA("beyond what can be told", d.at+1<<50, board.NoETA)
	})
}

func TestTimeWithoutALineIsNotMeasured(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStack(1, 100)
		d := &drain{stack: s, t: t, of: s.createOf("a", waitlist(1))}
		s.commit()
		s.start()
		defer func() { d.stop() }()
		d.at = s.committed
		for range 60 { // 100 are decided in 100 ms, then none comes for 400 ms
			s.NoteAppended(0, d.at+99)
			d.decide(50)
			advance(100 * time.Millisecond)
			d.decide(50)
			advance(400 * time.Millisecond)
		}
		s.NoteAppended(0, d.at+1000)
		d.wantETA("in the line", d.at+1000, 2*time.Second) // 50 in 100 ms
	})
}

func TestALineThatStandsHasNoETA(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDrain(t)
		defer func() { d.stop() }()
		for range 30 {
			d.decide(100)
			advance(100 * time.Millisecond)
		}
		d.live(4 * time.Second)
		d.wantETA("after 4 s", d.at+1000, time.Second)
		d.live(2 * time.Second)
		d.wantETA("after 6 s", d.at+1000, board.NoETA)
		d.decide(600)
		if eta := d.eta(d.at + 1000); eta < 1200*time.Millisecond || eta > 5*time.Second {
			t.Errorf("when it goes on the ETA is %s", eta)
		}
	})
}

func TestAReadOfTheLedgerIsNoRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDrain(t)
		defer func() { d.stop() }()
		for range 3000 {
			d.add(1000, "", sale.Tick{})
		}
		for range 30 {
			advance(100 * time.Millisecond)
			d.decide(10) // 100 a second
		}
		d.ledger.set(func() { d.truth.committed = d.end() })
		d.at = d.end()
		d.decide(500) // which is kept until the ledger is read
		synctest.Wait()
		d.expectWatermark(t, d.at)
		d.wantETA("after a jump", d.at+1000, 10*time.Second)
		advance(100 * time.Millisecond)
		d.decide(10)
		d.wantETA("and then", d.at+1000, 10*time.Second)
	})
}

func TestAStoppedPartitionHasNoETA(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDrain(t)
		defer func() { d.stop() }()
		d.ledger.set(func() {
			for d.end() < 5000 {
				d.add(1000, "", sale.Tick{})
			}
		})
		for range 20 {
			advance(100 * time.Millisecond)
			d.decide(10)
		}
		d.wantETA("while it goes on", d.at+1000, 10*time.Second)
		d.ledger.set(func() { d.ledger.stopped, d.truth.committed = "the log is another one", d.at })
		d.feed.subscribed()
		synctest.Wait()
		d.wantETA("stopped", d.at+1000, board.NoETA)
	})
}

func TestARequestOfAPausedSaleHasNoETA(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDrain(t)
		defer func() { d.stop() }()
		for range 20 {
			advance(100 * time.Millisecond)
			d.decide(10)
		}
		d.setStage(sale.StagePaused)
		d.wantETA("paused", d.at+1000, board.NoETA)
		v, err := d.Lookup(t.Context(), 0, d.at+5, d.at+1000) // of a sale that is not known yet
		if err != nil || v.ETA == board.NoETA {
			t.Errorf("another sale's: %+v, %v", v, err)
		}
		d.setStage(sale.StageOpen)
		d.wantETA("resumed", d.at+1000, 10*time.Second)
	})
}

// setStage changes the sale as the next batch does.
func (d *drain) setStage(stage sale.Stage) {
	d.setSale(func(s *sale.Sale) { s.Stage = stage })
}

func (d *drain) setSale(change func(*sale.Sale)) {
	of, _ := d.Sale("a")
	changed := *of.Sale
	change(&changed)
	changed.Revision = d.at
	d.feed.send(&event.Message{Log: topic.String(), From: d.at, To: d.at + 1, OldestStart: d.at, Sales: []sale.Sale{changed}})
	d.at++
}
