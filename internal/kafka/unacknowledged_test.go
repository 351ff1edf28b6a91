package kafka

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestOldestIsExact compares with a list, in any order of acknowledgement.
func TestOldestIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type waiting struct {
			sequence uint64
			since    time.Duration
		}
		var (
			line = newUnacknowledged()
			list []waiting
			now  time.Duration
		)
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 3).Draw(t, "later"))
			if len(list) == 0 || rapid.IntRange(0, 2).Draw(t, "add") > 0 {
				list = append(list, waiting{line.add(now), now})
			} else {
				n := rapid.IntRange(0, len(list)-1).Draw(t, "which")
				line.remove(list[n].sequence)
				list = slices.Delete(list, n, n+1)
			}
			if len(list) == 0 {
				if age := line.age(now + time.Hour); age > 0 {
					t.Fatalf("nothing waits, but its age is %v", age)
				}
			} else if got, want := line.age(now), now-list[0].since; got != want {
				t.Fatalf("the oldest has waited %v, want %v", got, want)
			}
		}
	})
}
