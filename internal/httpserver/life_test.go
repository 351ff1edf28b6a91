package httpserver

import (
	"context"
	"errors"
	"testing"
)

// TestALifeBegins once more where nobody has asked for its end, and else never:
// whoever has asked would hear of a request that is not theirs.
func TestALifeBegins(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]struct {
		during, after bool
	}{
		"nobody asks": {}, "a handler asks": {during: true}, "somebody asks too late": {after: true},
	} {
		l := newLife()
		if !l.begin() || l.Err() != nil {
			t.Errorf("%s: it does not begin", name)
		}
		if asks.during && l.Done() == nil {
			t.Errorf("%s: there is nothing to wait for", name)
		}
		l.end()
		if !errors.Is(l.Err(), context.Canceled) {
			t.Errorf("%s: it has ended with %v", name, l.Err())
		}
		if asks.after {
			<-l.Done()
		}
		asked := asks.during || asks.after
		if again := l.begin(); again == asked {
			t.Errorf("%s: it begins again: %v", name, again)
		}
		if ended := l.Err() != nil; ended != asked {
			t.Errorf("%s: it has ended afterwards: %v", name, ended)
		}
	}
}
