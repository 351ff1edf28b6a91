package export

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// replaceOnce changes one place of an export's line.
func replaceOnce(t *testing.T, lines []string, line int, old, with string) []string {
	t.Helper()
	if !strings.Contains(lines[line], old) {
		t.Fatalf("line %d has no %q: %s", line+1, old, lines[line])
	}
	changed := slices.Clone(lines)
	changed[line] = strings.Replace(changed[line], old, with, 1)
	return changed
}

// TestTamperedExport changes an export each way. Line n is the record at offset
// n-2.
func TestTamperedExport(t *testing.T) {
	t.Parallel()
	l := testLog{goldenEntries(t, "extend"), goldenEntries(t, "release")}
	export := l.export(t)
	lines := strings.SplitAfter(string(export), "\n")
	lines = lines[:len(lines)-1]
	records := len(l[0])
	countsLine, endLine := records+2, records+3
	whole := func(t *testing.T) []string { t.Helper(); return slices.Clone(lines) }
	for name, c := range map[string]struct {
		tamper    func(t *testing.T) []string
		partition int32
		offset    sale.Offset
		what      string
		expected  string
		found     string
	}{
		"a byte of a value": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+6, `\"seconds\":15`, `\"seconds\":16`)
			},
			0, 6, "a record that is not the one that was exported", "mark", "mark",
		},
		"a byte of a value that decides nothing": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+1, `\"buyer_key\":\"b1\"`, `\"buyer_key\":\"b2\"`)
			},
			0, 1, "a record that is not the one that was exported", "", "",
		},
		"a time": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+5, `"time":1767225601000`, `"time":1767225601001`)
			},
			0, 5, "a record that is not the one that was exported", "", "",
		},
		"a key": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 2+2, `"key":"ring"`, `"key":"rinG"`) },
			0, 2, "a record that is not the one that was exported", "", "",
		},
		"a mark": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 2+3, `"mark":"`, `"mark":"0`) },
			0, 3, "a record that is not the one that was exported", "", "",
		},
		"a decision": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+2, `"state":"held"`, `"state":"waitlisted"`)
			},
			0, 2, "decision 0", `request.state "held"`, `request.state "waitlisted"`,
		},
		"the second decision of a record": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+3, `"result":{"command":3`, `"result":{"command":4`)
			},
			0, 3, "decision 1", "result.command 3", "result.command 4",
		},
		"a decision that is gone": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+4, `,"decisions":[`+between(lines[2+4], `"decisions":[`, "]")+`]`, "")
			},
			0, 4, "the decisions", "1 of them", "0",
		},
		"a decision more": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+7, `"mark"`, `"decisions":[{"cause":7,"index":0,"time":1,"start":{"below":1,"at":1,"cause":7}}],"mark"`)
			},
			0, 7, "the decisions", "0 of them", "1",
		},
		"a record that is gone": {
			func(t *testing.T) []string { return slices.Delete(whole(t), 2+5, 2+6) },
			0, 5, "a record that is missing or not in its place", "record 5", "record 6",
		},
		"the last record is gone": {
			func(t *testing.T) []string { return slices.Delete(whole(t), 2+records-1, 2+records) },
			0, sale.Offset(records - 1), "a record that is missing or not in its place", "record " + number(records-1), "the end of the records",
		},
		"two records that changed places": {
			func(t *testing.T) []string {
				changed := whole(t)
				changed[2+8], changed[2+9] = changed[2+9], changed[2+8]
				return changed
			},
			0, 8, "a record that is missing or not in its place", "record 8", "record 9",
		},
		"a record twice": {
			func(t *testing.T) []string { return slices.Insert(whole(t), 2+5, lines[2+4]) },
			0, 5, "a record that is missing or not in its place", "record 5", "record 4",
		},
		"a line that is no JSON": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 2+4, `{`, ``) },
			0, 4, "a line that cannot be read", "", "",
		},
		"a member that no export has": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 2+4, `"mark"`, `"note":"","mark"`) },
			0, 4, "a line that cannot be read", "", "note",
		},
		"counts": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, countsLine, `"available":1`, `"available":2`)
			},
			0, sale.Offset(records), "the counts of sale 1", "available 1", "available 2",
		},
		"counts that are gone": {
			func(t *testing.T) []string { return slices.Delete(whole(t), countsLine, countsLine+1) },
			0, sale.Offset(records), "the counts", "sale 1", "none of it",
		},
		"the digest of records": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, endLine, `"record_digest":"`+between(lines[endLine], `"record_digest":"`, `"`), `"record_digest":"`+strings.Repeat("0", 64))
			},
			0, sale.Offset(records), "the end of partition 0", "record_digest", "0000",
		},
		"the digest of decisions": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, endLine, `"decision_digest":"`+between(lines[endLine], `"decision_digest":"`, `"`), `"decision_digest":"`+strings.Repeat("0", 64))
			},
			0, sale.Offset(records), "the end of partition 0", "decision_digest", "0000",
		},
		"a digest that is none": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, endLine, `"record_digest":"`, `"record_digest":"0`)
			},
			0, sale.Offset(records), "a line that cannot be read", "", "",
		},
		"a state before the first record": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 1, `"chain_start":0`, `"chain_start":1`) },
			0, 0, "the state that partition 0 begins with", "", "",
		},
		"an end that is gone": {
			func(t *testing.T) []string { return slices.Delete(whole(t), endLine, endLine+1) },
			0, sale.Offset(records), "a partition that is cut off", "the partition's end", "no more of it",
		},
		"a file that is cut off within a line": {
			func(t *testing.T) []string {
				cut := whole(t)[:2+7]
				cut[2+6] = cut[2+6][:40]
				return cut
			},
			0, 6, "a line that cannot be read", "", "",
		},
		"a file that is cut off after a line": {
			func(t *testing.T) []string { return whole(t)[:2+7] },
			0, 7, "a partition that is cut off", "record 7", "no more of it",
		},
		"a file that is cut off between partitions": {
			func(t *testing.T) []string { return whole(t)[:endLine+1] },
			1, 0, "a partition that is missing", "partition 1", "nothing of it",
		},
		"a file without its last line": {
			func(t *testing.T) []string { return whole(t)[:len(lines)-1] },
			-1, -1, "the file", `its last line, "done"`, "a file that is cut off",
		},
		"a partition that is gone": {
			func(t *testing.T) []string { return slices.Delete(whole(t), 1, endLine+1) },
			-1, -1, "a partition", "the ones that the first line names, in its order", "partition 1",
		},
		"the name of the program": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 0, `"program":"test"`, `"program":"Test"`) },
			-1, -1, "the file", "SHA-256", "SHA-256",
		},
		"a space": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 2+3, `"mark":`, `"mark": `) },
			-1, -1, "the file", "SHA-256", "SHA-256",
		},
		"a line after the last": {
			func(t *testing.T) []string { return append(whole(t), lines[2]) },
			-1, -1, "the end of the export", "", "another line",
		},
		"an end of the last partition that is gone": {
			func(t *testing.T) []string { return slices.Delete(whole(t), len(lines)-2, len(lines)-1) },
			1, sale.Offset(len(l[1])), "a partition that is cut off", "the partition's end", "no more of it",
		},
		"a record that was not announced": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 0, `"to":`+number(records), `"to":`+number(records-1))
			},
			0, sale.Offset(records - 1), "a record that is missing or not in its place", "no further record", "record " + number(records-1),
		},
		"a line without a member": {
			func(t *testing.T) []string { return slices.Insert(whole(t), 2+5, "{}\n") },
			0, 5, "a line that cannot be read", "", "0 members",
		},
		"a line with two members": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, endLine, `{"end":`, `{"done":{"sha256":"`+strings.Repeat("0", 64)+`"},"end":`)
			},
			0, sale.Offset(records), "a line that cannot be read", "", "2 members",
		},
		"a value said twice": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+5, `"mark"`, `"value_base64":"QQ==","mark"`)
			},
			0, 5, "a record", "key and value", "both value and value_base64",
		},
		"no value": {
			func(t *testing.T) []string {
				return replaceOnce(t, lines, 2+5, `"value":`+between(lines[2+5], `"value":`, `,"mark"`)+`,`, ``)
			},
			0, 5, "a record", "key and value", "no value",
		},
		"a record of the other partition": {
			func(t *testing.T) []string { return replaceOnce(t, lines, 2+3, `"partition":0`, `"partition":1`) },
			0, 3, "a record that is missing or not in its place", "record 3", "record 3 of partition 1",
		},
		"a byte of the second partition": {
			func(t *testing.T) []string { return replaceOnce(t, lines, endLine+1+1+2, `"value":"`, `"value":" `) },
			1, 2, "a record that is not the one that was exported", "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := check(t, []byte(strings.Join(c.tamper(t), "")))
			d := report.FirstDifference
			if report.Equal || d == nil {
				t.Fatal("it is taken for equal")
			}
			if d.Partition != c.partition || d.Offset != c.offset || d.What != c.what || !strings.Contains(d.Expected, c.expected) || !strings.Contains(d.Found, c.found) {
				t.Errorf("found %+v", *d)
			}
		})
	}
	if report := check(t, export); !report.Equal {
		t.Errorf("the export as it was: %+v", report.FirstDifference)
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	within, _, _ := strings.Cut(rest, after)
	return within
}

