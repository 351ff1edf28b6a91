package sale_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var update = flag.Bool("update", false, "write the decisions of the golden logs anew")

// goldenRecord is a line of a golden log. Note is for its reader alone.
type goldenRecord struct {
	Offset sale.Offset `json:"offset"`
	Time   sale.Time   `json:"time"`
	Key    string      `json:"key"`
	Value  string      `json:"value"`
	Note   string      `json:"note,omitempty"`
}

// goldenDecision is a line of a golden log's decisions.
type goldenDecision struct {
	Cause   sale.Offset   `json:"cause"`
	Index   int           `json:"index"`
	Time    sale.Time     `json:"time"`
	Default bool          `json:"default,omitempty"`
	Request *sale.Request `json:"request,omitempty"`
	Result  *sale.Result  `json:"result,omitempty"`
	Start   *sale.Start   `json:"start,omitempty"`
}

// TestGoldenLogs replays testdata/logs: see the README there.
func TestGoldenLogs(t *testing.T) {
	t.Parallel()
	logs, err := filepath.Glob(filepath.Join("..", "..", "testdata", "logs", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	replayed := 0
	for _, log := range logs {
		name, ok := strings.CutSuffix(log, ".decisions.jsonl")
		if ok {
			if _, err := os.Stat(name + ".jsonl"); err != nil {
				t.Errorf("decisions without a log: %v", err)
			}
			continue
		}
		replayed++
		t.Run(strings.TrimSuffix(filepath.Base(log), ".jsonl"), func(t *testing.T) {
			t.Parallel()
			got := decisionsOf(t, log)
			golden := strings.TrimSuffix(log, ".jsonl") + ".decisions.jsonl"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
				t.Errorf("decisions differ (-%s +replay):\n%s", golden, diff)
			}
		})
	}
	if replayed == 0 {
		t.Fatal("there are no golden logs")
	}
}

func decisionsOf(t *testing.T, log string) []byte {
	t.Helper()
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := sale.New()
	var changes sale.Changes
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var r goldenRecord
		line := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		line.DisallowUnknownFields()
		if err := line.Decode(&r); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		entry := event.Entry{Offset: r.Offset, Time: r.Time, Key: []byte(r.Key), Value: []byte(r.Value)}
		if err := p.Apply(entry.Record(), &changes); err != nil {
			t.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, d := range changes.Decisions {
		line := goldenDecision{Cause: d.Cause, Index: d.Index, Time: d.Time, Default: d.Default}
		switch d.Kind {
		case sale.OfRequest:
			line.Request = &d.Request
		case sale.OfCommand:
			line.Result = &d.Result
		case sale.OfStart:
			line.Start = &d.Start
		}
		encoded, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(encoded, '\n'))
	}
	return out.Bytes()
}
