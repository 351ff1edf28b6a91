package rival

import (
	"container/list"
	"context"
	"fmt"
	"sync"
)

// flights are this server's clicks between Redis and Postgres: any of them may
// bring its unit back. So a click that finds nothing left is not told so before
// those that were under way have landed; and where one brought its unit back,
// it tries again. Once all have landed with nothing left, nobody waits any more.
//
// Of clicks at other servers it knows nothing: a unit that one of them brings
// back goes to whoever clicks next. So does one that a shopper who leaves while
// waiting would have found. Its methods may be called from any goroutine.
type flights struct {
	mu       sync.Mutex
	begun    int64
	aloft    list.List     // of the numbers of those under way, rising
	returned int64         // units that were brought back
	over     bool          // all that was taken has landed, and nothing was left
	changed  chan struct{} // closed at the next landing that somebody may wait for; nil if nobody does
}

// flight is a click that has not landed.
type flight = list.Element

// sight is what a click sees before it looks whether anything is left.
type sight struct {
	returned int64
	over     bool
}

func (f *flights) look() sight {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sight{returned: f.returned, over: f.over}
}

func (f *flights) begin() *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	return f.aloft.PushBack(f.begun)
}

// end lands a flight. One that brought its unit back has done so before.
func (f *flights) end(one *flight, broughtBack bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.aloft.Front() == one
	f.aloft.Remove(one)
	if broughtBack {
		f.returned++
		f.over = false
	}
	if (first || broughtBack) && f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// await is for a click that found nothing left. It waits until a unit was
// brought back since the click looked, or until all that were under way have
// landed.
func (f *flights) await(ctx context.Context, seen sight) (broughtBack bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seen.over && f.returned == seen.returned {
		return false, nil
	}
	broughtBack, err = f.wait(ctx, seen)
	f.over = err == nil && !broughtBack
	return broughtBack, err
}

// awaitLanding is the same for a click that waits for another one's hold: it
// says nothing of what is left.
func (f *flights) awaitLanding(ctx context.Context, seen sight) (broughtBack bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wait(ctx, seen)
}

// wait is called with the lock, and gives it away while it waits.
func (f *flights) wait(ctx context.Context, seen sight) (broughtBack bool, err error) {
	for last := f.begun; ; {
		if ctx.Err() != nil {
			return false, fmt.Errorf("waiting for other clicks: %w", context.Cause(ctx))
		}
		if f.returned != seen.returned {
			return true, nil
		}
		if first := f.aloft.Front(); first == nil || first.Value.(int64) > last {
			return false, nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		}
		f.mu.Lock()
	}
}
