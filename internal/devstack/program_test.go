package devstack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shell is a program whose script says that it is ready by making a file.
func shell(t *testing.T, script string) (config ProgramConfig, ready string) {
	t.Helper()
	ready = filepath.Join(t.TempDir(), "ready")
	return ProgramConfig{
		Name: "shell", Path: "/bin/sh", Arguments: []string{"-c", script}, Environment: []string{"READY=" + ready, "PATH=" + os.Getenv("PATH")},
		Ready: func(context.Context) error {
			_, err := os.Stat(ready)
			return err
		},
	}, ready
}

// TestProgram: it is there once it is ready, and Close ends it in order and
// removes its folder.
func TestProgram(t *testing.T) {
	t.Parallel()
	config, ready := shell(t, `trap 'echo goodbye >"$READY"; exit 0' TERM; echo hello; echo >"$READY"; while :; do sleep 0.01; done`)
	p, err := StartProgram(t.Context(), config)
	check(t, err)
	pid := p.PID()
	if ProcessIdentity(pid) == "" {
		t.Error("it is said to be ready and does not run")
	}
	said, err := os.ReadFile(p.LogFile())
	check(t, err)
	if string(said) != "hello\n" {
		t.Errorf("its log is %q", said)
	}
	check(t, p.Close())
	check(t, p.Close())
	if ProcessIdentity(pid) != "" || p.PID() != 0 {
		t.Errorf("process %d outlived Close", pid)
	}
	last, err := os.ReadFile(ready)
	check(t, err)
	if string(last) != "goodbye\n" {
		t.Error("it was not asked to end")
	}
	wantGone(t, filepath.Dir(p.LogFile()))
}

// TestProgramKeepsANamedFolder: what it said is there after Close.
func TestProgramKeepsANamedFolder(t *testing.T) {
	t.Parallel()
	config, _ := shell(t, `echo hello; echo >"$READY"; while :; do sleep 0.01; done`)
	config.Dir = filepath.Join(t.TempDir(), "of", "its", "own")
	p, err := StartProgram(t.Context(), config)
	check(t, err)
	check(t, p.Close())
	said, err := os.ReadFile(filepath.Join(config.Dir, "shell.log"))
	check(t, err)
	if string(said) != "hello\n" {
		t.Errorf("its log is %q", said)
	}
}

// TestProgramThatEndsAtOnce is not waited for, and its last words are told.
func TestProgramThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	config, _ := shell(t, `echo cannot >&2; exit 7`)
	config.Patience = time.Hour
	_, err := StartProgram(t.Context(), config)
	if !errors.Is(err, errEndedAtOnce) || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "cannot") {
		t.Errorf("the error is %v", err)
	}
}

// TestProgramThatIsNeverReady is ended, and the last attempt told.
func TestProgramThatIsNeverReady(t *testing.T) {
	t.Parallel()
	unready := errors.New("not yet")
	var pid int
	config, ready := shell(t, `echo $$ >"$READY.pid"; mv "$READY.pid" "$READY"; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config.Ready = func(context.Context) error {
		if text, err := os.ReadFile(ready); err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
			check(t, err)
			cancel() // the caller gives up once it runs
		}
		return unready
	}
	if _, err := StartProgram(ctx, config); !errors.Is(err, context.Canceled) || !errors.Is(err, unready) {
		t.Errorf("the error is %v", err)
	}
	if pid == 0 || ProcessIdentity(pid) != "" {
		t.Errorf("process %d was left", pid)
	}
}

func TestProgramNeedsToBeNamed(t *testing.T) {
	t.Parallel()
	good, _ := shell(t, "exit")
	for name, spoil := range map[string]func(*ProgramConfig){
		"name":  func(c *ProgramConfig) { c.Name = "" },
		"path":  func(c *ProgramConfig) { c.Path = "" },
		"ready": func(c *ProgramConfig) { c.Ready = nil },
		"there": func(c *ProgramConfig) { c.Path = "/nowhere/program" },
	} {
		bad := good
		spoil(&bad)
		if p, err := StartProgram(t.Context(), bad); err == nil {
			t.Errorf("without %s a program was started", name)
			check(t, p.Close())
		}
	}
}

// TestSetForDatabase: later sessions of that database have the setting, whatever
// characters are in it, and those of others do not.
func TestSetForDatabase(t *testing.T) {
	t.Parallel()
	server, err := StartPostgres(t.Context(), PostgresConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	database, err := CreateDatabase(t.Context(), server.URL, `odd "name`)
	check(t, err)
	for setting, value := range map[string]string{"commit_delay": "2000", "bench.odd": `it's "so" \`} {
		check(t, SetForDatabase(t.Context(), server.URL, `odd "name`, setting, value))
		show := "SELECT coalesce(current_setting('" + setting + "', true), '')"
		if got := queryText(t, database, show); got != value {
			t.Errorf("%s is %q, want %q", setting, got, value)
		}
		if got := queryText(t, server.URL, show); got == value {
			t.Errorf("%s is %q for others, too", setting, got)
		}
	}
	if err := SetForDatabase(t.Context(), server.URL, `odd "name`, "nonsense", "1"); err == nil {
		t.Error("a setting that is not there was set")
	}
}
