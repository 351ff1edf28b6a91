package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

type devCommand struct {
	Listen      string `default:"127.0.0.1:8080" help:"Address for shoppers, merchants and operators."`
	AdminListen string `default:"127.0.0.1:9090" help:"Address for /livez, /readyz and /metrics."`
	DataDir     string `type:"path" help:"Keep the data and the secrets in this folder. Default: nothing is kept."`

	identitySettings
	LogLevel slog.Level `env:"ANTEROOM_LOG_LEVEL" default:"warn" help:"debug, info, warn or error."`
}

func (c *devCommand) Run(ctx context.Context, t terminal) (err error) {
	fmt.Fprintln(t.err, "anteroom dev: starting backends")
	running, err := startDev(ctx, t, devConfig{
		choice: backendChoice{Kafka: embedded, Redis: embedded, Postgres: embedded}, topic: "anteroom.requests", folder: c.DataDir, logLevel: c.LogLevel,
		identity: c.identitySettings, listen: listenSettings{Listen: c.Listen, AdminListen: c.AdminListen},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.stop()) }()
	running.describe(t)
	fmt.Fprintln(t.err, "^C ends it.")
	return running.wait(ctx)
}

// devConfig says how to run the whole service in this process.
type devConfig struct {
	choice backendChoice
	topic  string
	run    string         // names the run's own database, where Postgres is not started here
	folder string         // empty: nothing is kept
	listen listenSettings // empty: free loopback ports

	identity identitySettings
	logLevel slog.Level
}

// devService is the whole service in this process, with backends and secrets.
type devService struct {
	*service
	backends *backends
	secrets  secretSettings
	end      context.CancelFunc
	gone     chan struct{} // closed when it has ended; then ended is set
	ended    error         // run's
}

// startDev starts backends, migrates them, and runs both roles. It returns when
// the service is ready.
func startDev(ctx context.Context, t terminal, config devConfig) (_ *devService, err error) {
	if config.listen == (listenSettings{}) {
		config.listen = listenSettings{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0"}
	}
	logger := logSettings{LogLevel: config.logLevel}.logger(t)
	secrets, err := devSecrets(config.folder)
	if err != nil {
		return nil, err
	}
	started, err := startBackends(ctx, config.choice, config.folder)
	if err != nil {
		return nil, err
	}
	d := &devService{backends: started, secrets: secrets, gone: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	at := backendSettings{
		KafkaBrokers: strings.Split(started.kafka, ","), Topic: config.topic, DecisionsTopic: decisionsTopicOf(config.topic), SingleBroker: true, PostgresURL: started.postgres,
	}
	topic := kafka.Config{Brokers: at.KafkaBrokers, Topic: at.Topic, SingleBroker: true, Logger: logger}
	if config.choice.Kafka != embedded {
		started.ownTopic(topic)
		decisions := topic
		decisions.Topic = at.DecisionsTopic
		started.ownTopic(decisions)
	}
	if config.choice.Postgres != embedded {
		if err := started.ownDatabase(ctx, config.run); err != nil {
			return nil, err
		}
		at.PostgresURL = started.postgres
	}
	err = migrate(ctx, migration{kafka: topic, decisions: at.DecisionsTopic, postgresURL: at.PostgresURL, report: func(string) {}})
	if err != nil {
		return nil, err
	}
	d.service, err = newService(ctx, serviceConfig{
		roles: roles{ingress: true, allocator: true}, backends: at, redisURL: started.redis,
		secrets: secrets, identity: config.identity, listen: config.listen, logger: logger,
	})
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	d.end = end
	go func() {
		defer close(d.gone)
		d.ended = d.run(running)
	}()
	return d, d.awaitReady(ctx)
}

// awaitReady waits until the service can answer, or has ended by itself.
func (d *devService) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	defer d.whenEnded(cancel)()
	if err := d.board.WaitReady(ctx); err != nil {
		return fmt.Errorf("waiting for the service: %w", err)
	}
	return nil
}

// whenEnded calls cancel if the service ends by itself. The function that it
// gives ends the watch.
func (d *devService) whenEnded(cancel context.CancelFunc) (stop func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-d.gone:
			cancel()
		case <-over:
		}
	}()
	return func() { close(over) }
}

func (d *devService) address() string { return d.public.Addr().String() }
func (d *devService) url() string     { return "http://" + d.address() }

// describe tells a person how to use it.
func (d *devService) describe(t terminal) {
	fmt.Fprintf(t.err, `
shoppers, merchants, operators   %s
health and metrics               http://%s
operator's token                 %s
merchant's token                 %s
Kafka     %s
Redis     %s
Postgres  %s

`, d.url(), d.admin.Addr(), d.secrets.OperatorToken, d.secrets.MerchantToken, d.backends.kafka, d.backends.redis, d.backends.postgres)
}

// wait returns when ctx is done, or the service has ended by itself.
func (d *devService) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.gone:
		return d.ended
	}
}

// stop ends the service and then the backends that were started for it.
func (d *devService) stop() error {
	var err error
	if d.end != nil {
		d.end()
		<-d.gone
		err = d.ended
	}
	return errors.Join(err, d.backends.close())
}

// devSecrets makes keys and tokens. With a folder they are kept in it, so that
// tickets outlive a restart.
func devSecrets(folder string) (s secretSettings, err error) {
	kept := filepath.Join(folder, "secrets")
	if folder != "" {
		if text, err := os.ReadFile(kept); err == nil {
			parts := strings.Fields(string(text))
			switch len(parts) {
			case 4: // kept before there were checkout keys
			case 5:
				s.CheckoutKeys = parts[4]
			default:
				return secretSettings{}, fmt.Errorf("%s does not hold the secrets that were kept there", kept)
			}
			s.TicketKeys, s.BuyerKeys, s.OperatorToken, s.MerchantToken = parts[0], parts[1], parts[2], parts[3]
		}
	}
	for _, setting := range []*string{&s.TicketKeys, &s.BuyerKeys, &s.CheckoutKeys} {
		if *setting != "" {
			continue
		}
		key, err := ticket.GenerateKey("dev1")
		if err != nil {
			return secretSettings{}, fmt.Errorf("making a key: %w", err)
		}
		*setting = ticket.Keys{key}.Setting()
	}
	s.OperatorToken = cmp.Or(s.OperatorToken, "operator-"+rand.Text())
	s.MerchantToken = cmp.Or(s.MerchantToken, "merchant-"+rand.Text())
	if folder == "" {
		return s, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return secretSettings{}, fmt.Errorf("making the data folder: %w", err)
	}
	text := strings.Join([]string{s.TicketKeys, s.BuyerKeys, s.OperatorToken, s.MerchantToken, s.CheckoutKeys}, "\n") + "\n"
	if err := os.WriteFile(kept, []byte(text), 0o600); err != nil {
		return secretSettings{}, fmt.Errorf("keeping the secrets: %w", err)
	}
	return s, nil
}
