package devstack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// command says how to run a child process.
type command struct {
	path        string
	arguments   []string
	dir         string
	environment []string            // nil: ours
	log         string              // file that output is appended to
	credential  *syscall.Credential // nil: our user
	detached    bool                // outlives this process
}

// process is a running child. It has one goroutine, which waits for its end.
type process struct {
	pid  int
	done chan struct{}
	err  error // how it ended; to be read after done
}

// startProcess starts a child and returns once it runs.
func startProcess(c command) (*process, error) {
	output, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", c.path, err)
	}
	defer output.Close()

	// The child's life is bounded by Close and Kill, not by a context.
	child := exec.Command(c.path, c.arguments...) //nolint:noctx // see above
	child.Dir = c.dir
	child.Env = c.environment
	child.Stdout = output
	child.Stderr = output
	child.SysProcAttr = attributes(c)

	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		// The signal that ends a child with its parent (Pdeathsig) is sent
		// when the thread that made the child ends, and Go ends threads as it
		// likes. So the thread is held for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := child.Start(); err != nil {
			started <- err
			return
		}
		p.pid = child.Process.Pid
		started <- nil
		p.err = child.Wait()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.path, err)
	}
	return p, nil
}

// ended says whether the child is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ending says how the child ended; to be asked after done.
func (p *process) ending() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

// signal sends a signal to the child alone. A child that is gone is no error.
func (p *process) signal(signal syscall.Signal) error {
	if p.ended() {
		return nil
	}
	return signalPID(p.pid, signal)
}

// signalTree sends a signal to the child and everything below it, the child
// first: a stopped or dead parent makes no new children.
func (p *process) signalTree(signal syscall.Signal) error {
	below := descendants(p.pid)
	err := p.signal(signal)
	// What the child forked between the two looks is found by the second.
	for _, pid := range unite(below, descendants(p.pid)) {
		err = errors.Join(err, signalPID(pid, signal))
	}
	return err
}

func signalPID(pid int, signal syscall.Signal) error {
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %v to process %d: %w", signal, pid, err)
	}
	return nil
}

func unite(first, second []int) []int {
	seen := make(map[int]bool, len(first)+len(second))
	var all []int
	for _, list := range [][]int{first, second} {
		for _, pid := range list {
			if !seen[pid] {
				seen[pid] = true
				all = append(all, pid)
			}
		}
	}
	return all
}
