package measure

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of times in /proc, the same on every Linux that Go
// runs on.
const ticksPerSecond = 100

// supported says why nothing can be read here.
func supported() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("measuring processes on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	return nil
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// stat is what /proc/PID/stat says, as far as it is of use here.
type stat struct {
	parent       int
	cpuTicks     int64 // of all of its threads
	waitedTicks  int64 // of children that have ended and were waited for
	startedTicks int64 // since the system's start; tells a process from another with the same id
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)).
func parseStat(content []byte) (stat, error) {
	// The second field is the program's name in parentheses and may hold
	// anything, parentheses and blanks among it.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	const parent, utime, stime, cutime, cstime, started = 1, 11, 12, 13, 14, 19 // counted from the third
	if len(fields) <= started {
		return stat{}, errors.New("too few fields in a process's stat")
	}
	var numbers [started + 1]int64
	for _, i := range []int{parent, utime, stime, cutime, cstime, started} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("field %d of a process's stat: %w", i+3, err)
		}
		numbers[i] = n
	}
	return stat{
		parent: int(numbers[parent]), cpuTicks: numbers[utime] + numbers[stime],
		waitedTicks: numbers[cutime] + numbers[cstime], startedTicks: numbers[started],
	}, nil
}

func readStat(pid int) (stat, error) {
	content, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return stat{}, fmt.Errorf("reading the times of process %d: %w", pid, err)
	}
	return parseStat(content)
}

// memory is what /proc/PID/status says of resident memory, in bytes.
type memory struct{ now, peak, anonymous, file, shared int64 }

func parseMemory(content []byte) (memory, error) {
	var m memory
	of := map[string]*int64{
		"VmRSS": &m.now, "VmHWM": &m.peak, "RssAnon": &m.anonymous, "RssFile": &m.file, "RssShmem": &m.shared,
	}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		to := of[name]
		if to == nil {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("a process's %s: %w", name, err)
		}
		*to = kilobytes << 10
	}
	return m, nil
}

func readMemory(pid int) (memory, error) {
	content, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return memory{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return parseMemory(content)
}

// tree is a process and all below it. Those that end meanwhile are left out.
func tree(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		lists, _ := filepath.Glob(procFile(all[i], "task/*/children")) // the pattern is well formed
		for _, list := range lists {
			content, err := os.ReadFile(list)
			if err != nil {
				continue // the thread is gone
			}
			for _, field := range strings.Fields(string(content)) {
				if child, err := strconv.Atoi(field); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	return all
}
