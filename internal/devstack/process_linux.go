//go:build linux

package devstack

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func attributes(c command) *syscall.SysProcAttr {
	if c.detached {
		return &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	}
	return &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
		Credential: c.credential,
	}
}

// descendants are the processes below pid, parents before their children.
func descendants(pid int) []int {
	var below []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		lists, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(queue[0]), "task", "*", "children"))
		for _, list := range lists {
			content, err := os.ReadFile(list)
			if err != nil {
				continue // the thread is gone
			}
			for _, field := range strings.Fields(string(content)) {
				if child, err := strconv.Atoi(field); err == nil {
					below = append(below, child)
					queue = append(queue, child)
				}
			}
		}
	}
	return below
}

// ProcessIdentity names a running process in a way that no other process, also
// a later one with the same id, shares: by the time of its start. It is empty
// when there is no such process, or only what is left of one that nobody has
// waited for.
func ProcessIdentity(pid int) string {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses and may hold
	// anything. Behind the last parenthesis come the third, the state, and,
	// as the 22nd, the time of the start (proc_pid_stat(5)).
	after := content[bytes.LastIndexByte(content, ')')+1:]
	fields := strings.Fields(string(after))
	const state, startTime = 0, 19
	if len(fields) <= startTime || fields[state] == "Z" || fields[state] == "X" {
		return ""
	}
	return "start:" + fields[startTime]
}
