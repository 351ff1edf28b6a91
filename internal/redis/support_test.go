package redis

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// each runs a test on the in-process Redis and on a redis-server. Each test has
// a server of its own: tests here empty it, make it forget its scripts, cut its
// connections, freeze and kill it.
func each(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		server, err := devstack.StartMiniRedis(devstack.MiniRedisConfig{})
		check(t, err)
		t.Cleanup(func() { check(t, server.Close()) })
		test(t, server.URL)
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		test(t, startRedis(t).URL)
	})
}

// startRedis gives the test a redis-server of its own. Without the program the
// test is skipped, or fails when CI=true.
func startRedis(t testing.TB) *devstack.Redis {
	t.Helper()
	server, err := devstack.StartRedis(t.Context(), devstack.RedisConfig{})
	if missing := (*devstack.MissingError)(nil); errors.As(err, &missing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	return server
}

func open(t testing.TB, address string) *Client {
	t.Helper()
	client, err := Open(t.Context(), address)
	check(t, err)
	t.Cleanup(func() { check(t, client.Close()) })
	return client
}

// openPatiently is open for tests that are not about time: a busy machine must
// not make them fail.
func openPatiently(t testing.TB, address string) *Client {
	t.Helper()
	return open(t, address+"?read_timeout=20s&write_timeout=20s&pool_timeout=20s&dial_timeout=20s")
}

// makeGate makes a patient gate that does not run yet.
func makeGate(t testing.TB, address string) *Gate {
	t.Helper()
	gate := NewGate(GateConfig{Client: openPatiently(t, address)})
	gate.timeout, gate.maxWait = patience, patience
	return gate
}

func makeFeed(t testing.TB, address string, topic event.TopicID) *Feed {
	t.Helper()
	feed := NewFeed(openPatiently(t, address), topic, slog.New(slog.DiscardHandler))
	feed.timeout = patience
	return feed
}

// run runs a gate until the test ends or the function it returns is called.
func run(t testing.TB, gate *Gate) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- gate.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		check(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

func runGate(t testing.TB, address string) *Gate {
	t.Helper()
	gate := makeGate(t, address)
	run(t, gate)
	return gate
}

// countRoundTrips counts what the gate sends, but for the greeting on a new
// connection: all of it is pipelines.
func countRoundTrips(gate *Gate) *atomic.Int64 {
	hook := &roundTrips{}
	gate.client.AddHook(hook)
	return &hook.count
}

type roundTrips struct{ count atomic.Int64 }

func (r *roundTrips) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (r *roundTrips) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

func (r *roundTrips) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, commands []goredis.Cmder) error {
		r.count.Add(1)
		return next(ctx, commands)
	}
}

func ask(buyer string) ingress.Ask {
	return ingress.Ask{Log: event.TopicID{1, 2, 3}, Product: "tickets", Sale: 7, Buyer: sale.Buyer(buyer)}
}

func fresh(of ingress.Ask) ingress.Ask {
	of.Fresh = true
	return of
}

// asker is an ingress.Asker.
type asker struct {
	left     func() bool
	answered chan answer
}

type answer struct {
	admission ingress.Admission
	err       error
}

func (a *asker) Left() bool { return a.left() }

func (a *asker) Admitted(admission ingress.Admission, err error) {
	a.answered <- answer{admission, err}
}

// answerOf asks the gate and waits for its answer, or until ctx is done.
func answerOf(ctx context.Context, gate *Gate, ask ingress.Ask) (ingress.Admission, error) {
	asker := &asker{func() bool { return ctx.Err() != nil }, make(chan answer, 1)}
	gate.Admit(ask, asker)
	select {
	case got := <-asker.answered:
		return got.admission, got.err
	case <-ctx.Done():
		return ingress.Admission{}, ctx.Err()
	}
}

func admit(t testing.TB, gate *Gate, ask ingress.Ask) ingress.Admission {
	t.Helper()
	admission, err := answerOf(t.Context(), gate, ask)
	if err != nil {
		t.Fatalf("admitting %+v: %v", ask, err)
	}
	return admission
}

// let says that a buyer was let in.
func let(admission ingress.Admission) bool { return admission == ingress.Admission{} }

func wantLet(t testing.TB, gate *Gate, ask ingress.Ask) {
	t.Helper()
	if got := admit(t, gate, ask); !let(got) {
		t.Errorf("%+v: %+v, want to be let in", ask, got)
	}
}

func wantLimited(t testing.TB, gate *Gate, ask ingress.Ask) {
	t.Helper()
	if got := admit(t, gate, ask); got.Hint != nil || got.RetryAfter <= 0 || got.RetryAfter > buyInterval {
		t.Errorf("%+v: %+v, want a wait of at most %v", ask, got, buyInterval)
	}
}

func wantHint(t testing.TB, gate *Gate, ask ingress.Ask, want ingress.Hint) {
	t.Helper()
	if got := admit(t, gate, ask); got.Hint == nil || *got.Hint != want || got.RetryAfter != 0 {
		t.Errorf("%+v: %+v, want the hint %+v", ask, got, want)
	}
}

func remember(t testing.TB, gate *Gate, ask ingress.Ask, hint ingress.Hint) {
	t.Helper()
	done := make(chan struct{})
	gate.Remember(ask, hint, func() { close(done) })
	await(t, "the hint is stored", done)
}

func await[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("waited %v in vain: %s", patience, what)
	}
	var none T
	return none
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
		<-ticker.C
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// relay is a TCP connection's middle, to be cut or to fall silent.
type relay struct {
	address  string
	listener net.Listener
	target   string

	mu    sync.Mutex
	pairs []*pair
}

type pair struct {
	ends   [2]net.Conn
	silent atomic.Bool
}

func startRelay(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	r := &relay{address: listener.Addr().String(), listener: listener, target: target}
	var accepting sync.WaitGroup
	accepting.Go(r.accept)
	t.Cleanup(func() {
		check(t, listener.Close())
		r.cut()
		accepting.Wait()
	})
	return r
}

func (r *relay) accept() {
	var copying sync.WaitGroup
	defer copying.Wait()
	for {
		near, err := r.listener.Accept()
		if err != nil {
			r.cut()
			return
		}
		far, err := net.Dial("tcp", r.target)
		if err != nil {
			near.Close()
			continue
		}
		p := &pair{ends: [2]net.Conn{near, far}}
		r.mu.Lock()
		r.pairs = append(r.pairs, p)
		r.mu.Unlock()
		copying.Go(func() { p.copy(0, 1) })
		copying.Go(func() { p.copy(1, 0) })
	}
}

func (p *pair) copy(from, to int) {
	defer p.ends[to].Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := p.ends[from].Read(buffer)
		if err != nil {
			return
		}
		if p.silent.Load() {
			continue
		}
		if _, err := p.ends[to].Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut closes all present connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pairs {
		p.ends[0].Close()
		p.ends[1].Close()
	}
}

// silence swallows all that is sent on the present connections; they stay open.
func (r *relay) silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pairs {
		p.silent.Store(true)
	}
}

// warnings is a slog.Handler that tells of each warning.
type warnings chan string

func (w warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w warnings) WithGroup(string) slog.Handler            { return w }
func (w warnings) Handle(_ context.Context, record slog.Record) error {
	if record.Level == slog.LevelWarn {
		w <- record.Message
	}
	return nil
}
