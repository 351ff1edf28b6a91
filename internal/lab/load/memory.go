package load

import (
	"slices"
	"sync"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// kept is a ticket that is remembered for later phases.
type kept struct {
	ticket string
	state  sale.State // the last that was heard
}

// memory holds the kept tickets. It is safe for many goroutines.
type memory struct {
	mu   sync.Mutex
	all  []*kept
	most int // as many as the phases so far asked for
}

// allow makes room for some more.
func (m *memory) allow(more int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most = len(m.all) + more
}

// full reports whether another ticket would be of no use.
func (m *memory) full() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all) >= m.most
}

func (m *memory) keep(k kept) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) < m.most {
		m.all = append(m.all, &k)
	}
}

// snapshot gives what is kept. A ticket in it is changed by nobody but the phase
// that runs.
func (m *memory) snapshot() []*kept {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all)
}

func (m *memory) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all, m.most = nil, 0
}
