package servertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// testShutdown is about the end of a server.
func testShutdown(t *testing.T, start Start) {
	subtests(t, start, map[string]func(*testing.T, Start){
		"idle connections are closed at once":   shutdownIdle,
		"a request in work is finished":         shutdownInWork,
		"a request in the same moment":          shutdownRace,
		"a head that is not whole":              shutdownPart,
		"requests that wait behind one in work": shutdownPipelined,
		"Shutdown gives up with its context":    shutdownGivesUp,
		"Close cuts":                            closeCuts,
		"Serve after Shutdown":                  func(t *testing.T, start Start) { serveAfter(t, start, shutdown) },
		"Serve after Close":                     func(t *testing.T, start Start) { serveAfter(t, start, Server.Close) },
		"twice":                                 shutdownTwice,
	})
}

func shutdown(s Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Shutdown(ctx)
}

func shutdownIdle(t *testing.T, start Start) {
	w := serve(t, start, patient, newEcho())
	var clients []*client
	for range 50 {
		c := w.dial(t)
		c.send(get())
		c.answer()
		clients = append(clients, c)
	}
	if err := shutdown(w.server); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for _, c := range clients {
		if answers := c.rest(); len(answers) != 1 {
			t.Fatalf("answers %q", c.text())
		}
	}
}

// refused is true when nobody listens any more.
func (w *world) refused() bool {
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", w.addr)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

func shutdownInWork(t *testing.T, start Start) {
	goOn, entered := make(chan struct{}), make(chan struct{}, 1)
	w := serve(t, start, patient, mayPanic(goOn, entered))
	c := w.dial(t)
	c.send(requestOf("GET /wait HTTP/1.1"))
	within(t, "the handler", entered)
	down := make(chan error, 1)
	go func() { down <- shutdown(w.server) }()
	if !waitFor(w.refused) {
		t.Error("the listener is not closed")
	}
	select {
	case err := <-down:
		t.Errorf("Shutdown does not wait: %v", err)
	default:
	}
	close(goOn)
	if answers := c.rest(); len(answers) != 1 || answers[0].body != "fine" {
		t.Errorf("answers %q", c.text())
	}
	if err := within(t, "Shutdown", down); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// shutdownRace has clients that ask and ask while the server is shut down. Each
// request that the handler has seen is answered whole; others are not answered.
func shutdownRace(t *testing.T, start Start) {
	for round := range 10 {
		var mu sync.Mutex
		seen := make(map[string]int)
		w := serve(t, start, patient, marked(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[r.RemoteAddr]++
			mu.Unlock()
			say(w, "fine")
		}))
		var asked atomic.Int64
		var crowd sync.WaitGroup
		clients := make([]*client, 30)
		for i := range clients {
			clients[i] = w.dial(t)
			crowd.Go(func() {
				c := clients[i]
				for n, answered := 1, true; answered; n++ {
					c.send(get())
					asked.Add(1)
					_, _, answered = c.wait(patience, func(read []byte, _ bool) bool {
						answers, _, _ := parseAnswers(read, false)
						return len(answers) >= n
					})
				}
			})
		}
		if !waitFor(func() bool { return asked.Load() > int64(100*round) }) {
			t.Fatal("nothing is asked")
		}
		if err := shutdown(w.server); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		crowd.Wait()
		for _, c := range clients {
			answers := c.rest()
			mu.Lock()
			saw := seen[c.name]
			mu.Unlock()
			if saw != len(answers) {
				t.Errorf("round %d: a client has %d answers to the %d requests that the handler saw", round, len(answers), saw)
			}
			c.close()
		}
	}
}

// shutdownPart is a request of which a part has come: nobody has to wait for the
// rest of it longer than for its client.
func shutdownPart(t *testing.T, start Start) {
	var calls atomic.Int64
	w := serve(t, start, patient, marked(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	c := w.dial(t)
	c.send(get())
	c.answer()
	c.sendApart("", "GET /b HTTP/1.1\r\nHo")
	c.waitRead()
	down := make(chan error, 1)
	go func() { down <- shutdown(w.server) }()
	if !waitFor(w.refused) {
		t.Error("the listener is not closed")
	}
	c.send("st: h\r\n\r\n")
	if answers := c.rest(); len(answers) != int(calls.Load()) {
		t.Errorf("%d calls, answers %q", calls.Load(), c.text())
	}
	if err := within(t, "Shutdown", down); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func shutdownPipelined(t *testing.T, start Start) {
	goOn, entered := make(chan struct{}), make(chan struct{}, 10)
	w := serve(t, start, patient, mayPanic(goOn, entered))
	c := w.dial(t)
	ask := requestOf("GET /wait HTTP/1.1")
	c.send(ask + ask + ask)
	within(t, "the handler", entered)
	down := make(chan error, 1)
	go func() { down <- shutdown(w.server) }()
	if !waitFor(w.refused) {
		t.Error("the listener is not closed")
	}
	close(goOn)
	answers := c.rest()
	if err := within(t, "Shutdown", down); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if more := len(entered); len(answers) != 1+more {
		t.Errorf("%d calls, answers %q", 1+more, c.text())
	}
}

func shutdownGivesUp(t *testing.T, start Start) {
	entered, ended := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, start, patient, waiter(entered, ended))
	c := w.dial(t)
	c.send(get())
	within(t, "the handler", entered)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if c.hasEnded() {
		t.Error("Shutdown cuts a request in work")
	}
	_ = w.server.Close()
	if err := within(t, "the end of the context", ended); err == nil {
		t.Error("Close does not end a request's context")
	}
	c.rest()
}

// closeCuts is Close with connections in each state.
func closeCuts(t *testing.T, start Start) {
	entered, ended := make(chan struct{}, 1), make(chan error, 1)
	h := waiter(entered, ended)
	w := serve(t, start, patient, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			h.ServeHTTP(w, r)
		}
	}))
	fresh, idle, part, busy := w.dial(t), w.dial(t), w.dial(t), w.dial(t)
	idle.send(get())
	idle.answer()
	part.send("GET /a HT")
	part.waitRead()
	busy.send(requestOf("GET /wait HTTP/1.1"))
	within(t, "the handler", entered)
	if err := w.server.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for name, c := range map[string]*client{"fresh": fresh, "idle": idle, "part": part, "busy": busy} {
		if _, gone, _ := c.wait(patience, func(_ []byte, gone bool) bool { return gone }); !gone {
			t.Errorf("the %s connection is not closed", name)
		}
	}
	if err := within(t, "the end of the context", ended); err == nil {
		t.Error("Close does not end a request's context")
	}
	if !w.refused() {
		t.Error("the listener is not closed")
	}
}

func serveAfter(t *testing.T, start Start, end func(Server) error) {
	server := start(http.NotFoundHandler(), patient)
	if err := end(server); err != nil {
		t.Errorf("ending: %v", err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := within(t, "Serve", served); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

func shutdownTwice(t *testing.T, start Start) {
	w := serve(t, start, patient, newEcho())
	c := w.dial(t)
	c.send(get())
	c.answer()
	for i := range 2 {
		if err := shutdown(w.server); err != nil {
			t.Errorf("Shutdown %d: %v", i, err)
		}
	}
	if err := w.server.Close(); err != nil {
		t.Errorf("Close: %v", fmt.Errorf("%w after Shutdown", err))
	}
}
