package measure

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often memory is looked at whose peak the system does not
// tell.
const lookEvery = 250 * time.Millisecond

// Usage is what a process has used: from its start ([Used]), or while it was
// watched ([Sampler]).
type Usage struct {
	Name       string // as the watcher calls it
	At         time.Time
	CPUSeconds float64 // of all threads, in user and kernel mode
	// PeakRSSBytes is the most resident memory. Of one process that is watched
	// it is exact where the system lets the peak be set back; else, as of a
	// process with others below it, it is the largest of what was seen four
	// times a second. Memory that those share is counted once.
	PeakRSSBytes int64
}

// Used is what a process has used since it was started, and all below it.
func Used(pid int) (Usage, error) {
	if err := supported(); err != nil {
		return Usage{}, err
	}
	m, err := newWatched("", pid, false)
	if err != nil {
		return Usage{}, err
	}
	return m.usage(), nil
}

// Resident is the resident memory of a process and all below it, in bytes.
func Resident(pid int) (int64, error) {
	if err := supported(); err != nil {
		return 0, err
	}
	if _, err := readMemory(pid); err != nil {
		return 0, err
	}
	_, resident := lookAtTree(pid)
	return resident, nil
}

// Sampler watches processes from [Watch] to Stop. Its methods are called from
// one goroutine.
type Sampler struct {
	processes []*watched
	stop      chan struct{}
	looking   sync.WaitGroup
}

// watched is a process with all below it: a server that forks has its children
// when it is first looked at, and one that has none then is looked at alone,
// which costs less and tells the peak better.
type watched struct {
	name    string
	pid     int
	tree    bool
	started int64 // when the process was started; see stat
	before  int64 // ticks that were used when watching began
	ticks   int64 // used, as last seen
	at      time.Time
	exact   bool  // the peak that the system tells is the one that is asked for
	peak    int64 // bytes, as far as seen
}

// newWatched looks at a process for the first time, with reset to see from now
// on.
func newWatched(name string, pid int, reset bool) (*watched, error) {
	began, err := readStat(pid)
	if err != nil {
		return nil, err
	}
	m := &watched{name: name, pid: pid, tree: len(tree(pid)) > 1, started: began.startedTicks}
	m.exact = !m.tree && (!reset || resetPeak(pid))
	if err := m.look(); err != nil {
		return nil, err
	}
	if reset {
		m.before = m.ticks
	}
	return m, nil
}

// Watch begins to watch processes, which are given by name. It fails if one is
// not there.
func Watch(pids map[string]int) (*Sampler, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	s := &Sampler{stop: make(chan struct{})}
	for _, name := range slices.Sorted(maps.Keys(pids)) {
		m, err := newWatched(name, pids[name], true)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.processes = append(s.processes, m)
	}
	s.looking.Go(s.look)
	return s, nil
}

// Stop ends watching, and gives what was used in the order of names. A process
// that has ended meanwhile is named in the error, and its figures are what was
// seen last.
func (s *Sampler) Stop() ([]Usage, error) {
	close(s.stop)
	s.looking.Wait()
	var all []Usage
	var gone error
	for _, m := range s.processes {
		if err := m.look(); err != nil {
			gone = errors.Join(gone, fmt.Errorf("%s: %w", m.name, err))
		}
		all = append(all, m.usage())
	}
	return all, gone
}

func (m *watched) usage() Usage {
	return Usage{Name: m.name, At: m.at, CPUSeconds: float64(m.ticks-m.before) / ticksPerSecond, PeakRSSBytes: m.peak}
}

func (s *Sampler) look() {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			for _, m := range s.processes {
				_ = m.look() // Stop says what is gone
			}
		case <-s.stop:
			return
		}
	}
}

// look sees what has been used so far.
func (m *watched) look() error {
	now, err := readStat(m.pid)
	if err != nil {
		return err
	}
	if now.startedTicks != m.started {
		return fmt.Errorf("process %d is another one now", m.pid)
	}
	m.at = time.Now()
	if m.tree {
		ticks, resident := lookAtTree(m.pid)
		m.ticks, m.peak = max(m.ticks, ticks), max(m.peak, resident)
		return nil
	}
	m.ticks = now.cpuTicks
	resident, err := readMemory(m.pid)
	switch {
	case err != nil:
		return err
	case m.exact:
		m.peak = max(m.peak, resident.peak)
	default:
		m.peak = max(m.peak, resident.now)
	}
	return nil
}

// lookAtTree adds up a process and all below it. What those that have ended have
// used is in the times of the one that waited for them.
func lookAtTree(root int) (ticks, resident int64) {
	var shared, file int64
	for _, pid := range tree(root) {
		used, err := readStat(pid)
		if err != nil {
			continue // it has ended
		}
		ticks += used.cpuTicks + used.waitedTicks
		m, err := readMemory(pid)
		if err != nil {
			continue
		}
		resident += m.anonymous
		// Shared memory and the program's file are the same pages in all of
		// them: the one that has touched most stands for all.
		shared, file = max(shared, m.shared), max(file, m.file)
	}
	return ticks, resident + shared + file
}

// resetPeak sets VmHWM back to what is resident now, and reports whether that
// was permitted (proc(5), clear_refs).
func resetPeak(pid int) bool {
	return os.WriteFile(procFile(pid, "clear_refs"), []byte("5"), 0) == nil
}
