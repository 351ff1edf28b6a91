package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresConfig says how a Postgres server runs.
type PostgresConfig struct {
	Binaries string // folder with initdb and postgres; empty: see FindPostgres
	Dir      string // folder for data and log, kept by Close and used again when it has data; empty: a temporary one
	Port     int    // 0: a free one
	Durable  bool   // sync every commit to disk: for measurements, and for data that is to be kept
	Detached bool   // outlives this process
}

// Postgres is a postgres process, with its own data, which trusts everybody on
// the loopback interface. Committed data survives Kill and Restart; without
// Durable, not a crash of the machine.
//
// Postgres refuses to run as root. When this process is root, the server runs
// as the user postgres, or nobody, and owns its data folder, nothing else.
type Postgres struct {
	server

	URL string // postgres://postgres@127.0.0.1:port/postgres?sslmode=disable
}

// StartPostgres starts Postgres and waits until it answers. Without Binaries
// and without a local installation, it fetches some at the first use.
func StartPostgres(ctx context.Context, config PostgresConfig) (*Postgres, error) {
	if config.Binaries == "" {
		found, err := FindPostgres(ctx)
		if err != nil {
			return nil, err
		}
		config.Binaries = found
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, temporary, err := folder(config.Dir, "postgres")
	if err != nil {
		return nil, err
	}
	p := &Postgres{server: server{
		name:       "postgres",
		stopSignal: syscall.SIGINT, // the fast shutdown: waits for no client
		patience:   30 * time.Second,
		temporary:  temporary,
	}}
	p.ready = p.ask
	data := filepath.Join(dir, "data")
	if err := prepareData(ctx, config.Binaries, data, owner); err != nil {
		return nil, closing(p, err)
	}
	err = withPort(config.Port, func(port int) error {
		p.URL = fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", loopback(port))
		p.command = command{
			path:        filepath.Join(config.Binaries, "postgres"),
			arguments:   append([]string{"-D", data}, postgresSettings(port, config.Durable)...),
			dir:         data,
			environment: postgresEnvironment(),
			log:         filepath.Join(dir, "postgres.log"),
			credential:  owner.credential(),
			detached:    config.Detached,
		}
		return p.start(ctx)
	})
	if err != nil {
		return nil, closing(p, err)
	}
	return p, nil
}

// postgresSettings are the server's, as arguments.
func postgresSettings(port int, durable bool) []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(port),
		"unix_socket_directories=",
		"max_connections=200",
		"log_min_messages=warning",
	}
	if durable {
		settings = append(settings, "fsync=on", "synchronous_commit=on", "full_page_writes=on")
	} else {
		// Commits still wait until the system has their log, not the disk, or
		// a kill would take the last ones along.
		settings = append(settings, "fsync=off", "synchronous_commit=on", "full_page_writes=off",
			// In the data folder, so that a kill leaves nothing in /dev/shm.
			"dynamic_shared_memory_type=mmap")
	}
	arguments := make([]string, 0, 2*len(settings))
	for _, setting := range settings {
		arguments = append(arguments, "-c", setting)
	}
	return arguments
}

// postgresEnvironment keeps our PG* variables from the server.
func postgresEnvironment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

// prepareData makes the data folder unless it is there already.
func prepareData(ctx context.Context, binaries, data string, owner account) error {
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return errors.Join(owner.checkReach(data), awaitPredecessor(ctx, data))
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("looking at postgres's data: %w", err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("making postgres's data folder: %w", err)
	}
	if err := owner.give(data); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	initialise := exec.CommandContext(ctx, filepath.Join(binaries, "initdb"),
		"--pgdata="+data, "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initialise.Dir = data
	initialise.Env = postgresEnvironment()
	initialise.SysProcAttr = &syscall.SysProcAttr{Credential: owner.credential(), Setpgid: true}
	if printed, err := initialise.CombinedOutput(); err != nil {
		return fmt.Errorf("making postgres's data: %w\n%s", err, printed)
	}
	return nil
}

// awaitPredecessor gives the system a moment to clear away a server on the same
// data that has just died: until then Postgres takes it for alive, and refuses
// to start. One that is alive is left to Postgres to complain about.
func awaitPredecessor(ctx context.Context, data string) error {
	content, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for another postgres: %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return nil // half written; Postgres judges it
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	again := time.NewTicker(settleInterval)
	defer again.Stop()
	for ProcessIdentity(pid) == "" && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
	return nil
}

func (p *Postgres) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	defer connection.Close(ctx)
	if err := connection.Ping(ctx); err != nil {
		return fmt.Errorf("asking postgres: %w", err)
	}
	return nil
}

// closing closes a backend that could not be started and returns why.
func closing(backend interface{ Close() error }, reason error) error {
	return errors.Join(reason, backend.Close())
}
