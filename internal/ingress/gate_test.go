package ingress

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// fakeGate is the gate, with a memory, a limit of one buy a second, and credits
// of sales with policy reject, as a count of units.
type fakeGate struct {
	mu        sync.Mutex
	hints     map[sale.Buyer]Hint
	last      map[sale.Buyer]time.Time
	down      bool
	admits    int
	forgets   bool // Remember stores nothing
	holdBack  bool // Remember waits
	heldBack  []func()
	admitting chan struct{} // when set, Admit's answer waits for it
	late      bool          // it does not heed who has left: the question is on its way

	credits int64 // units that are not leased
	lost    bool  // what can be sold is not known
	leases  map[string]int64
}

func newFakeGate() *fakeGate {
	return &fakeGate{hints: map[sale.Buyer]Hint{}, last: map[sale.Buyer]time.Time{}, leases: map[string]int64{}}
}

func (g *fakeGate) Admit(ask Ask, asker Asker) {
	go func() {
		if g.admitting != nil {
			<-g.admitting
		}
		if asker.Left() && !g.late {
			asker.Admitted(Admission{}, errors.New("it has left"))
			return
		}
		asker.Admitted(g.answer(ask))
	}()
}

func (g *fakeGate) answer(ask Ask) (Admission, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.admits++
	if g.down {
		return Admission{}, errors.New("redis is down")
	}
	if hint, ok := g.hints[ask.Buyer]; ok && !ask.Fresh {
		return Admission{Hint: &hint}, nil
	}
	if wait := time.Second - time.Since(g.last[ask.Buyer]); wait > 0 {
		return Admission{RetryAfter: wait}, nil
	}
	g.last[ask.Buyer] = time.Now()
	switch {
	case ask.Units == 0:
		return Admission{}, nil
	case g.lost:
		return Admission{Unknown: true}, nil
	case ask.Units > g.credits:
		return Admission{Full: true}, nil
	}
	g.credits -= ask.Units
	lease := fmt.Sprint("lease-", g.admits)
	g.leases[lease] = ask.Units
	return Admission{Lease: lease}, nil
}

func (g *fakeGate) Yield(_ Ask, lease string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.credits += g.leases[lease]
	delete(g.leases, lease)
}

func (g *fakeGate) Remember(ask Ask, hint Hint, done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	store := func() {
		g.mu.Lock()
		if !g.down && !g.forgets {
			g.hints[ask.Buyer] = hint
		}
		g.mu.Unlock()
		if done != nil {
			done()
		}
	}
	if g.holdBack {
		g.heldBack = append(g.heldBack, store)
		return
	}
	go store()
}
