package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/kafka"
)

// embedded is what a flag says to have a backend started here.
const embedded = "embedded"

// backendChoice says, for each backend, to start one here or where it is.
type backendChoice struct {
	Kafka    string `default:"embedded" help:"Kafka: embedded, or a broker's host:port."`
	Redis    string `default:"embedded" help:"Redis: embedded, or a URL."`
	Postgres string `default:"embedded" help:"Postgres: embedded, or a URL."`
}

// backends are where they are, and what was started here.
type backends struct {
	kafka, redis, postgres string            // addresses
	kinds                  map[string]string // for people: what each one is
	ends                   []func() error    // of what was started or made here
}

// startBackends starts what is to be started here. With a folder, the data of
// Kafka and Postgres is kept there; nothing depends on what Redis has.
func startBackends(ctx context.Context, choice backendChoice, folder string) (b *backends, err error) {
	b = &backends{
		kafka: choice.Kafka, redis: choice.Redis, postgres: choice.Postgres,
		kinds: map[string]string{"kafka": "real", "redis": "real", "postgres": "real"},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	within := func(name string) (string, error) {
		if folder == "" {
			return "", nil
		}
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return "", fmt.Errorf("making the data folder: %w", err)
		}
		return path, nil
	}
	if choice.Kafka == embedded {
		dir, err := within("kafka")
		if err != nil {
			return nil, err
		}
		kafka, err := devstack.StartFakeKafka(devstack.FakeKafkaConfig{Dir: dir})
		if err != nil {
			return nil, fmt.Errorf("starting the embedded Kafka: %w", err)
		}
		b.kafka, b.kinds["kafka"] = kafka.Address, "embedded (kfake)"
		b.ends = append(b.ends, kafka.Close)
	}
	if choice.Redis == embedded {
		if err := b.startRedis(ctx); err != nil {
			return nil, err
		}
	}
	if choice.Postgres == embedded {
		dir, err := within("postgres")
		if err != nil {
			return nil, err
		}
		postgres, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{Dir: dir, Durable: folder != ""})
		if err != nil {
			return nil, fmt.Errorf("starting the embedded Postgres: %w", err)
		}
		b.postgres, b.kinds["postgres"] = postgres.URL, "embedded (a local server)"
		b.ends = append(b.ends, postgres.Close)
	}
	return b, nil
}

// startRedis starts the machine's redis-server, or the in-process one where
// there is none.
func (b *backends) startRedis(ctx context.Context) error {
	server, err := devstack.StartRedis(ctx, devstack.RedisConfig{})
	if err == nil {
		b.redis, b.kinds["redis"] = server.URL, "embedded (a local redis-server)"
		b.ends = append(b.ends, server.Close)
		return nil
	}
	var missing *devstack.MissingError
	if !errors.As(err, &missing) {
		return fmt.Errorf("starting the embedded Redis: %w", err)
	}
	small, err := devstack.StartMiniRedis(devstack.MiniRedisConfig{})
	if err != nil {
		return fmt.Errorf("starting the embedded Redis: %w", err)
	}
	b.redis, b.kinds["redis"] = small.URL, "embedded (miniredis)"
	b.ends = append(b.ends, small.Close)
	return nil
}

// ownDatabase makes a database for this run on a server that is not ours, and
// removes it at the end.
func (b *backends) ownDatabase(ctx context.Context, name string) error {
	server := b.postgres
	database, err := devstack.CreateDatabase(ctx, server, name)
	if err != nil {
		return fmt.Errorf("making a database for this run: %w", err)
	}
	b.postgres = database
	b.ends = append(b.ends, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		return devstack.DropDatabase(ctx, server, name)
	})
	return nil
}

// ownTopic removes, at the end, the topic that this run makes on a broker that
// is not ours.
func (b *backends) ownTopic(config kafka.Config) {
	b.ends = append(b.ends, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		return kafka.Delete(ctx, config)
	})
}

// close ends what was started here, last first.
func (b *backends) close() error {
	var errs []error
	for i := len(b.ends) - 1; i >= 0; i-- {
		errs = append(errs, b.ends[i]())
	}
	b.ends = nil
	return errors.Join(errs...)
}
