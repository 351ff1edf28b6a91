package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func secret(n byte) string {
	const raw = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw" // 27 bytes
	return secretPrefix + strings.ReplaceAll(raw, "MDAw", "MDA"+string('w'+n))
}

// held is a decision that shops are told of.
func held(partition int32, offset int64) Record {
	value := fmt.Sprintf(`{"id":"%d-%d-0","type":"request.held","log":"aa","partition":%d,"cause":%d,"index":0,"time":"2025-06-15T15:06:40.000Z","product":"ring","sale":"%d-1","request":"%d-%d","state":"held","quantity":1}`,
		partition, offset, partition, offset, partition, partition, offset)
	return Record{Place: Place{Partition: partition, Offset: offset}, Value: []byte(value)}
}

// other is one that they are not.
func other(partition int32, offset int64) Record {
	return Record{Place: Place{Partition: partition, Offset: offset}, Value: []byte(`{"id":"0-5-0","type":"sale.changed"}`)}
}

// fakeSource is a topic, of which each Poll gives a few.
type fakeSource struct {
	mu        sync.Mutex
	records   []Record
	polled    int
	committed map[int32]int64 // the last that is done
	fails     error
	more      chan struct{}
}

func newSource(records ...Record) *fakeSource {
	return &fakeSource{records: records, committed: make(map[int32]int64), more: make(chan struct{}, 1)}
}

func (s *fakeSource) put(records ...Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, records...)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *fakeSource) Poll(ctx context.Context) ([]Record, error) {
	for {
		s.mu.Lock()
		if err := s.fails; err != nil {
			s.mu.Unlock()
			return nil, err
		}
		from := s.polled
		s.polled = min(from+7, len(s.records))
		records := s.records[from:s.polled]
		s.mu.Unlock()
		if len(records) > 0 {
			return records, nil
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *fakeSource) Commit(ctx context.Context, done []Place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.fails, ctx.Err()); err != nil {
		return err
	}
	for _, place := range done {
		s.committed[place.Partition] = place.Offset
	}
	return nil
}

func (s *fakeSource) at(partition int32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.committed[partition]; ok {
		return at
	}
	return -1
}

// restarted is what the group's next member reads.
func (s *fakeSource) restarted() *fakeSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := newSource(slices.DeleteFunc(slices.Clone(s.records), func(r Record) bool {
		at, ok := s.committed[r.Partition]
		return ok && r.Offset <= at
	})...)
	return next
}

// fakeStore is the table.
type fakeStore struct {
	mu    sync.Mutex
	rows  map[string]Kept
	fails error
}

func (s *fakeStore) locked(work func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails == nil {
		work()
	}
	return s.fails
}

func (s *fakeStore) Keep(_ context.Context, k Kept) error {
	return s.locked(func() {
		if _, there := s.rows[k.ID]; !there {
			s.rows[k.ID] = k
		}
	})
}

func (s *fakeStore) Due(_ context.Context, now, until time.Time, limit int) (due []Kept, err error) {
	err = s.locked(func() {
		for _, k := range s.rows {
			if !k.Dead && !k.NextAttempt.After(now) && len(due) < limit {
				due = append(due, k)
				k.NextAttempt = until
				s.rows[k.ID] = k
			}
		}
	})
	return due, err
}

func (s *fakeStore) Failed(_ context.Context, k Kept) error {
	return s.locked(func() { s.rows[k.ID] = k })
}

func (s *fakeStore) Delivered(_ context.Context, id string) error {
	return s.locked(func() { delete(s.rows, id) })
}

func (s *fakeStore) Waiting(context.Context) (n int, err error) {
	err = s.locked(func() {
		for _, k := range s.rows {
			if !k.Dead {
				n++
			}
		}
	})
	return n, err
}

func (s *fakeStore) row(id string) (Kept, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.rows[id]
	return k, ok
}

func (s *fakeStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

// fakeShop answers messages, without a network.
type fakeShop struct {
	mu     sync.Mutex
	answer func(id string, attempt int) (status int, header http.Header, err error)
	slow   func(id string) time.Duration
	heard  map[string][]time.Time // attempts
	now    int                    // underway
	most   int
}

func (s *fakeShop) RoundTrip(r *http.Request) (*http.Response, error) {
	id := r.Header.Get("webhook-id")
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.heard[id] = append(s.heard[id], time.Now())
	attempt, slow, answer := len(s.heard[id]), s.slow, s.answer
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
	}()
	if slow != nil {
		select {
		case <-time.After(slow(id)):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	status, header, err := http.StatusNoContent, http.Header(nil), error(nil)
	if answer != nil {
		status, header, err = answer(id, attempt)
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: header, Body: http.NoBody, Request: r}, nil
}

func (s *fakeShop) attempts(id string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard[id])
}

// world is a topic, a store and a shop.
type world struct {
	t      *testing.T
	source *fakeSource
	store  *fakeStore
	shop   *fakeShop
	end    context.CancelFunc
	ended  chan struct{}
}

func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, source: newSource(), store: &fakeStore{rows: make(map[string]Kept)},
			shop: &fakeShop{heard: make(map[string][]time.Time)},
		}
		test(t, w)
		if w.end != nil {
			w.stop()
		}
	})
}

// start runs a dispatcher, with so many attempts.
func (w *world) start(attempts int) {
	w.t.Helper()
	d, err := New(Config{
		URL: "https://shop.example/hook", Secrets: []string{secret(0)}, Attempts: attempts,
		Source: w.source, Store: w.store, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), transport: w.shop,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	w.end, w.ended = cancel, make(chan struct{})
	go func() {
		defer close(w.ended)
		_ = d.Run(ctx) // it has none
	}()
}

func (w *world) stop() {
	w.end()
	<-w.ended
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

var errAway = errors.New("away")
