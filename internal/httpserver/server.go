package httpserver

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a server works with.
type Config struct {
	// Standard serves what this server does not. Its handler, its log and its
	// ReadHeaderTimeout and IdleTimeout are this server's, too, and must be set.
	// This server calls its methods, and nobody else does.
	Standard *http.Server

	// Streams reports whether the calls of a path need the connection itself, to
	// flush or to hijack it, or to know at once that a client has left.
	Streams func(path string) bool

	// BodyTimeout is how long a body may take when its head is whole, and
	// WriteTimeout how long a client may take to read an answer.
	BodyTimeout, WriteTimeout time.Duration
}

// Validate reports the first thing that is missing or out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Standard == nil || c.Standard.Handler == nil:
		return errors.New("httpserver: a server of net/http with a handler is needed")
	case c.Streams == nil:
		return errors.New("httpserver: it is not said what streams")
	case c.Standard.ReadHeaderTimeout <= 0 || c.Standard.IdleTimeout <= 0 || c.BodyTimeout <= 0 || c.WriteTimeout <= 0:
		return errors.New("httpserver: timeouts for heads, bodies, answers and idling are needed")
	}
	return nil
}

// Server is an HTTP server. Its methods may be called from any goroutine.
type Server struct {
	standard     *http.Server
	handler      http.Handler
	streams      func(path string) bool
	log          *log.Logger
	headTimeout  time.Duration
	bodyTimeout  time.Duration
	idleTimeout  time.Duration
	writeTimeout time.Duration

	handed handed
	made   time.Time
	now    atomic.Int64 // see clock
	date   atomic.Pointer[string]

	closing atomic.Bool // set under mu

	mu          sync.Mutex
	listener    net.Listener
	connections map[*connection]struct{}
	gone        chan struct{} // closed once it is closing and there are no connections
}

// New makes a server.
func New(config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		standard: config.Standard, handler: config.Standard.Handler, streams: config.Streams, log: config.Standard.ErrorLog,
		headTimeout: config.Standard.ReadHeaderTimeout, idleTimeout: config.Standard.IdleTimeout,
		bodyTimeout: config.BodyTimeout, writeTimeout: config.WriteTimeout,
		handed: newHanded(), made: time.Now(),
		connections: make(map[*connection]struct{}), gone: make(chan struct{}),
	}
	if s.log == nil {
		s.log = log.Default()
	}
	return s, nil
}

// Serve accepts connections until Shutdown or Close, and then returns
// http.ErrServerClosed. It is called once.
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	s.listener = listener
	closing := s.closing.Load()
	s.mu.Unlock()
	if closing {
		_ = listener.Close()
		return http.ErrServerClosed
	}
	s.tick(time.Now())
	s.handed.address = listener.Addr()
	var own sync.WaitGroup
	own.Go(s.sweep)
	own.Go(func() { s.accept(listener) })
	err := s.standard.Serve(&s.handed) // closes it, so the two end
	_ = listener.Close()
	own.Wait()
	return err
}

// accept starts a connection for each client. Its errors are for net/http,
// which knows those that pass, and waits before it asks again.
func (s *Server) accept(listener net.Listener) {
	for {
		accepted, err := listener.Accept()
		if err != nil {
			if s.closing.Load() || !s.handed.fail(err) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		c, plain := s.newConnection(accepted)
		switch {
		case !plain:
			s.handed.take(accepted)
		case s.add(c):
			go c.serve()
		default:
			_ = accepted.Close()
		}
	}
}

func (s *Server) add(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.connections[c] = struct{}{}
	return true
}

func (s *Server) remove(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
	s.tellGone()
}

// tellGone is called under the lock.
func (s *Server) tellGone() {
	if s.closing.Load() && len(s.connections) == 0 {
		select {
		case <-s.gone:
		default:
			close(s.gone)
		}
	}
}

// Shutdown stops accepting, closes connections that serve nothing, and waits
// until what is served has been answered, or ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop(func(c *connection) { c.closeIf(waiting) })
	select {
	case <-s.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.standard.Shutdown(ctx)
}

// Close closes all connections but those that a handler has hijacked.
func (s *Server) Close() error {
	s.stop((*connection).cut)
	return s.standard.Close()
}

func (s *Server) stop(each func(*connection)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	if s.listener != nil {
		_ = s.listener.Close() // Serve returns what there is to say
	}
	for c := range s.connections {
		each(c)
	}
	s.tellGone()
}
