package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/internal/httpserver"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/internal/redis"
	"github.com/anteroomhq/anteroom/internal/webhook"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// serviceConfig is everything that the service needs to run.
type serviceConfig struct {
	roles      roles
	backends   backendSettings
	redisURL   string
	secrets    secretSettings
	identity   identitySettings
	webhooks   webhookSettings
	listen     listenSettings
	drainDelay time.Duration
	logger     *slog.Logger
}

// These bound an orderly end; after that, connections are cut.
const (
	stopTimeout  = 15 * time.Second
	flushTimeout = 5 * time.Second
)

// service is the running program: the roles of one process and what they stand
// on. newService makes it, run runs it and ends it.
type service struct {
	config   serviceConfig
	registry *prometheus.Registry

	log        *kafka.Log // the ingress's; sheds
	flush      func()     // closes it, once
	ownerLog   *kafka.Log // the allocator's; see newAllocator
	membership *kafka.Membership
	redis      *redis.Client
	feed       *redis.Feed
	gate       *redis.Gate
	owner      *postgres.Owner
	reader     *postgres.Reader
	bindings   *postgres.Bindings

	board     *board.Board
	tokens    *ingress.Tokens // nil where shoppers have none
	ingress   *ingress.Ingress
	allocator *allocator.Allocator
	webhooks  *webhook.Dispatcher // nil where nobody is told

	server        server // of the ingress
	public, admin net.Listener
	closers       []func() // adapters, in the order of their making
}

// newService connects to the backends, checks that they fit this program, and
// binds the listeners.
func newService(ctx context.Context, config serviceConfig) (_ *service, err error) {
	s := &service{config: config, registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	topic, err := kafka.Check(ctx, s.kafkaConfig(""))
	if err != nil {
		return nil, fmt.Errorf("checking the topic: %w", err)
	}
	if err := postgres.CheckSchema(ctx, config.backends.PostgresURL); err != nil {
		return nil, fmt.Errorf("checking the database: %w", err)
	}
	if s.redis, err = redis.Open(ctx, config.redisURL); err != nil {
		return nil, fmt.Errorf("%w: %w", errMisuse, err)
	}
	s.closers = append(s.closers, func() { _ = s.redis.Close() }) // nothing is kept in it
	s.feed = redis.NewFeed(s.redis, topic.ID, config.logger)

	if config.roles.allocator {
		if err := s.newAllocator(ctx, topic); err != nil {
			return nil, err
		}
	}
	if err := s.newWebhooks(ctx, topic); err != nil {
		return nil, err
	}
	if config.roles.ingress {
		if err := s.newIngress(ctx, topic); err != nil {
			return nil, err
		}
		if s.public, err = listen(ctx, config.listen.Listen); err != nil {
			return nil, err
		}
	}
	s.admin, err = listen(ctx, config.listen.AdminListen)
	return s, err
}

func (s *service) kafkaConfig(name string) kafka.Config {
	return kafka.Config{
		Brokers: s.config.backends.KafkaBrokers, Topic: s.config.backends.Topic, SingleBroker: s.config.backends.SingleBroker,
		Group: s.config.backends.Topic + ".allocators", // a group serves one log
		Name:  name, Registerer: s.registry, Logger: s.config.logger,
	}
}

// closeLog flushes the log and closes it.
func (s *service) closeLog(log *kafka.Log) func() {
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		if err := log.Close(ctx); err != nil {
			s.config.logger.Warn("some records may not be in the log", "error", err)
		}
	}
}

// newAllocator gives the owners a producer of their own: a flood of buys in
// the same process must not keep a tick from the log.
func (s *service) newAllocator(ctx context.Context, topic kafka.Topic) (err error) {
	if s.ownerLog, err = kafka.Open(ctx, s.kafkaConfig("allocator")); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	s.closers = append(s.closers, s.closeLog(s.ownerLog))
	if s.membership, err = kafka.NewMembership(s.kafkaConfig("membership")); err != nil {
		return fmt.Errorf("preparing the consumer group: %w", err)
	}
	hostname, _ := os.Hostname() // a label for people
	s.owner, err = postgres.NewOwner(ctx, postgres.Config{
		URL: s.config.backends.PostgresURL, Name: hostname, Connections: int32(len(topic.Partitions)) + 1, Logger: s.config.logger,
	})
	if err != nil {
		return fmt.Errorf("preparing the ledger: %w", err)
	}
	s.closers = append(s.closers, s.owner.Close)
	parts := allocator.Config{
		Log: s.ownerLog, Membership: s.membership, Ledger: s.owner, Feed: s.feed,
		Credits:    redis.NewCredits(redis.CreditsConfig{Client: s.redis}),
		Registerer: s.registry, Logger: s.config.logger,
	}
	if err := s.publishDecisions(ctx, topic, &parts); err != nil {
		return err
	}
	s.allocator, err = allocator.New(parts)
	return err
}

