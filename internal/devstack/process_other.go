//go:build unix && !linux

package devstack

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// attributes: these systems have no signal at the parent's death, so a child
// ends with us only when we end in order.
func attributes(c command) *syscall.SysProcAttr {
	if c.detached {
		return &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	}
	return &syscall.SysProcAttr{Setpgid: true, Credential: c.credential}
}

// descendants are the children of pid; deeper ones do not occur in the servers
// that this package starts.
func descendants(pid int) []int {
	var below []int
	for _, field := range strings.Fields(output("pgrep", "-P", strconv.Itoa(pid))) {
		if child, err := strconv.Atoi(field); err == nil {
			below = append(below, child)
		}
	}
	return below
}

// ProcessIdentity names a running process in a way that no other process, also
// a later one with the same id, shares: by the time of its start. It is empty
// when there is no such process.
func ProcessIdentity(pid int) string {
	return strings.TrimSpace(output("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)))
}

// output is what a program prints, or nothing when it fails.
func output(program string, arguments ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	printed, err := exec.CommandContext(ctx, program, arguments...).Output()
	if err != nil {
		return ""
	}
	return string(printed)
}
