package ingress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/anteroomhq/anteroom/internal/board"
)

var errDraining = errors.New("the ingress is about to stop")

// drain is how far an ingress is on its way out.
type drain struct {
	delay time.Duration
	once  *sync.Once
	off   chan struct{} // closed once it is not ready
	over  chan struct{} // closed once streams are to end and new work is refused
}

func newDrain(delay time.Duration) drain {
	return drain{delay: delay, once: new(sync.Once), off: make(chan struct{}), over: make(chan struct{})}
}

// begun reports whether new work is to be refused.
func (d *drain) begun() bool { return isClosed(d.over) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Drain takes the ingress out of service. It is unready first. After
// Config.DrainDelay it refuses new work, ends long polls with the status so
// far and event streams, and closes WebSockets with 1012, so that clients
// come back elsewhere. It returns when all of them are gone, or with an error
// when ctx is done before. Buys and commands in flight are left to the
// server's shutdown, which comes next.
func (i *Ingress) Drain(ctx context.Context) error {
	i.drain.once.Do(func() { close(i.drain.off) })
	timer := time.NewTimer(i.drain.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done(): // there is no time for kindness
	}
	i.streams.refuse(i.drain.over)
	select {
	case <-i.streams.gone():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("draining: %d streams are left: %w", i.streams.count(), context.Cause(ctx))
	}
}

// Admin serves the platform: /livez, /readyz and /metrics. It belongs on a
// listener of its own.
func (i *Ingress) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := i.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(i.registry, promhttp.HandlerOpts{}))
	return mux
}

// Ready says why shoppers should be sent elsewhere, and is nil if they should
// not. A backend that is down is no reason: every other ingress lacks it too.
func (i *Ingress) Ready() error {
	switch {
	case isClosed(i.drain.off):
		return errDraining
	case !i.board.Ready():
		return board.ErrNotReady
	}
	return nil
}
