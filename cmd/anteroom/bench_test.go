package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/lab/report"
)

// TestBench measures a little, as a person does, and reads the report in all of
// its forms. It looks at what was counted, never at how fast it was.
func TestBench(t *testing.T) {
	t.Parallel()
	profiles, pages := t.TempDir(), t.TempDir()
	markdown, html := filepath.Join(pages, "first.md"), filepath.Join(pages, "first.html")
	b := startBench(t, "--rounds", "1", "--only", "reject", "--only", "burst/redis_then_db", "--only", "drain/losers",
		"--profile", profiles, "--markdown", markdown, "--html", html)
	b.awaitEnd()
	if code := b.command.ProcessState.ExitCode(); code != exitDone {
		t.Fatalf("bench exits %d: %s", code, b.progress.tail(4000))
	}
	b.leftNothing()

	found, err := report.Read(bytes.NewReader(b.out.Bytes()))
	if err != nil {
		t.Fatalf("%v: %s", err, b.out.String())
	}
	if r, ok := found.Ratios["reject_vs_bare_echo"]; !ok || r.Low <= 0 || r.Low > r.Median || r.Median > r.High {
		t.Errorf("reject_vs_bare_echo is %+v (found: %v)", r, ok)
	}
	if !found.Quick || found.Rounds != 1 || len(found.Warnings) == 0 {
		t.Errorf("the report does not say how it was made: quick %v, %d rounds, warnings %q", found.Quick, found.Rounds, found.Warnings)
	}
	var arms []string
	for _, s := range found.Scenarios {
		for _, a := range s.Arms {
			name := s.Name + "/" + a.Name
			arms = append(arms, name)
			if len(a.Rounds) != 1 {
				t.Errorf("%s has %d rounds", name, len(a.Rounds))
				continue
			}
			if broken := a.Rounds[0].Broken; len(broken) > 0 {
				t.Errorf("%s broke: %q", name, broken)
			}
			if sold := a.Rounds[0].Figures["sold"]; name == "burst/redis_then_db" && sold != 1 {
				t.Errorf("%s sold %v of 1 unit", name, sold)
			}
		}
	}
	if want := []string{"burst/redis_then_db", "reject/anteroom", "reject/bare_echo", "drain/losers"}; !slices.Equal(arms, want) {
		t.Errorf("measured %q, want %q", arms, want)
	}
	fourProfilesEach(t, profiles, "ingress", "allocator", "generator", "rival-redis_then_db", "rival-bare_echo")

	// Made again from its JSON, each page is the same.
	from := filepath.Join(pages, "report.json")
	if err := os.WriteFile(from, b.out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	again := map[string]string{markdown: filepath.Join(pages, "again.md"), html: filepath.Join(pages, "again.html")}
	code, out, complaints := try(t, "bench", "--from", from, "--markdown", again[markdown], "--html", again[html])
	if code != exitDone || complaints != "" {
		t.Fatalf("--from exits %d: %s", code, complaints)
	}
	if !strings.Contains(out, "reject_vs_bare_echo") {
		t.Errorf("the report in words does not have the ratio: %s", out)
	}
	for first, second := range again {
		want, err := os.ReadFile(first)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(second)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, other than the %d of %s", second, len(got), len(want), first)
		}
	}
}

// fourProfilesEach checks that each process has left its profiles.
func fourProfilesEach(t *testing.T, folder string, processes ...string) {
	t.Helper()
	for _, process := range processes {
		for _, kind := range []string{"cpu", "heap", "mutex", "block"} {
			file, err := os.Stat(filepath.Join(folder, process+"."+kind+".pprof"))
			if err != nil || file.Size() == 0 {
				t.Errorf("the %s profile of %s is missing or empty: %v", kind, process, err)
			}
		}
	}
}