// TestTamperedState changes the state that an export from within a log begins
// with.
func TestTamperedState(t *testing.T) {
	t.Parallel()
	l := testLog{goldenEntries(t, "extend")}
	export := string(l.export(t, audit.Extent{From: 5, To: 9}))
	for name, change := range map[string][2]string{
		"units that do not add up": {`"held":1`, `"held":0`},
		"another offset":           {`"state":{"next":5`, `"state":{"next":4`},
		"no state":                 {`"state":{`, `"stat":{`},
		"a later schema":           {`"schema":2`, `"schema":99`},
	} {
		changed := strings.Replace(export, change[0], change[1], 1)
		if changed == export {
			t.Fatalf("%s: there is no %q", name, change[0])
		}
		if d := check(t, []byte(changed)).FirstDifference; d == nil || d.Line != 2 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestAnyChangedByteIsFound changes one byte of an export of a random log.
func TestAnyChangedByteIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		export := testLog{saletest.Entries(saletest.Log(rt))}.export(t)
		place := rapid.IntRange(0, len(export)-2).Draw(rt, "place") // the last line's end may go
		changed := slices.Clone(export)
		changed[place] ^= byte(rapid.IntRange(1, 255).Draw(rt, "change"))
		report, err := Check(t.Context(), bytes.NewReader(changed), nil)
		if err == nil && report.Equal {
			rt.Fatalf("byte %d: %q is taken for %q", place, changed, export)
		}
		line := int64(1 + bytes.Count(export[:place], []byte("\n")))
		if err != nil || line == 1 || report.FirstDifference.Partition < 0 {
			return // of the first line, or of what only the file's digest covers
		}
		if d := report.FirstDifference; d.Line > line+1 {
			rt.Fatalf("byte %d is in line %d, found %+v", place, line, *d)
		}
	})
}
