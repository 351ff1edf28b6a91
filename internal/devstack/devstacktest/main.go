package devstacktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/anteroomhq/anteroom/internal/devstack"
)

// shared is the one thing that outlives a test: a Postgres takes a second to
// make, so the tests of a binary share one, started by the first that asks. It
// is a variable of the package because a test can hand nothing to TestMain.
var shared server

type server struct {
	mu      sync.Mutex
	managed bool // Main runs and will stop it
	running *devstack.Postgres
	failed  error // the first attempt's; there is no second one
}

// Main runs the tests of a binary, stops what they share, runs the cleanups,
// and exits. It is for TestMain.
func Main(m *testing.M, cleanups ...func() error) {
	shared.mu.Lock()
	shared.managed = true
	shared.mu.Unlock()
	code := m.Run()
	for _, clean := range append([]func() error{shared.stop}, cleanups...) {
		if err := clean(); err != nil {
			fmt.Fprintln(os.Stderr, "devstacktest:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// postgres is the address of the shared server.
func (s *server) postgres(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.managed {
		return "", errors.New("devstacktest: this package's tests need func TestMain(m *testing.M) { devstacktest.Main(m) }")
	}
	if s.running == nil && s.failed == nil {
		s.running, s.failed = devstack.StartPostgres(ctx, devstack.PostgresConfig{})
	}
	if s.failed != nil {
		return "", s.failed
	}
	return s.running.URL, nil
}

func (s *server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil
	}
	return s.running.Close()
}
