package explain

import (
	"path/filepath"
	"testing"
)

// explainFiles gives the golden logs, and those beside this package's tests.
func explainFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"../../../testdata/logs/*.jsonl", "testdata/stories/*.jsonl"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d logs, %v", pattern, len(found), err)
		}
		for _, path := range found {
			name := filepath.Base(path)
			if filepath.Ext(name[:len(name)-len(".jsonl")]) != ".decisions" {
				files[name[:len(name)-len(".jsonl")]] = path
			}
		}
	}
	return files
}
