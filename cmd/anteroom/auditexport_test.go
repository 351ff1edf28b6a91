package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit/export"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// TestAuditExport exports what a sale has left in the log, beside the service
// that goes on.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devstacktest.Embedded(t), 2)
	address := w.serveHere(t).public.Addr().String()
	w.openSale(t, address, client.NewSale{Product: "console", Quantity: 1})
	w.openSale(t, address, client.NewSale{Product: "lamp", Quantity: 1})
	first, second := buy(t, address, "console", "ada"), buy(t, address, "console", "bob")
	await(t, "ada's hold", func() bool { return state(t, address, first) == "held" })
	await(t, "bob's place", func() bool { return state(t, address, second) == "waitlisted" })
	merchant := w.client(t, address)
	if _, err := merchant.Confirm(t.Context(), first, "paid-1"); err != nil {
		t.Fatal(err)
	}
	if code, _, said := try(t, "sale", "pause", "console", "--url", "http://"+address, "--operator-token", w.secrets.OperatorToken, "--actor", "olga", "--reason", "a \"break\", now"); code != exitDone {
		t.Fatal(said)
	}
	partition := w.parse(t, first).Partition

	ask := func(t *testing.T, arguments ...string) (int, string, string) {
		t.Helper()
		return try(t, append([]string{"audit", "export", "--kafka-brokers", w.kafka, "--topic", w.topic}, arguments...)...)
	}
	check := func(t *testing.T, text string) *export.Report {
		t.Helper()
		report, err := export.Check(t.Context(), strings.NewReader(text), nil)
		if err != nil || !report.Equal {
			t.Fatalf("%v, %+v", err, report)
		}
		return report
	}

	t.Run("all", func(t *testing.T) {
		code, out, said := ask(t)
		if code != exitDone || len(check(t, out).Partitions) != 2 || !strings.Contains(out, `\"actor\":\"olga\"`) {
			t.Errorf("exit %d: %s%s", code, said, out)
		}
	})
	t.Run("a product, into a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "line.ndjson")
		code, out, said := ask(t, "--product", "console", "--output", path)
		if code != exitDone || out != "" {
			t.Fatalf("exit %d: %s%s", code, out, said)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if report := check(t, string(text)); len(report.Partitions) != 1 || report.Partitions[0].Partition != partition {
			t.Errorf("%+v", report)
		}
		if left := namesIn(t, filepath.Dir(path)); !slices.Equal(left, []string{"line.ndjson"}) {
			t.Errorf("files: %v", left)
		}
	})
	t.Run("a part", func(t *testing.T) {
		code, out, said := ask(t, "--product", "console", "--from", "2", "--to", "4")
		if code != exitDone {
			t.Fatalf("exit %d: %s", code, said)
		}
		if report := check(t, out); report.Records != 2 || report.Partitions[0].From != 2 || report.Partitions[0].Next != 4 {
			t.Errorf("%+v", report)
		}
	})
	t.Run("as a table", func(t *testing.T) {
		code, out, said := ask(t, "--format", "csv", "--product", "console")
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if code != exitDone || err != nil {
			t.Fatalf("exit %d: %s, %v", code, said, err)
		}
		column := func(name string) int { return slices.Index(rows[0], name) }
		paused := slices.ContainsFunc(rows, func(row []string) bool {
			return row[column("record")] == "sale.pause" && row[column("actor")] == "olga" && row[column("actor_reason")] == "a \"break\", now" && row[column("code")] == "done"
		})
		confirmed := slices.ContainsFunc(rows, func(row []string) bool {
			return row[column("state")] == "confirmed" && row[column("payment_reference")] == "paid-1"
		})
		if !paused || !confirmed || strings.Contains(out, "lamp") {
			t.Errorf("rows: %s", out)
		}
	})
	for name, c := range map[string]struct {
		arguments string
		code      int
		says      string
	}{
		"a product that is not there":   {"--product cup", exitFailed, "cup"},
		"no product's name":             {"--product Cup!", exitMisuse, "Cup!"},
		"offsets of which partition":    {"--from 1", exitMisuse, "--partition"},
		"beyond the end":                {"--partition 0 --to 1000000", exitMisuse, "1000000"},
		"nothing":                       {"--partition 0 --from 3 --to 3", exitMisuse, "--to"},
		"below 0":                       {"--partition 0 --from=-1", exitMisuse, "--from"},
		"a partition that is not there": {"--partition 2", exitMisuse, "2 partitions"},
		"both product and partition":    {"--partition 0 --product lamp", exitMisuse, "--partition"},
		"another format":                {"--format xml", exitMisuse, "xml"},
		"a folder that is not there":    {"--output /nowhere/line.ndjson", exitFailed, "/nowhere"},
		"a topic that is not there":     {"--topic " + w.topic + "-other", exitFailed, w.topic + "-other"},
		"a file without a name":         {"--output=", exitMisuse, "--output"},
		"a partition that is not one":   {"--partition x", exitMisuse, "x"},
		"offsets that are not":          {"--partition 0 --from x", exitMisuse, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := ask(t, strings.Fields(c.arguments)...)
			if code != c.code || !strings.Contains(said, c.says) || out != "" {
				t.Errorf("exit %d, want %d: %q%q", code, c.code, said, out)
			}
		})
	}
}

// TestWriteWhole shows that a file is there whole, or as it was before.
func TestWriteWhole(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "export")
	write := func(text string, end error) error {
		return writeWhole(path, func(to io.Writer) error {
			if _, err := io.WriteString(to, text); err != nil {
				return err
			}
			if entries := namesIn(t, folder); len(entries) == 0 {
				t.Error("nothing is written beside the file")
			}
			return end
		})
	}
	broken := errors.New("broken")
	if err := write("half", broken); !errors.Is(err, broken) || len(namesIn(t, folder)) != 0 {
		t.Errorf("%v, files %v", err, namesIn(t, folder))
	}
	if err := write("one", nil); err != nil {
		t.Error(err)
	}
	if err := write("half", broken); !errors.Is(err, broken) {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, []byte("one")) {
		t.Errorf("%q, %v", text, err)
	}
	if names := namesIn(t, folder); len(names) != 1 {
		t.Errorf("files %v", names)
	}
}

func namesIn(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
