package load

import (
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// all gives when each arrival is due, taken by one goroutine.
func all(a *arrivals) (due []time.Duration) {
	for {
		number, at, more := a.next(0)
		if !more {
			return due
		}
		if number != len(due) {
			panic("numbers have a gap")
		}
		due = append(due, at)
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		of      Arrivals
		most    int
		want    int
		is      map[int]time.Duration // by number
		slackMS float64
	}{
		"constant":             {Arrivals{Kind: Constant, Rate: 100}, 11, 11, map[int]time.Duration{0: 0, 1: 10 * time.Millisecond, 10: 100 * time.Millisecond}, 0.001},
		"constant, for a time": {Arrivals{Kind: Constant, Rate: 100, For: time.Second}, 0, 100, map[int]time.Duration{99: 990 * time.Millisecond}, 0.001},
		"burst":                {Arrivals{Kind: Burst}, 50, 50, map[int]time.Duration{0: 0, 49: 0}, 0},
		// From 0 to 200/s in one second: half of the 100 have come after √½ s.
		"ramp up":           {Arrivals{Kind: Ramp, ToRate: 200, For: time.Second}, 0, 100, map[int]time.Duration{0: 0, 50: 707107 * time.Microsecond}, 0.001},
		"ramp down":         {Arrivals{Kind: Ramp, Rate: 200, For: time.Second}, 0, 100, map[int]time.Duration{0: 0, 50: 292893 * time.Microsecond}, 0.001},
		"ramp, bounded":     {Arrivals{Kind: Ramp, Rate: 100, ToRate: 200, For: time.Second}, 10, 10, map[int]time.Duration{0: 0}, 0},
		"ramp that is none": {Arrivals{Kind: Ramp, Rate: 100, ToRate: 100, For: time.Second}, 0, 100, map[int]time.Duration{50: 500 * time.Millisecond}, 0.001},
		"poisson":           {Arrivals{Kind: Poisson, Rate: 1000}, 500, 500, nil, 0},
		"closed":            {Arrivals{Kind: Closed}, 7, 7, nil, 0},
	} {
		due := all(newArrivals(c.of, c.most))
		if len(due) != c.want {
			t.Errorf("%s: %d arrivals, want %d", name, len(due), c.want)
			continue
		}
		for number, want := range c.is {
			if got := due[number]; math.Abs((got-want).Seconds()*1000) > c.slackMS {
				t.Errorf("%s: number %d is due after %v, want %v", name, number, got, want)
			}
		}
	}
}

func TestSchedulesAreInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of := Arrivals{
			Kind:   rapid.SampledFrom([]ArrivalKind{Constant, Poisson, Ramp, Burst}).Draw(t, "kind"),
			Rate:   rapid.Float64Range(1, 5000).Draw(t, "rate"),
			ToRate: rapid.Float64Range(0, 5000).Draw(t, "to"),
			For:    time.Duration(rapid.IntRange(1, 1000).Draw(t, "ms")) * time.Millisecond,
		}
		most := rapid.IntRange(1, 2000).Draw(t, "most")
		last := time.Duration(0)
		due := all(newArrivals(of, most))
		if len(due) > most {
			t.Fatalf("%d arrivals, at most %d", len(due), most)
		}
		for _, at := range due {
			if at < last || at >= of.For {
				t.Fatalf("%v after %v, in %v", at, last, of.For)
			}
			last = at
		}
	})
}

func TestPoissonIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	of := Arrivals{Kind: Poisson, Rate: 1000, For: 10 * time.Second}
	first, second := all(newArrivals(of, 0)), all(newArrivals(of, 0))
	if len(first) != len(second) || first[len(first)-1] != second[len(second)-1] {
		t.Error("two schedules of the same arrivals differ")
	}
	// The count is a Poisson variable: 10,000 with a deviation of 100.
	if n := len(first); n < 9_500 || n > 10_500 {
		t.Errorf("%d arrivals at 1000/s in 10 s", n)
	}
}

func TestArrivalsAreGivenOutOnce(t *testing.T) {
	t.Parallel()
	for _, of := range []Arrivals{{Kind: Closed}, {Kind: Constant, Rate: 1e6, For: 5 * time.Millisecond}} {
		a := newArrivals(of, 5000)
		var mu sync.Mutex
		var takers sync.WaitGroup
		seen := map[int]int{}
		for range 8 {
			takers.Go(func() {
				for number, _, more := a.next(0); more; number, _, more = a.next(0) {
					mu.Lock()
					seen[number]++
					mu.Unlock()
				}
			})
		}
		takers.Wait()
		for number := range 5000 {
			if seen[number] != 1 {
				t.Fatalf("number %d was given out %d times", number, seen[number])
			}
		}
		if len(seen) != 5000 {
			t.Errorf("%d numbers, want 5000", len(seen))
		}
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	a := newArrivals(Arrivals{Kind: Constant, Rate: 100}, 1000)
	a.next(0)
	if n := a.overdue(95 * time.Millisecond); n != 9 {
		t.Errorf("%d are overdue after 95 ms at 100/s, the first of which was taken; want 9", n)
	}
	if n := newArrivals(Arrivals{}, 10).overdue(time.Second); n != 0 {
		t.Errorf("%d are overdue in a closed loop", n)
	}
}
