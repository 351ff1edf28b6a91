package devstack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// orphanage is set for the copy of this test binary that plays the parent.
const orphanage = "ANTEROOM_TEST_ORPHANAGE"

// TestChildrenDieWithTheirParent kills a process that started servers and looks
// what is left of them.
func TestChildrenDieWithTheirParent(t *testing.T) {
	if dir := os.Getenv(orphanage); dir != "" {
		beKilled(t, dir)
		return
	}
	t.Parallel()
	dir, _, err := folder("", "test")
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })

	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildrenDieWithTheirParent$")
	parent.Env = append(os.Environ(), orphanage+"="+dir)
	parent.Stderr = os.Stderr
	output, err := parent.StdoutPipe()
	check(t, err)
	check(t, parent.Start())
	line, err := bufio.NewReader(output).ReadBytes('\n')
	check(t, err)
	var pids, below []int
	check(t, json.Unmarshal(line, &pids))
	for _, pid := range pids {
		if ProcessIdentity(pid) == "" {
			t.Fatalf("process %d does not run", pid)
		}
		group, err := syscall.Getpgid(pid)
		check(t, err)
		if group == parent.Process.Pid {
			t.Errorf("process %d is in its parent's group, so ^C would reach it", pid)
		}
		below = append(below, descendants(pid)...)
	}
	check(t, parent.Process.Kill())
	_ = parent.Wait() // says that it was killed
	for _, pid := range append(pids, below...) {
		eventually(t, fmt.Sprintf("process %d died with its parent", pid), func() bool { return ProcessIdentity(pid) == "" })
	}
	// What Postgres left can be used again, and is cleaned up by that.
	again, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})
	check(t, err)
	check(t, again.Close())
}

// beKilled starts servers, prints their processes and waits for the end.
func beKilled(t *testing.T, dir string) {
	postgres, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})
	check(t, err)
	pids := []int{postgres.PID()}
	if _, err := LookRedis(); err == nil {
		redis, err := StartRedis(t.Context(), RedisConfig{Dir: dir})
		check(t, err)
		pids = append(pids, redis.PID())
	}
	line, err := json.Marshal(pids)
	check(t, err)
	fmt.Println(string(line))
	select {} // until killed
}
