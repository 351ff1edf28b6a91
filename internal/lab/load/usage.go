package load

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// cpuSeconds is what this process has used so far.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0 // it fails for no process but another's
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// peakRSS is the most memory that this process has had, or 0 where the system
// does not tell. Getrusage's figure is not it: it starts at that of the process
// that started this one.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	kilobytes, _, _ := bytes.Cut(bytes.TrimSpace(after), []byte(" "))
	n, err := strconv.ParseInt(string(kilobytes), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
