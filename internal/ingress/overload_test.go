package ingress

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// server takes clicks in the order in which they come, so many a second, and
// tells each a little later: what a click's way costs when nobody is before it.
type server struct {
	overload *overload
	each     time.Duration // that a click takes
	way      time.Duration
	free     time.Duration // when it can begin the next one
	line     []visit       // those that are not settled, in order

	refused []time.Duration // when
	waits   []visit
}

type visit struct{ came, began, told time.Duration }

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func serverOf(perSecond float64, way time.Duration) *server {
	return &server{overload: newOverload(noon), each: time.Duration(float64(time.Second) / perSecond), way: way}
}

// settleTo settles what is settled by a time.
func (s *server) settleTo(now time.Duration) {
	for len(s.line) > 0 && s.line[0].told <= now {
		v := s.line[0]
		s.line = s.line[1:]
		s.overload.settle(v.began, noon.Add(v.told), true)
		s.waits = append(s.waits, v)
	}
}

// offer has clicks come at equal distances from a time until another.
func (s *server) offer(from, to time.Duration, perSecond float64) {
	for n := 0; ; n++ {
		at := from + time.Duration(float64(n)/perSecond*float64(time.Second))
		if at >= to {
			s.settleTo(to)
			return
		}
		s.settleTo(at)
		if s.overload.stands(noon.Add(at)) {
			s.refused = append(s.refused, at)
			continue
		}
		s.free = max(s.free, at) + s.each
		s.line = append(s.line, visit{at, s.overload.begin(noon.Add(at)), s.free + s.way})
	}
}

func (s *server) longest() (longest time.Duration) {
	for _, v := range s.waits {
		longest = max(longest, v.told-v.came)
	}
	return longest
}

// TestOverloadKeepsServing: whatever is offered, the service goes on at its
// capacity, nobody who is let in waits for long, and it ends with the overload.
func TestOverloadKeepsServing(t *testing.T) {
	t.Parallel()
	for _, capacity := range []float64{1000, 5000, 20_000} {
		for _, load := range []float64{0.5, 0.98, 1.1, 1.2, 1.5, 2, 3, 5} {
			for _, way := range []time.Duration{2 * time.Millisecond, 40 * time.Millisecond} {
				t.Run(fmt.Sprintf("%.0f of %.0f a second and %v", load*capacity, capacity, way), func(t *testing.T) {
					t.Parallel()
					keepsServing(t, capacity, load, way)
				})
			}
		}
	}
}

func keepsServing(t *testing.T, capacity, load float64, way time.Duration) {
	const lasts, after = 10 * time.Second, 4 * time.Second
	s := serverOf(capacity, way)
	s.offer(0, lasts, load*capacity)
	served := float64(len(s.waits))
	s.offer(lasts, lasts+after, 0.8*capacity)

	if load < 1 && len(s.refused) > 0 {
		t.Fatalf("%d were refused, the first after %v", len(s.refused), s.refused[0])
	}
	if least := 0.95 * min(load, 1) * capacity * lasts.Seconds(); served < least {
		t.Errorf("%.0f were served, want %.0f", served, least)
	}
	// Beyond the floor, or a line that is hardly one, a click is let in while
	// the rate is not known, and then up to the longest wait.
	const slack = 0.05
	hardly := max(overloadFloor/capacity, overloadQuick.Seconds()*load)
	most := slack + way.Seconds() + max(overloadLongest.Seconds(), hardly+overloadRateTime.Seconds()*max(load-1, 0))
	// Where more come than can be taken, but not by much, the line stands
	// before it is so long.
	most = min(most, slack+way.Seconds()+max(overloadFloor/capacity, overloadTarget.Seconds()*load)+overloadInterval.Seconds()*max(load-1, 0))
	if longest := s.longest(); longest.Seconds() > most {
		t.Errorf("somebody waited for %v, at most %.3f s", longest, most)
	}
	if n := len(s.refused); n > 0 && s.refused[n-1] > lasts+2*time.Second {
		t.Errorf("the last was refused %v after the overload had ended", s.refused[n-1]-lasts)
	}
}

