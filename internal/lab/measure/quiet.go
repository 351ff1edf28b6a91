package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Quietness says how much of the machine others took while nothing was
// measured.
type Quietness struct {
	Steal   float64 // share of all cores that the host gave to other machines
	Foreign float64 // share of all cores used by processes that are not ours
	Load    float64 // processes that want to run, over the last minute, for each core
}

// Below these the machine is quiet: what passes does not show in a measurement of
// some seconds. Load has no limit: a minute's average tells mostly of what we
// did ourselves before.
const (
	stealLimit   = 0.02
	foreignLimit = 0.05
)

// Quiet looks at the machine for some time, in which nothing should be done.
// Ours are the processes that are not foreign, with all below them; this one is
// among them.
func Quiet(ctx context.Context, during time.Duration, ours ...int) (Quietness, error) {
	if err := supported(); err != nil {
		return Quietness{}, err
	}
	before, err := lookAtMachine(ours)
	if err != nil {
		return Quietness{}, err
	}
	timer := time.NewTimer(during)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return Quietness{}, fmt.Errorf("looking whether the machine is quiet: %w", ctx.Err())
	}
	after, err := lookAtMachine(ours)
	if err != nil {
		return Quietness{}, err
	}
	return quietnessBetween(before, after)
}

// OK reports whether the machine is quiet enough.
func (q Quietness) OK() bool { return q.Steal <= stealLimit && q.Foreign <= foreignLimit }

// String says in words how quiet the machine is, what is too much first.
func (q Quietness) String() string {
	var much, fine []string
	say := func(share, limit float64, what string) {
		text := fmt.Sprintf("%s %.1f %% of the CPU", what, 100*share)
		if share > limit {
			much = append(much, fmt.Sprintf("%s (at most %.0f %%)", text, 100*limit))
		} else {
			fine = append(fine, text)
		}
	}
	say(q.Steal, stealLimit, "the host takes away")
	say(q.Foreign, foreignLimit, "other processes use")
	return strings.Join(append(append(much, fine...), fmt.Sprintf("the load of the last minute was %.1f for each core", q.Load)), "; ")
}

// machine is the whole of it at one moment, in ticks of all cores.
type machine struct {
	busy, steal, total int64
	ours               int64 // part of busy
	load               float64
	cores              int
}

func lookAtMachine(ours []int) (machine, error) {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, fmt.Errorf("reading the machine's times: %w", err)
	}
	m, err := parseMachine(content)
	if err != nil {
		return machine{}, err
	}
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return machine{}, fmt.Errorf("reading the load: %w", err)
	}
	first, _, _ := strings.Cut(string(average), " ")
	if m.load, err = strconv.ParseFloat(first, 64); err != nil {
		return machine{}, fmt.Errorf("reading the load: %w", err)
	}
	counted := make(map[int]bool) // a process may be below two of ours
	for _, root := range slices.Concat(ours, []int{os.Getpid()}) {
		for _, pid := range tree(root) {
			used, err := readStat(pid)
			if counted[pid] || err != nil {
				continue // one that has ended uses nothing
			}
			counted[pid] = true
			m.ours += used.cpuTicks
		}
	}
	return m, nil
}

// parseMachine reads /proc/stat (proc_stat(5)).
func parseMachine(content []byte) (machine, error) {
	var m machine
	for line := range bytes.Lines(content) {
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 0 || !strings.HasPrefix(fields[0], "cpu"):
			continue
		case fields[0] != "cpu":
			m.cores++
			continue
		case len(fields) < 9:
			return machine{}, errors.New("too few fields in the machine's stat")
		}
		// user nice system idle iowait irq softirq steal; guests are in user.
		for i, field := range fields[1:9] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return machine{}, fmt.Errorf("the machine's stat: %w", err)
			}
			m.total += n
			switch i {
			case 3, 4: // waits
			case 7:
				m.steal = n
			default:
				m.busy += n
			}
		}
	}
	if m.total == 0 || m.cores == 0 {
		return machine{}, errors.New("the machine's stat names no CPU")
	}
	return m, nil
}

func quietnessBetween(before, after machine) (Quietness, error) {
	total := float64(after.total - before.total)
	if total <= 0 {
		return Quietness{}, errors.New("looking whether the machine is quiet: too short a time")
	}
	// The machine's times and the processes' are rounded each for itself.
	foreign := max(after.busy-before.busy-(after.ours-before.ours), 0)
	return Quietness{
		Steal:   float64(after.steal-before.steal) / total,
		Foreign: float64(foreign) / total,
		Load:    after.load / float64(after.cores),
	}, nil
}
