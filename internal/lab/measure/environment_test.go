package measure

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestHere(t *testing.T) {
	t.Parallel()
	if err := supported(); err != nil {
		t.Skip(err)
	}
	e := Here()
	if e.Cores < 1 || e.GoMaxProcs < 1 || !strings.HasPrefix(e.Go, "go") || e.Kernel == "" || e.MemoryBytes < 1<<20 {
		t.Errorf("%+v", e)
	}
}

func TestParseEnvironment(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"processor\t: 0\nmodel name\t: Intel(R) Xeon(R) @ 2.60GHz\n\nprocessor\t: 1\nmodel name\t: other\n": "Intel(R) Xeon(R) @ 2.60GHz",
		"processor\t: 0\nBogoMIPS\t: 50\n": "",
		"":                                 "",
	} {
		if got := parseCPU([]byte(content)); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
	for content, want := range map[string]int64{
		"MemTotal:       16384 kB\nMemFree:  1 kB\n": 16 << 20,
		"MemTotal: much\n":                           0,
		"":                                           0,
	} {
		if got := parseMemoryTotal([]byte(content)); got != want {
			t.Errorf("%q: %d, want %d", content, got, want)
		}
	}
}

func TestFsyncTime(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if took, err := FsyncTime(t.Context(), folder); err != nil || took <= 0 {
		t.Errorf("%v, %v", took, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := FsyncTime(ended, folder); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := FsyncTime(t.Context(), folder+"/nowhere"); err == nil {
		t.Error("a folder that is not there has a time")
	}
}
