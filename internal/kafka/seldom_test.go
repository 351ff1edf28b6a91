package kafka

import (
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	t.Parallel()
	var s seldom
	start := time.Now()
	for _, c := range []struct {
		message string
		after   time.Duration
		again   bool
	}{
		{"a", 0, false}, {"a", time.Second, true}, {"b", time.Second, false},
		{"a", quietTime - 1, true}, {"a", quietTime, false}, {"a", quietTime + 1, true},
	} {
		if got := s.again(c.message, start.Add(c.after)); got != c.again {
			t.Errorf("%s after %s: again is %v, want %v", c.message, c.after, got, c.again)
		}
	}
}