func (s *service) newIngress(ctx context.Context, topic kafka.Topic) (err error) {
	ticketKeys, buyerKeys, err := s.config.secrets.keys()
	if err != nil {
		return err
	}
	tickets, err := ticket.NewKeyring(ticketKeys)
	if err != nil {
		return fmt.Errorf("%w: ticket keys: %w", errMisuse, err)
	}
	buyers, err := ticket.NewPseudonyms(buyerKeys)
	if err != nil {
		return fmt.Errorf("%w: buyer keys: %w", errMisuse, err)
	}
	checkout, err := s.config.secrets.checkout()
	if err != nil {
		return err
	}
	identity, err := s.config.identity.identity(s.config.logger)
	if err != nil {
		return err
	}
	s.tokens = identity.Tokens
	if s.log, err = kafka.Open(ctx, s.kafkaConfig("ingress")); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	s.flush = sync.OnceFunc(s.closeLog(s.log))
	s.closers = append(s.closers, s.flush)
	s.gate = redis.NewGate(redis.GateConfig{Client: s.redis})

	ledger := postgres.Config{URL: s.config.backends.PostgresURL, Logger: s.config.logger}
	if s.reader, err = postgres.NewReader(ctx, ledger); err != nil {
		return fmt.Errorf("preparing the ledger: %w", err)
	}
	s.closers = append(s.closers, s.reader.Close)
	if s.bindings, err = postgres.NewBindings(ctx, ledger); err != nil {
		return fmt.Errorf("preparing the ledger: %w", err)
	}
	s.closers = append(s.closers, s.bindings.Close)

	s.board, err = board.New(board.Config{
		Log: topic.ID, Partitions: int32(len(topic.Partitions)), Ledger: s.reader, Feed: s.feed,
		Registerer: s.registry, Logger: s.config.logger,
	})
	if err != nil {
		return err
	}
	s.ingress, err = ingress.New(ingress.Config{
		Log: s.log, Gate: s.gate, Bindings: s.bindings, Requests: s.reader, Board: s.board, Tickets: tickets, Buyers: buyers,
		Identify: identity.Of, Checkout: checkout,
		MerchantToken: s.config.secrets.MerchantToken, OperatorToken: s.config.secrets.OperatorToken,
		DrainDelay: s.config.drainDelay, Metrics: s.registry, Logger: s.config.logger,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	s.server, err = newPublicServer(s.ingress.Handler(), s.config.logger)
	return err
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return listener, nil
}

// run serves until ctx is done, or a part fails, and then stops in order:
// unready, no new work, streams ended, requests answered, the log flushed, the
// batch in hand committed, connections closed.
func (s *service) run(ctx context.Context) error {
	defer s.close()
	group, alive := errgroup.WithContext(context.WithoutCancel(ctx))
	support, stopSupport := context.WithCancel(alive)
	deciding, stopDeciding := context.WithCancel(alive)
	defer stopSupport()
	defer stopDeciding()

	var servers []server
	serve := func(listener net.Listener, server server) {
		servers = append(servers, server)
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving %s: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	decided := make(chan struct{})
	if s.allocator == nil {
		close(decided)
	} else {
		group.Go(func() error {
			defer close(decided)
			return s.allocator.Run(deciding)
		})
	}
	if s.webhooks != nil {
		group.Go(func() error { return s.webhooks.Run(deciding) })
	}
	if s.ingress == nil {
		serve(s.admin, newServer(s.allocatorAdmin(), s.config.logger))
	} else {
		group.Go(func() error { return s.gate.Run(support) })
		group.Go(func() error { return s.board.Run(support) })
		if s.tokens != nil {
			group.Go(func() error { return s.tokens.Run(support) })
		}
		serve(s.public, s.server)
		serve(s.admin, newServer(s.ingress.Admin(), s.config.logger))
	}
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-alive.Done():
		}
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.drainDelay+stopTimeout)
		defer cancel()
		if s.ingress != nil {
			if err := s.ingress.Drain(stopping); err != nil {
				s.config.logger.Warn("some streams were cut", "error", err)
			}
		}
		for _, server := range servers {
			if err := server.Shutdown(stopping); err != nil {
				s.config.logger.Warn("some requests were cut", "error", err)
				_ = server.Close() // what is left has been told of
			}
		}
		if s.ingress != nil {
			s.flush() // late acknowledgements still have the gate remember their requests
		}
		stopDeciding()
		<-decided
		stopSupport()
		return nil
	})
	return group.Wait()
}

// server is an HTTP server.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// newPublicServer makes the server for shoppers, merchants and operators.
func newPublicServer(handler http.Handler, logger *slog.Logger) (server, error) {
	return httpserver.New(httpserver.Config{
		Standard: newServer(handler, logger), Streams: ingress.Streams,
		BodyTimeout: ingress.BodyTimeout, WriteTimeout: ingress.WriteTimeout,
	})
}

// newServer makes a server of net/http with the limits that the ingress asks
// for.
func newServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: ingress.ReadHeaderTimeout,
		IdleTimeout:       ingress.IdleTimeout,
		MaxHeaderBytes:    ingress.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// close closes what newService opened, last first. Closing the log flushes it.
func (s *service) close() {
	for _, listener := range []net.Listener{s.public, s.admin} {
		if listener != nil {
			_ = listener.Close() // closed already where it was served
		}
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}
