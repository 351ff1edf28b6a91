package httpserver

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// life is the context of a request: it ends when the handler returns, or soon
// after the client has left. Most handlers never wait for that, so it is a
// context of the standard library only from when somebody has asked for Done, as
// whoever derives another one does. Until then it costs nothing, and serves the
// turn's next request, too. So nobody may keep it longer than the request; what
// is derived from it with an end of its own, as by context.WithCancel, may be.
type life struct {
	blank http.Request // with this context and nothing else

	mu     sync.Mutex
	ended  bool
	asked  context.Context //nolint:containedctx // this is one; nil while nobody has asked
	cancel context.CancelFunc
}

func newLife() *life {
	l := new(life)
	l.blank = *new(http.Request).WithContext(l)
	return l
}

// end is called once or more.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.cancel != nil {
		l.cancel()
	}
}

// begin is called before each request. It is false where somebody has asked: what
// was told to have ended cannot begin, and stays ended.
func (l *life) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked != nil {
		return false
	}
	l.ended = false
	return true
}

// Deadline implements context.Context.
func (*life) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (l *life) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		l.asked, l.cancel = context.WithCancel(context.Background())
		if l.ended {
			l.cancel()
		}
	}
	return l.asked.Done()
}

// Err implements context.Context.
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. The standard library finds by it what it
// derives others from.
func (l *life) Value(key any) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		return nil
	}
	return l.asked.Value(key)
}
