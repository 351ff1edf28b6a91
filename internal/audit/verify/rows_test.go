package verify_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestRowsAreLocated takes one row away or adds one: it is the only difference,
// at the record that is, or would be, its cause. So it is from a snapshot, too.
func TestRowsAreLocated(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "snapshots")
	rapid.Check(t, func(t *rapid.T) {
		k := drawKept(t, folder)
		l := k.ledger.copied()
		requests, results := l.requests[0], l.results[0]
		if len(requests) == 0 || len(results) == 0 {
			t.Skip("there is no such row")
		}
		row := requests[rapid.SampledFrom(slices.Sorted(maps.Keys(requests))).Draw(t, "request")]
		result := results[rapid.SampledFrom(slices.Sorted(maps.Keys(results))).Draw(t, "result")]
		want := place{subject: verify.OfRequest, count: 1}
		how := rapid.SampledFrom([]string{"removed", "added", "before all", "after all", "result removed", "result added"}).Draw(t, "how")
		switch how {
		case "removed":
			delete(requests, row.Offset)
			want.offset, want.name = row.Cause, publicID(row.Offset)
		case "added":
			other := row
			other.Offset = rapid.SampledFrom([]sale.Offset{-1, k.end}).Draw(t, "as")
			requests[other.Offset] = other
			want.offset, want.name = row.Cause, publicID(other.Offset)
		case "before all", "after all":
			other := row
			other.Offset = k.end + 3
			if other.Cause = -1; how == "after all" {
				other.Cause = k.end
			}
			requests[other.Offset] = other
			want.offset, want.name = other.Cause, publicID(other.Offset)
		case "result removed":
			delete(results, result.Command)
			want.offset, want.subject, want.name = result.Command, verify.OfResult, publicID(result.Command)
		case "result added":
			other := result
			for _, taken := results[other.Command]; taken; _, taken = results[other.Command] {
				other.Command = sale.Offset(rapid.IntRange(-1, int(k.end)).Draw(t, "as"))
			}
			results[other.Command] = other
			want.offset, want.subject, want.name = other.Command, verify.OfResult, publicID(other.Command)
		}
		verdict := verdictOf(t, k.entries, l)
		want.check(t, verdict)
		if said := verdict.FirstDifference.Expected; how == "removed" && row.State.Final() && !strings.HasPrefix(said, string(row.State)) {
			t.Fatalf("expected is %q, the row was %s", said, row.State)
		}
		want.check(t, k.verify(t, l))
	})
}
