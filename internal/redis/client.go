package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// callTimeout bounds a call of Redis as a whole, connecting included.
	callTimeout = 500 * time.Millisecond

	// connections is the pool's size: the gate's calls in flight, the hints',
	// the leases', and a few publications and credits of owners at once. Each
	// subscription has one more.
	connections = 8

	// maxIdle is how long an unused connection is kept: less than what load
	// balancers and firewalls commonly allow.
	maxIdle = 4 * time.Minute
)

// Client is a Redis server that a gate, credits and feeds share. Its methods may be
// called from several goroutines.
type Client struct {
	redis *goredis.Client
}

// Open reads an address of the form redis://user:password@host:port/database,
// or rediss:// for TLS, all parts but the host being optional; its query may
// set go-redis's options, as in ?read_timeout=1s. It tries once to connect, so
// that the first shopper does not wait for that, but a server which does not
// answer is no error: the service starts without Redis. Errors do not repeat
// the address, which may hold a password.
func Open(ctx context.Context, address string) (*Client, error) {
	options, err := parse(address)
	if err != nil {
		return nil, fmt.Errorf("reading the address of redis: %w", err)
	}
	logging.Disable() // of all go-redis: it writes to stderr what it also returns
	client := &Client{redis: goredis.NewClient(options)}
	_ = client.Ping(ctx) // see above; whoever needs to know asks again
	return client, nil
}

// Ping asks the server for a sign of life.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("pinging redis: %w", err)
	}
	return nil
}

// Close closes all connections. Gates, credits and feeds have to be stopped before.
func (c *Client) Close() error {
	if err := c.redis.Close(); err != nil {
		return fmt.Errorf("closing redis's connections: %w", err)
	}
	return nil
}

// Errors of an address. They quote nothing: in an address that is not
// percent-encoded correctly, any part may be a piece of the password.
var (
	errMalformed = errors.New("it is not of the form redis://user:password@host:port/database (percent-encode special characters)")
	errScheme    = errors.New("it has to begin with redis:// or rediss://")
	errHost      = errors.New("it names no host")
	errDatabase  = errors.New("its path is not the number of a database")
)

func parse(address string) (*goredis.Options, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Fragment != "" {
		return nil, errMalformed
	}
	if parsed.Scheme != "redis" && parsed.Scheme != "rediss" {
		return nil, errScheme
	}
	if parsed.Hostname() == "" {
		return nil, errHost
	}
	if database := strings.Trim(parsed.Path, "/"); database != "" {
		if number, err := strconv.Atoi(database); err != nil || number < 0 {
			return nil, errDatabase
		}
	}
	options, err := goredis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("its query: %w", err)
	}
	size(options)
	return options, nil
}

// size sets what the address has not set.
func size(options *goredis.Options) {
	setDefault(&options.DialTimeout, callTimeout)
	setDefault(&options.ReadTimeout, callTimeout)
	setDefault(&options.WriteTimeout, callTimeout)
	setDefault(&options.PoolTimeout, callTimeout)
	setDefault(&options.ConnMaxIdleTime, maxIdle)
	setDefault(&options.PoolSize, connections)
	// A script that has run and is repeated would refuse its own buyers, and a
	// message that is late is worth nothing: nothing is tried twice.
	setDefault(&options.MaxRetries, -1)
	options.DialerRetries = 1
	options.ContextTimeoutEnabled = true
	// Pipelines use the same connections as everything else.
	setDefault(&options.PipelinePoolSize, -1)
	// RESP2 has all that is used here and no push messages, and the rest would
	// be round trips on every new connection.
	setDefault(&options.Protocol, 2)
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func setDefault[T comparable](setting *T, value T) {
	var unset T
	if *setting == unset {
		*setting = value
	}
}