// TestBurstIsTaken: however many come within a second, of whom so far none could
// be settled; twice as many as the service can take, of whom the first need a
// moment; and however long the ingress had nothing to do.
func TestBurstIsTaken(t *testing.T) {
	t.Parallel()
	for _, idle := range []time.Duration{0, time.Second, time.Hour, 1000 * time.Hour} {
		s := serverOf(30_000, 950*time.Millisecond)
		s.offer(idle, idle+900*time.Millisecond, 200_000)
		slow := serverOf(30_000, 120*time.Millisecond)
		slow.offer(idle, idle+600*time.Millisecond, 60_000)
		if len(slow.refused) > 0 {
			t.Errorf("after %v of nothing one was refused %v later", idle, slow.refused[0]-idle)
		}
		if len(s.refused) > 0 {
			t.Errorf("after %v of nothing %d of a burst were refused", idle, len(s.refused))
		}
	}
}

// TestFewAreNeverRefused: up to the floor a click is let in although all wait for
// long, as those of a slow machine do.
func TestFewAreNeverRefused(t *testing.T) {
	t.Parallel()
	o := newOverload(noon)
	line := make([]time.Duration, 0, overloadFloor)
	for n := range 10 * overloadFloor {
		now := noon.Add(time.Duration(n) * time.Millisecond)
		if len(line) == overloadFloor {
			o.settle(line[0], now, true)
			line = line[1:]
		}
		if o.stands(now) {
			t.Fatalf("with %d on their way one was refused", o.underWay())
		}
		line = append(line, o.begin(now))
	}
}

// crowd begins clicks, beyond the floor, that nothing settles.
func (o *overload) crowd(at time.Time) (began []time.Duration) {
	for range overloadFloor + 1 {
		began = append(began, o.begin(at))
	}
	return began
}

// TestStallIsNoticed: while nothing is settled all but a few probes are refused
// after a second, and nobody once all is.
func TestStallIsNoticed(t *testing.T) {
	t.Parallel()
	o := newOverload(noon)
	o.stands(noon)
	began := o.crowd(noon)
	var let []time.Duration
	const every, lasts = time.Millisecond, 10 * time.Second
	for at := every; at <= lasts; at += every {
		if !o.stands(noon.Add(at)) {
			let = append(let, at)
		}
	}
	early := slices.IndexFunc(let, func(at time.Duration) bool { return at > overloadInterval })
	if early != int(overloadInterval/every) {
		t.Errorf("%d were let in within the interval, want all", early)
	}
	if late, most := len(let)-early, int((lasts-overloadInterval)/overloadProbe); late < most-1 || late > most+1 {
		t.Errorf("%d were let in after it, want %d probes", late, most)
	}
	if n := o.refused.Load(); int(n) != int(lasts/every)-len(let) {
		t.Errorf("%d refused, %d let in", n, len(let))
	}
	for _, b := range began {
		o.settle(b, noon.Add(lasts), true)
	}
	if o.stands(noon.Add(lasts)) || o.underWay() != 0 {
		t.Error("with nobody on the way a click is refused")
	}
}

// TestStuckClicksDoNotShutTheDoor: where some will not be settled, those of
// another partition are, however seldom they come.
func TestStuckClicksDoNotShutTheDoor(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{2 * time.Second, 110 * time.Millisecond, time.Millisecond} {
		o := newOverload(noon)
		o.crowd(noon)
		refused := 0
		for at := time.Hour; at < time.Hour+20*time.Second; at += every {
			if o.stands(noon.Add(at)) {
				refused++
				continue
			}
			o.settle(o.begin(noon.Add(at)), noon.Add(at+every/2), true)
		}
		if refused > 0 {
			t.Errorf("%d of one each %v were refused", refused, every)
		}
	}
}

// TestTroubleIsNoShortLine: clicks that the log refuses at once say nothing of
// how long the others wait.
func TestTroubleIsNoShortLine(t *testing.T) {
	t.Parallel()
	for told, refused := range map[bool]bool{true: false, false: true} {
		o := newOverload(noon)
		o.stands(noon)
		o.crowd(noon)
		for at := time.Duration(0); at < 2*time.Second; at += time.Millisecond {
			o.settle(o.begin(noon.Add(at)), noon.Add(at), told)
		}
		o.probed.Store(int64(2 * time.Second)) // one has been let in just now
		if o.stands(noon.Add(2*time.Second)) != refused {
			t.Errorf("with answers at once, told %v, a click is refused: %v", told, !refused)
		}
	}
}

func TestOutcomesThatTell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal error
		tells   bool
	}{
		"a request":    {nil, true},
		"the limit":    {refuse(rateLimited, ""), true},
		"others' turn": {comesBack(""), true},
		"the log":      {refusedByLog(ErrOverloaded), false},
		"given up":     {errAbandoned, false},
	} {
		if tells(c.refusal) != c.tells {
			t.Errorf("%s tells: %v", name, !c.tells)
		}
	}
}
