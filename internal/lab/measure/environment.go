package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Environment is the machine that was measured on. What cannot be told is "" or
// 0.
type Environment struct {
	CPU         string
	Cores       int
	MemoryBytes int64
	Kernel      string
	Go          string // version, system and architecture
	GoMaxProcs  int    // of this process
}

// Here describes this machine.
func Here() Environment {
	e := Environment{
		Cores: runtime.NumCPU(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		GoMaxProcs: runtime.GOMAXPROCS(0),
	}
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		e.CPU = parseCPU(content)
	}
	if content, err := os.ReadFile("/proc/meminfo"); err == nil {
		e.MemoryBytes = parseMemoryTotal(content)
	}
	if content, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(content))
	}
	return e
}

// parseCPU gives the model of /proc/cpuinfo's first core.
func parseCPU(content []byte) string {
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); name == "model name" || name == "Model" { // the latter on some ARM
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func parseMemoryTotal(content []byte) int64 {
	for line := range strings.Lines(string(content)) {
		if rest, found := strings.CutPrefix(line, "MemTotal:"); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kilobytes << 10
		}
	}
	return 0
}

// FsyncTime is the median of how long it takes to make a small write durable in
// a folder.
func FsyncTime(ctx context.Context, folder string) (median time.Duration, err error) {
	const tries = 200
	file, err := os.CreateTemp(folder, "anteroom-fsync-*")
	if err != nil {
		return 0, fmt.Errorf("measuring fsync: %w", err)
	}
	defer func() {
		if clean := errors.Join(file.Close(), os.Remove(file.Name())); clean != nil && err == nil {
			median, err = 0, fmt.Errorf("measuring fsync: %w", clean)
		}
	}()
	block := make([]byte, 512)
	took := make([]time.Duration, 0, tries)
	for range tries {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("measuring fsync: %w", err)
		}
		began := time.Now()
		if _, err := file.Write(block); err != nil {
			return 0, fmt.Errorf("measuring fsync: %w", err)
		}
		if err := file.Sync(); err != nil {
			return 0, fmt.Errorf("measuring fsync: %w", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[tries/2], nil
}
