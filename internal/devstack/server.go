package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrNotRunning is returned by Pause and Continue when the process has
	// ended.
	ErrNotRunning = errors.New("the backend is not running")

	// errEndedAtOnce: the process ended before it was ready.
	errEndedAtOnce = errors.New("ended before it was ready")
)

// settleInterval is how often a wait looks again; nothing in it is busy.
const settleInterval = 20 * time.Millisecond

// server is a backend that runs as a child process. Its exported methods are
// those of Kafka, Redis and Postgres.
type server struct {
	name       string
	command    command
	stopSignal syscall.Signal              // asks for an orderly end
	ready      func(context.Context) error // one attempt to use it
	patience   time.Duration               // for becoming ready, and for an orderly end
	temporary  string                      // folder that Close removes; may be empty

	mu      sync.Mutex // held while the process is started or ended
	process *process
}

// PID is the id of the server's process; 0 when it does not run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.ended() {
		return 0
	}
	return s.process.pid
}

// LogFile is where the server writes what it has to say.
func (s *server) LogFile() string { return s.command.log }

// Pause freezes the server and all its processes (SIGSTOP). Connections stay
// open and nobody answers.
func (s *server) Pause() error { return s.signalTree(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *server) Continue() error { return s.signalTree(syscall.SIGCONT) }

// Kill ends the server and all its processes at once (SIGKILL), as a crash or
// a lost machine would, and returns when they are gone. Port and data are kept
// for Restart.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kill()
}

// Stop ends the server in order. Port and data are kept for Restart.
func (s *server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop()
}

// Restart starts the server again on the same port with the same data, after a
// Stop or Kill, or of its own after stopping it. It returns when the server
// answers.
func (s *server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stop(); err != nil {
		return err
	}
	return s.start(ctx)
}

// Close ends the server for good and removes the folder that was made for it.
func (s *server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.stop()
	if s.temporary != "" {
		if removing := os.RemoveAll(s.temporary); removing != nil {
			err = errors.Join(err, fmt.Errorf("removing %s's folder: %w", s.name, removing))
		}
	}
	return err
}

func (s *server) signalTree(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.ended() {
		return fmt.Errorf("%s: %w", s.name, ErrNotRunning)
	}
	return s.process.signalTree(signal)
}

func (s *server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	process, err := startProcess(s.command)
	if err != nil {
		return err
	}
	s.process = process
	if err := s.awaitReady(ctx); err != nil {
		err = fmt.Errorf("waiting for %s: %w%s", s.name, err, s.logTail())
		return errors.Join(err, s.kill())
	}
	return nil
}

func (s *server) awaitReady(ctx context.Context) error {
	again := time.NewTicker(settleInterval)
	defer again.Stop()
	for {
		err := s.ready(ctx)
		if err == nil && !s.process.ended() {
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("%w (%s)", errEndedAtOnce, s.process.ending())
		case <-ctx.Done():
			return fmt.Errorf("%w; last attempt: %w", ctx.Err(), err)
		case <-again.C:
		}
	}
}

// stop asks the process to end and kills it when it takes longer than the
// server's patience.
func (s *server) stop() error {
	if s.process == nil || s.process.ended() {
		return nil
	}
	if err := s.process.signal(s.stopSignal); err != nil {
		return err
	}
	// A paused server acts on the request only when it runs again.
	if err := s.process.signalTree(syscall.SIGCONT); err != nil {
		return err
	}
	late := time.NewTimer(s.patience)
	defer late.Stop()
	select {
	case <-s.process.done:
		return nil
	case <-late.C:
		return errors.Join(fmt.Errorf("%s did not end within %v and was killed", s.name, s.patience), s.kill())
	}
}

func (s *server) kill() error {
	if s.process == nil || s.process.ended() {
		return nil
	}
	identities := make(map[int]string)
	for _, pid := range descendants(s.process.pid) {
		identities[pid] = ProcessIdentity(pid)
	}
	if err := s.process.signalTree(syscall.SIGKILL); err != nil {
		return err
	}
	<-s.process.done
	// A server is not gone while one of its processes can still write: Postgres
	// refuses to start again beside a backend of its predecessor.
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	for pid, identity := range identities {
		if err := AwaitEnd(ctx, pid, identity); err != nil {
			return fmt.Errorf("killing %s: %w", s.name, err)
		}
	}
	return nil
}

// AwaitEnd waits until the process with this id and identity is gone. It needs
// not be our child.
func AwaitEnd(ctx context.Context, pid int, identity string) error {
	again := time.NewTicker(settleInterval)
	defer again.Stop()
	for identity != "" && ProcessIdentity(pid) == identity {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for process %d to end: %w", pid, ctx.Err())
		case <-again.C:
		}
	}
	return nil
}

// logTail is the end of the server's log, to be put behind an error.
func (s *server) logTail() string {
	const limit = 2000
	content, err := os.ReadFile(s.command.log)
	if err != nil || len(content) == 0 {
		return ""
	}
	if len(content) > limit {
		content = content[len(content)-limit:]
	}
	return "\nthe end of its log:\n" + strings.TrimSpace(string(content))
}

// folder makes the folder of a backend: the one that the caller names, which is
// kept, or a temporary one, which is returned twice, to be removed by Close.
func folder(named, name string) (dir, temporary string, err error) {
	if named == "" {
		dir, err = os.MkdirTemp("", "anteroom-"+name+"-")
		if err != nil {
			return "", "", fmt.Errorf("making a folder for %s: %w", name, err)
		}
		return dir, dir, nil
	}
	// Absolute, because the server runs in a folder of its own.
	dir, err = filepath.Abs(named)
	if err != nil {
		return "", "", fmt.Errorf("finding the folder of %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", fmt.Errorf("making a folder for %s: %w", name, err)
	}
	return dir, "", nil
}