// TestBenchInterrupted: it ends soon, gives what it has measured, and leaves as
// little as one that was not interrupted. It is not parallel: runs that begin at
// the same time would take each other's topics for their own.
func TestBenchInterrupted(t *testing.T) {
	b := startBench(t, "--rounds", "2", "--only", "reject")
	b.await("the first arm's end", "reject, round 1 of 2")
	if n := len(b.processes()); n == 0 && runtime.GOOS == "linux" {
		t.Error("its processes are not found, so nothing can be said about what is left of them")
	}
	if err := b.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	b.awaitEnd()
	if code := b.command.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("interrupted, bench exits %d, want %d: %s", code, exitFailed, b.progress.tail(4000))
	}
	b.leftNothing()
	found, err := report.Read(bytes.NewReader(b.out.Bytes()))
	if err != nil {
		t.Fatalf("%v: %s", err, b.out.String())
	}
	if len(found.Scenarios) != 1 || len(found.Scenarios[0].Arms[0].Rounds) == 0 {
		t.Errorf("what was measured is not in the report: %s", b.out.String())
	}
	if !slices.ContainsFunc(found.Warnings, func(w string) bool { return strings.Contains(w, "did not come to its end") }) {
		t.Errorf("the report does not warn: %q", found.Warnings)
	}
}

// benching is a running anteroom bench.
type benching struct {
	t         *testing.T
	backends  devstacktest.Backends
	command   *exec.Cmd
	out       bytes.Buffer // to be read after ended
	progress  lockedBuffer
	ended     chan struct{}
	mark      string // is in the environment of its processes
	temporary string // where it has its temporary files

	began, warming time.Time // its run was named between the two
}

// startBench runs bench --quick on the real backends that tests run on, and
// waits until it has begun.
func startBench(t *testing.T, arguments ...string) *benching {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	b := &benching{t: t, backends: devstacktest.Real(t), ended: make(chan struct{}), temporary: t.TempDir(), began: time.Now()}
	b.mark = "ANTEROOM_TEST_BENCH=" + b.backends.Topic
	b.command = exec.Command(path, slices.Concat([]string{
		"bench", "--quick", "--any-noise", "--json",
		"--kafka", strings.Join(b.backends.KafkaBrokers, ","), "--redis", b.backends.RedisURL, "--postgres", b.backends.PostgresURL,
	}, arguments)...)
	b.command.Env = append(os.Environ(), b.mark, "TMPDIR="+b.temporary)
	b.command.Stdout, b.command.Stderr = &b.out, &b.progress
	if err := b.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.ended)
		_ = b.command.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		_ = b.command.Process.Signal(syscall.SIGINT) // it has ended, unless the test failed
		<-b.ended
	})
	b.await("its beginning", "warming up")
	b.warming = time.Now()
	return b
}

// await waits until progress has a text.
func (b *benching) await(what, text string) {
	b.t.Helper()
	await(b.t, what, func() bool {
		said := b.progress.tail(1 << 20)
		select {
		case <-b.ended:
			b.t.Fatalf("bench ended before %s: %s", what, said)
		default:
		}
		return strings.Contains(said, text)
	})
}

// awaitEnd waits for as long as something is measured.
func (b *benching) awaitEnd() {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(5 * time.Minute):
		b.t.Fatalf("bench did not end: %s", b.progress.tail(4000))
	}
}

// leftNothing checks that databases, topics, processes and files are gone.
func (b *benching) leftNothing() {
	b.t.Helper()
	for _, name := range b.backends.Databases(b.t) {
		if b.ours(name, "anteroom_bench_", "_") {
			b.t.Errorf("the database %s is left", name)
		}
	}
	for _, name := range b.backends.Topics(b.t) {
		if b.ours(name, "anteroom.bench.", ".") {
			b.t.Errorf("the topic %s is left", name)
		}
	}
	if left := b.processes(); len(left) > 0 {
		b.t.Errorf("processes are left: %q", left)
	}
	files, err := os.ReadDir(b.temporary)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(files) > 0 {
		b.t.Errorf("files are left: %v", files)
	}
}

// ours tells what this run has made from what others make on the same servers:
// the name has the time at which the run began, in milliseconds.
func (b *benching) ours(name, prefix, separator string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return false
	}
	run, _, _ := strings.Cut(rest, separator)
	milliseconds, err := strconv.ParseInt(run, 36, 64)
	return err == nil && milliseconds >= b.began.UnixMilli() && milliseconds <= b.warming.UnixMilli()
}

// processes are those of the run, found by their environment; none where the
// system has no /proc.
func (b *benching) processes() (left []string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environments {
		environment, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended, or is somebody else's
		}
		if slices.Contains(strings.Split(string(environment), "\x00"), b.mark) {
			arguments, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			left = append(left, fmt.Sprintf("%s: %s", path, bytes.ReplaceAll(arguments, []byte{0}, []byte{' '})))
		}
	}
	return left
}
