package httpserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/httpserver/servertest"
)

// narrow is a server whose streams are below servertest.Streams.
func narrow(h http.Handler, limits servertest.Limits) servertest.Server {
	if limits.Write == 0 {
		limits.Write = time.Minute
	}
	s, err := New(Config{
		Standard: &http.Server{
			Handler: h, ReadHeaderTimeout: limits.ReadHeader, IdleTimeout: limits.Idle, WriteTimeout: limits.Write,
			MaxHeaderBytes: limits.MaxHeaderBytes, ErrorLog: log.New(io.Discard, "", 0),
		},
		Streams:     func(path string) bool { return strings.HasPrefix(path, servertest.Streams) },
		BodyTimeout: time.Minute, WriteTimeout: limits.Write,
	})
	if err != nil {
		panic(err)
	}
	return s
}

func TestServer(t *testing.T) {
	t.Parallel()
	servertest.Run(t, narrow)
}

func FuzzServer(f *testing.F) { servertest.Fuzz(f, narrow) }

// TestAnAnswerIsNotReadForEver: the connection of a client that does not read
// ends, and the goroutine that writes to it.
func TestAnAnswerIsNotReadForEver(t *testing.T) {
	t.Parallel()
	const long = 64 << 20 // more than any socket holds
	address, stop := running(t, Config{
		Standard: &http.Server{
			Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, long)) }),
			ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute,
		},
		Streams: never, BodyTimeout: time.Minute, WriteTimeout: time.Millisecond,
	})
	client := dial(t, address)
	write(t, client, poll)
	stop() // waits for the connection
	if n, err := io.Copy(io.Discard, client); n >= long {
		t.Errorf("read %d bytes of the answer, then %v", n, err)
	}
}

// TestABodyIsNotAwaitedForEver: the head has its time, and the body another.
func TestABodyIsNotAwaitedForEver(t *testing.T) {
	t.Parallel()
	address, _ := running(t, Config{
		Standard: &http.Server{
			Handler:           http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") }),
			ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute,
		},
		Streams: never, BodyTimeout: time.Millisecond, WriteTimeout: time.Minute,
	})
	client := dial(t, address)
	write(t, client, click[:len(click)-1])
	if answer, err := io.ReadAll(client); len(answer) > 0 || err != nil {
		t.Errorf("read %q, %v", answer, err)
	}
}

// TestAConnectionIsHandedOver: what net/http has taken it keeps, and the
// handler sees the same peer.
func TestAConnectionIsHandedOver(t *testing.T) {
	t.Parallel()
	peers := make(chan string, 3)
	address, _ := running(t, Config{
		Standard: &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, plain := w.(*turn)
				peers <- fmt.Sprintf("%s %s %t", r.RemoteAddr, r.URL.Path, plain)
			}),
			ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute,
		},
		Streams: func(path string) bool { return path == "/follow" }, BodyTimeout: time.Minute, WriteTimeout: time.Minute,
	})
	client := dial(t, address)
	answers := bufio.NewReader(client)
	for _, ask := range []struct{ path, plain string }{{"/a", "true"}, {"/follow", "false"}, {"/a", "false"}} {
		write(t, client, "GET "+ask.path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if got, want := <-peers, fmt.Sprintf("%s %s %s", client.LocalAddr(), ask.path, ask.plain); got != want {
			t.Errorf("served %s, want %s", got, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	whole := func() Config {
		return Config{
			Standard: &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: 1, IdleTimeout: 1},
			Streams:  never, BodyTimeout: 1, WriteTimeout: 1,
		}
	}
	if _, err := New(whole()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"server": func(c *Config) { c.Standard = nil }, "handler": func(c *Config) { c.Standard.Handler = nil },
		"streams": func(c *Config) { c.Streams = nil }, "head": func(c *Config) { c.Standard.ReadHeaderTimeout = 0 },
		"idle": func(c *Config) { c.Standard.IdleTimeout = 0 }, "body": func(c *Config) { c.BodyTimeout = 0 },
		"write": func(c *Config) { c.WriteTimeout = 0 },
	} {
		config := whole()
		spoil(&config)
		if _, err := New(config); err == nil {
			t.Errorf("without %s it is taken", name)
		}
	}
}

func never(string) bool { return false }

// running runs a server, until stop or the end of the test.
func running(t *testing.T, config Config) (address string, stop func()) {
	t.Helper()
	config.Standard.ErrorLog = log.New(io.Discard, "", 0)
	server, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("stopping: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func write(t *testing.T, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

// TestAnEndIsOfOneRequest: where a client leaves, its handler finds the context
// ended without having asked to be told, and the next request on the same
// turn finds its own context alive.
func TestAnEndIsOfOneRequest(t *testing.T) {
	t.Parallel()
	entered, ended := make(chan struct{}, 1), make(chan error, 1)
	address, _ := running(t, Config{
		Standard: &http.Server{
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					ended <- r.Context().Err()
					return
				}
				entered <- struct{}{}
				for look := time.Tick(time.Millisecond); r.Context().Err() == nil; {
					<-look
				}
				ended <- r.Context().Err()
			}),
			ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute,
		},
		Streams: never, BodyTimeout: time.Minute, WriteTimeout: time.Minute,
	})
	for range 3 { // the pool gives the same turn, as a rule
		leaving := dial(t, address)
		write(t, leaving, poll)
		<-entered
		_ = leaving.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("after its client has left: %v", err)
		}
		for range 4 {
			write(t, dial(t, address), click)
			if err := <-ended; err != nil {
				t.Fatalf("another request begins with %v", err)
			}
		}
	}
}
