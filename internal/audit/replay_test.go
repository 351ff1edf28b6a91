package audit_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func entries(t *testing.T) []event.Entry {
	t.Helper()
	return audittest.File(t, filepath.Join("..", "..", "testdata", "logs", "waitlist-first-waiter-gets-the-freed-unit.jsonl"))
}

// watcher counts what it sees, and may end it.
type watcher struct {
	seen int
	each func(seen int) error
}

func (w *watcher) Begin(*audit.Replay) error { return nil }

func (w *watcher) Step(*audit.Replay, audit.Step) error {
	w.seen++
	return w.each(w.seen)
}

func (w *watcher) End(*audit.Replay) error { return nil }

// TestReplayDoesNotWaitForEver for a record that is there, and does not come.
// Nothing of it goes on afterwards.
func TestReplayDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	log := audittest.Of(entries(t))
	end := sale.Offset(len(log.Entries[0]))
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{each: func(int) error { return nil }}
		h := &audit.History{Log: log}
		err := h.Replay(t.Context(), []audit.Extent{{To: end + 1}}, func(audit.Extent) audit.Visitor { return w })
		if !errors.Is(err, audit.ErrUnreachable) || w.seen != int(end) {
			t.Errorf("after %d of %d records: %v", w.seen, end, err)
		}
	})
}

// TestReplayEnds when it is told to, in the middle, and leaves nothing behind.
func TestReplayEnds(t *testing.T) {
	t.Parallel()
	log := audittest.Of(entries(t))
	log.Portion = 1
	extents := []audit.Extent{{To: sale.Offset(len(log.Entries[0]))}}
	enough := errors.New("enough")
	for name, c := range map[string]struct {
		each func(cancel context.CancelFunc) error
		want error
	}{
		"by its visitor":   {func(context.CancelFunc) error { return enough }, enough},
		"by being stopped": {func(cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := &watcher{each: func(seen int) error {
					if seen == 3 {
						return c.each(cancel)
					}
					return nil
				}}
				h := &audit.History{Log: log}
				err := h.Replay(ctx, extents, func(audit.Extent) audit.Visitor { return w })
				if !errors.Is(err, c.want) || w.seen < 3 {
					t.Errorf("after %d records: %v, want %v", w.seen, err, c.want)
				}
			})
		})
	}
}
