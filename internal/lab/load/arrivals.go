package load

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// arrivals gives out the arrivals of a phase, in order, to whichever connection
// asks next. It is safe for many goroutines.
type arrivals struct {
	of    Arrivals
	most  int64 // 0: no bound
	taken atomic.Int64
	times []time.Duration // of Poisson arrivals
}

// newArrivals makes the same schedule every time: what is compared is offered
// the same.
func newArrivals(of Arrivals, most int) *arrivals {
	a := &arrivals{of: of, most: int64(most)}
	if of.Kind == Poisson {
		random := rand.New(rand.NewPCG(1, 2)) // any two numbers
		at := 0.0
		for most == 0 || len(a.times) < most {
			at += random.ExpFloat64() / of.Rate
			due := seconds(at)
			if of.For > 0 && due >= of.For {
				break
			}
			a.times = append(a.times, due)
		}
		a.most = int64(len(a.times))
	}
	return a
}

// next gives the number of the next arrival, and when it is due after the
// phase's beginning. elapsed is the time since then, which is when a closed
// loop's arrival is due. It gives false when there are no more.
func (a *arrivals) next(elapsed time.Duration) (number int, due time.Duration, more bool) {
	if !a.open() && a.of.For > 0 && elapsed >= a.of.For || a.of.Kind == Poisson && len(a.times) == 0 {
		return 0, 0, false
	}
	// Once one is beyond the end all are, so what is taken there does no harm.
	n := a.taken.Add(1) - 1
	if a.most > 0 && n >= a.most {
		return 0, 0, false
	}
	due = a.due(n, elapsed)
	if a.open() && a.of.For > 0 && due >= a.of.For {
		return 0, 0, false
	}
	return int(n), due, true
}

// overdue takes all that should have come by now, and says how many they are.
func (a *arrivals) overdue(elapsed time.Duration) (count int) {
	for a.open() {
		if _, due, more := a.next(elapsed); !more || due > elapsed {
			break
		}
		count++
	}
	return count
}

func (a *arrivals) due(n int64, elapsed time.Duration) time.Duration {
	switch a.of.Kind {
	case "", Closed:
		return elapsed
	case Burst:
		return 0
	case Constant:
		return seconds(float64(n) / a.of.Rate)
	case Poisson:
		return a.times[n]
	case Ramp:
		return a.of.ramp(float64(n))
	}
	return elapsed
}

// ramp is when the number of arrivals so far, r·t + (r'-r)·t²/2T, reaches n.
func (a Arrivals) ramp(n float64) time.Duration {
	bend := (a.ToRate - a.Rate) / (2 * a.For.Seconds())
	if n == 0 {
		return 0
	}
	if bend == 0 {
		return seconds(n / a.Rate)
	}
	under := a.Rate*a.Rate + 4*bend*n
	if under < 0 {
		return a.For // a falling ramp has an end
	}
	// The usual formula with its numerator made rational: it divides by no
	// difference of nearly equal numbers.
	return seconds(2 * n / (a.Rate + math.Sqrt(under)))
}

func (a *arrivals) open() bool { return a.of.Kind != "" && a.of.Kind != Closed }

// seconds gives a duration, which is cut at the longest there is.
func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}
