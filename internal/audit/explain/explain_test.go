package explain

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var updateStories = flag.Bool("update-stories", false, "write the stories of the golden logs anew")

// TestGoldenLogs tells the story of every request of the golden logs.
// The stories are in testdata/stories, a file for each log.
func TestGoldenLogs(t *testing.T) {
	t.Parallel()
	for name, path := range audittest.Files(t, audittest.Golden, "testdata/stories") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entries := audittest.File(t, path)
			got := storiesOf(t, entries)
			golden := filepath.Join("testdata", "stories", name+".txt")
			if *updateStories {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("stories differ (-%s +told):\n%s", golden, diff)
			}
		})
	}
}

// storiesOf tells every request's story, and of every other record what it is.
func storiesOf(t *testing.T, entries []event.Entry) string {
	t.Helper()
	h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}}}
	var text strings.Builder
	for i := range entries {
		story, err := Request(t.Context(), h, 0, sale.Offset(i))
		switch {
		case err == nil:
			fmt.Fprintf(&text, "%s\n", story.Text())
		case errors.Is(err, ErrNoRequest):
			fmt.Fprintf(&text, "%v\n\n", err)
		default:
			t.Fatal(err)
		}
	}
	return text.String()
}

// TestGoldenLogsCoverAll shows that whatever can happen is in a golden
// log's stories.
func TestGoldenLogsCoverAll(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, path := range audittest.Files(t, audittest.Golden, "testdata/stories") {
		entries := audittest.File(t, path)
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}}}
		for i := range entries {
			story, err := Request(t.Context(), h, 0, sale.Offset(i))
			if err != nil {
				continue
			}
			if story.Product != "" && !sale.ValidProduct(story.Product) {
				t.Errorf("%s: %s names product %q", path, story.ID, story.Product)
			}
			seen["state "+string(story.State)], seen["reason "+string(story.Reason)] = true, true
			for _, e := range story.Events {
				seen["event "+string(e.Kind)] = true
				seen["code "+string(e.Code)] = true
				for _, f := range e.Freed {
					seen["freed "+string(f.How)] = true
				}
			}
		}
	}
	for prefix, all := range map[string][]string{
		"state ": {"queued", "held", "reserved", "waitlisted", "sold_out", "rejected", "released", "confirmed", "expired", "returned"},
		"reason ": {
			"", "sold_out", "duplicate", "buyer_limit", "invalid_quantity", "unknown_sale", "malformed", "by_shopper", "by_merchant", "not_open", "closed",
		},
		"event ": {
			"appended", "parked", "waitlisted", "reserved", "held", "started", "extended", "paused", "resumed", "closed", "confirmed", "expired",
			"released", "returned", "sold_out", "rejected", "command",
		},
		"code ":  {"", "not_held", "hold_expired", "other_payment", "hold_limit", "not_confirmed"},
		"freed ": {"expired", "released", "returned", "raised", "before"},
	} {
		for _, one := range all {
			if !seen[prefix+one] {
				t.Errorf("no story has %s%s", prefix, one)
			}
		}
	}
}

// TestRefuses shows what is said of an id that no request has.
func TestRefuses(t *testing.T) {
	t.Parallel()
	entries := audittest.File(t, "../../../testdata/logs/release.jsonl")
	whole := &audittest.Log{Entries: [][]event.Entry{entries, nil}}
	cut := &audittest.Log{Entries: whole.Entries, Start: 4}
	for name, c := range map[string]struct {
		log       *audittest.Log
		partition int32
		offset    sale.Offset
		is        error
		says      string
	}{
		"a schema record":           {whole, 0, 0, ErrNoRequest, "0-0 is a schema record"},
		"a sale":                    {whole, 0, 1, ErrNoRequest, "0-1 is a sale.create"},
		"past the end":              {whole, 0, sale.Offset(len(entries)), ErrNoRequest, fmt.Sprintf("partition 0 ends before offset %d", len(entries))},
		"an empty partition":        {whole, 1, 0, ErrNoRequest, "partition 1 ends before offset 0"},
		"no such partition":         {whole, 2, 0, ErrNoRequest, "no partition 2, but 0 to 1"},
		"gone":                      {cut, 0, 2, audit.ErrTruncated, "starts at offset 4"},
		"its sale's beginning gone": {cut, 0, 4, audit.ErrTruncated, "needs a snapshot of [4, 4]"},
	} {
		_, err := Request(t.Context(), &audit.History{Log: c.log}, c.partition, c.offset)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v saying %q", name, err, c.is, c.says)
		}
	}
}

// TestDuplicateAlone tells of a duplicate whose first request the log
// does not have any more.
func TestDuplicateAlone(t *testing.T) {
	t.Parallel()
	entries := audittest.File(t, "testdata/stories/limits.jsonl")
	h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}, Start: 7}, Snapshots: audittest.Snapshot{Entries: entries, At: 7}}
	story, err := Request(t.Context(), h, 0, 7)
	if err != nil {
		t.Fatal(err)
	}
	text := story.Text()
	if story.First != nil || story.FirstID != "0-6" || !strings.Contains(text, "0-6, which counts") || !strings.Contains(text, "does not have that one any more") {
		t.Errorf("told %+v:\n%s", story, text)
	}
}

// TestReadsNoFurther shows that a story that is told ends the replay.
func TestReadsNoFurther(t *testing.T) {
	t.Parallel()
	entries := audittest.File(t, "testdata/stories/limits.jsonl")
	for len(entries) < 1000 {
		entries = append(entries, event.Entry{Offset: sale.Offset(len(entries)), Time: entries[0].Time, Value: []byte(`{"type":"tick"}`)})
	}
	for offset, whole := range map[sale.Offset]bool{2: true, 6: true, 9: false, 10: false, 11: false} {
		var last audit.Progress
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}}, Watch: func(p audit.Progress) { last = p }}
		story, err := Request(t.Context(), h, 0, offset)
		if err != nil {
			t.Fatal(err)
		}
		if told := story.Until; whole != (told == 1000) || !whole && told != offset+1 || last.Done != last.Total {
			t.Errorf("%s: told until %d, progress %+v", story.ID, told, last)
		}
	}
}
