package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// TestUpStatusDown starts all servers of a checkout of its own, with the jars
// that are here already.
func TestUpStatusDown(t *testing.T) {
	t.Parallel()
	libs := devstacktest.KafkaLibs(t)
	if _, err := devstack.LookRedis(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	module := t.TempDir()
	s := services{module: module, folder: filepath.Join(module, ".services")}
	for _, path := range []string{s.pom(), s.fetchedPom()} {
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte("the same"), 0o644))
	}
	check(t, os.Symlink(libs, s.libs()))

	if err := s.status(); !errors.Is(err, errNotRunning) {
		t.Errorf("status before up: %v", err)
	}
	check(t, s.up(t.Context()))
	check(t, s.status())
	first, err := s.load()
	check(t, err)
	if len(first.Processes) != 3 {
		t.Fatalf("%d processes run: %+v", len(first.Processes), first.Processes)
	}
	check(t, s.up(t.Context()))
	second, err := s.load()
	check(t, err)
	for i, p := range second.Processes {
		if p != first.Processes[i] {
			t.Errorf("a second up replaced %s", p.Name)
		}
	}
	environment, err := os.ReadFile(s.environment())
	check(t, err)
	if len(environment) == 0 {
		t.Error("there are no addresses")
	}

	check(t, s.down(t.Context()))
	check(t, s.down(t.Context()))
	if err := s.status(); !errors.Is(err, errNotRunning) {
		t.Errorf("status after down: %v", err)
	}
	for _, p := range first.Processes {
		if p.alive() {
			t.Errorf("%s outlived down", p.Name)
		}
	}
	for _, path := range []string{s.data(), s.environment(), first.PostgresDir} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
}

// TestDownSparesOthers: a process that has the id of one of ours, but is another
// one, is left alone.
func TestDownSparesOthers(t *testing.T) {
	t.Parallel()
	other := exec.CommandContext(t.Context(), "cat")
	input, err := other.StdinPipe()
	check(t, err)
	check(t, other.Start())

	module := t.TempDir()
	s := services{module: module, folder: filepath.Join(module, ".services")}
	check(t, s.end(t.Context(), running{Processes: []process{
		{Name: "reused", PID: other.Process.Pid, Identity: "start:1", Signal: syscall.SIGKILL},
		{Name: "unknown", PID: other.Process.Pid, Identity: "", Signal: syscall.SIGKILL},
	}}))
	check(t, input.Close())
	if err := other.Wait(); err != nil {
		t.Errorf("down hit another process: %v", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
