package devstack

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// RedisConfig says how a Redis server runs.
type RedisConfig struct {
	Port       int    // 0: a free one
	Dir        string // folder for data and log, kept by Close; empty: a temporary one
	AppendOnly bool   // log every write, synced once a second, and read it back at the start
	Databases  int    // 0: 16
	Detached   bool   // outlives this process
}

// Redis is a redis-server process. Without AppendOnly it comes back empty from
// a Stop or Kill.
type Redis struct {
	server

	URL string // redis://127.0.0.1:port/0

	address string
}

// StartRedis starts the redis-server of this machine and waits until it
// answers. The error is a *MissingError when there is none.
func StartRedis(ctx context.Context, config RedisConfig) (*Redis, error) {
	program, err := LookRedis()
	if err != nil {
		return nil, err
	}
	dir, temporary, err := folder(config.Dir, "redis")
	if err != nil {
		return nil, err
	}
	r := &Redis{server: server{
		name:       "redis",
		stopSignal: syscall.SIGTERM,
		patience:   15 * time.Second,
		temporary:  temporary,
	}}
	r.ready = r.ping
	err = withPort(config.Port, func(port int) error {
		r.URL, r.address = redisURL(port), loopback(port)
		r.command = command{
			path: program,
			arguments: []string{
				"--bind", "127.0.0.1",
				"--port", strconv.Itoa(port),
				"--dir", dir,
				"--save", "",
				"--appendonly", yesNo(config.AppendOnly),
				"--databases", strconv.Itoa(max(config.Databases, 16)),
				"--daemonize", "no",
			},
			dir:      dir,
			log:      filepath.Join(dir, "redis.log"),
			detached: config.Detached,
		}
		return r.start(ctx)
	})
	if err != nil {
		return nil, closing(r, err)
	}
	return r, nil
}

func (r *Redis) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return r.ask(ctx, "PING", "+PONG") // while it reads its data: -LOADING
}

// Empty removes all keys of all databases. ctx needs a deadline.
func (r *Redis) Empty(ctx context.Context) error { return r.ask(ctx, "FLUSHALL", "+OK") }

// ask speaks the protocol by hand, because the client library writes every
// refused connection to standard error, and refusals are expected here.
func (r *Redis) ask(ctx context.Context, command, want string) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", r.address)
	if err != nil {
		return fmt.Errorf("connecting to redis: %w", err)
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	if err := connection.SetDeadline(deadline); err != nil {
		return fmt.Errorf("setting redis's deadline: %w", err)
	}
	if _, err := connection.Write([]byte(command + "\r\n")); err != nil {
		return fmt.Errorf("asking redis: %w", err)
	}
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return fmt.Errorf("asking redis: %w", err)
	}
	if answer != want+"\r\n" {
		return fmt.Errorf("redis answers %s with %q", command, answer)
	}
	return nil
}

func redisURL(port int) string { return "redis://" + loopback(port) + "/0" }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
