package measure

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a process of a test does instead of testing.
const roleVariable = "ANTEROOM_MEASURE_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "worker": // works, and has memory, each time it is told to
		held := make([]byte, 32<<20)
		for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
			for began := time.Now(); time.Since(began) < 60*time.Millisecond; {
				for i := 0; i < len(held); i += os.Getpagesize() {
					held[i]++
				}
			}
			_, _ = os.Stdout.WriteString("done\n")
		}
		runtime.KeepAlive(held)
	case "parent": // has a worker below it
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), roleVariable+"=worker")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		if child.Run() != nil {
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// worker is another process.
type worker struct {
	command *exec.Cmd
	tell    *os.File
	told    *bufio.Scanner
}

func start(t *testing.T, role string) *worker {
	t.Helper()
	if err := supported(); err != nil {
		t.Skip(err)
	}
	in, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	told, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	// With the race detector a process would pause for a second at its end.
	command.Env = append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	command.Stdin, command.Stdout = in, out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = in.Close(), out.Close()
	w := &worker{command, tell, bufio.NewScanner(told)}
	t.Cleanup(func() { w.end(); _ = told.Close() })
	w.work(t) // it runs, and has the process below it
	return w
}

func (w *worker) work(t *testing.T) {
	t.Helper()
	if _, err := w.tell.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if !w.told.Scan() {
		t.Fatal("the process has ended")
	}
}

func (w *worker) end() {
	_ = w.tell.Close()
	_ = w.command.Wait()
}

func TestWatch(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"worker", "parent"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			busy, idle := start(t, role), start(t, role)
			before, err := Used(busy.command.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			sampler, err := Watch(map[string]int{"busy": busy.command.Process.Pid, "alone": idle.command.Process.Pid})
			if err != nil {
				t.Fatal(err)
			}
			busy.work(t)
			used, err := sampler.Stop()
			if err != nil {
				t.Fatal(err)
			}
			if len(used) != 2 || used[0].Name != "alone" || used[1].Name != "busy" {
				t.Fatalf("used: %+v, want alone and busy", used)
			}
			if used[1].CPUSeconds <= used[0].CPUSeconds || used[1].PeakRSSBytes < 32<<20 {
				t.Errorf("the one that works used %+v, the other %+v", used[1], used[0])
			}
			after, err := Used(busy.command.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			if after.CPUSeconds < before.CPUSeconds+used[1].CPUSeconds-1e-9 || !after.At.After(before.At) {
				t.Errorf("from %+v to %+v, and %+v in between", before, after, used[1])
			}
			if resident, err := Resident(busy.command.Process.Pid); err != nil || resident < 32<<20 {
				t.Errorf("resident: %d, %v; want 32 MiB at least", resident, err)
			}
		})
	}
}

func TestWatchPeakIsOfItsTime(t *testing.T) {
	t.Parallel()
	w := start(t, "worker") // has had its peak
	pid := w.command.Process.Pid
	if !resetPeak(pid) {
		t.Skip("the peak cannot be set back here")
	}
	m, err := readMemory(pid)
	if err != nil {
		t.Fatal(err)
	}
	if m.peak > m.now+1<<20 {
		t.Errorf("the peak is %d after it was set back, want the %d that are resident", m.peak, m.now)
	}
}

func TestWatchNobody(t *testing.T) {
	t.Parallel()
	w := start(t, "worker")
	pid := w.command.Process.Pid
	sampler, err := Watch(map[string]int{"gone": pid})
	if err != nil {
		t.Fatal(err)
	}
	w.end()
	used, err := sampler.Stop()
	if err == nil || !strings.Contains(err.Error(), "gone") || len(used) != 1 || used[0].PeakRSSBytes == 0 {
		t.Errorf("a process that has ended gives %+v, %v; want what was seen, and an error that names it", used, err)
	}
	if _, err := Watch(map[string]int{"gone": pid}); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("watching a process that has ended: %v, want an error that names it", err)
	}
	if _, err := Resident(pid); err == nil {
		t.Error("a process that has ended has resident memory")
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content string
		want    stat
		err     bool
	}{
		"usual": {
			content: "42 (postgres) S 7 42 42 0 -1 4194560 100 200 0 0 31 11 5 6 20 0 1 0 987654 1000 20 18446744073709551615 1 1 0",
			want:    stat{parent: 7, cpuTicks: 42, waitedTicks: 11, startedTicks: 987654},
		},
		"a name with parentheses and blanks": {
			content: "42 (a) b) (c) R 1 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 5 0 0",
			want:    stat{parent: 1, cpuTicks: 3, waitedTicks: 7, startedTicks: 5},
		},
		"cut off":     {content: "42 (postgres) S 7 42", err: true},
		"nothing":     {content: "", err: true},
		"not numbers": {content: "42 (p) S 7 1 1 0 -1 0 0 0 0 0 x 2 3 4 20 0 1 0 5 0 0", err: true},
	} {
		got, err := parseStat([]byte(c.content))
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(stat{})); diff != "" || (err != nil) != c.err {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	got, err := parseMemory([]byte("Name:\tx\nVmHWM:\t   20 kB\nVmRSS:\t  12 kB\nRssAnon:\t  4 kB\nRssFile:\t  5 kB\nRssShmem:\t  3 kB\nThreads:\t7\n"))
	want := memory{now: 12 << 10, peak: 20 << 10, anonymous: 4 << 10, file: 5 << 10, shared: 3 << 10}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(memory{})); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if _, err := parseMemory([]byte("VmRSS:\tmuch\n")); err == nil {
		t.Error("a figure that is none is taken")
	}
}

func TestTreeHasChildren(t *testing.T) {
	t.Parallel()
	w := start(t, "parent")
	pids := tree(w.command.Process.Pid)
	if len(pids) != 2 || pids[0] != w.command.Process.Pid {
		t.Fatalf("the tree of process %d is %v, want it and its child", w.command.Process.Pid, pids)
	}
	child, err := readStat(pids[1])
	if err != nil || child.parent != pids[0] {
		t.Errorf("the parent of %s is %d (%v), want %d", strconv.Itoa(pids[1]), child.parent, err, pids[0])
	}
}
