package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack"
)

// testDatabases is how many Redis databases tests take turns on.
const testDatabases = 1024

// services are the servers of one checkout.
type services struct {
	module string // folder of go.mod
	folder string // .services
}

// running is what is remembered of the servers between up and down.
type running struct {
	Processes []process
	// PostgresDir is outside of the folder when Postgres's user cannot reach
	// that.
	PostgresDir string
}

type process struct {
	Name     string
	PID      int
	Identity string
	Signal   syscall.Signal // asks for an orderly end
}

func (p process) alive() bool {
	return p.Identity != "" && devstack.ProcessIdentity(p.PID) == p.Identity
}

func (s services) stateFile() string   { return filepath.Join(s.folder, "processes.json") }
func (s services) environment() string { return filepath.Join(s.folder, "env") }
func (s services) data() string        { return filepath.Join(s.folder, "data") }
func (s services) libs() string        { return filepath.Join(s.folder, "kafka", "libs") }

// up starts the servers unless they run. When only some do, all start afresh.
func (s services) up(ctx context.Context) error {
	known, err := s.load()
	if err != nil {
		return err
	}
	if s.complete(known) {
		fmt.Printf("already running; addresses are in %s\n", s.environment())
		return nil
	}
	if err := s.down(ctx); err != nil {
		return err
	}
	if err := s.installed(); err != nil {
		return err
	}
	if err := s.fetchKafka(ctx); err != nil {
		return err
	}
	var started running
	lines, err := s.start(ctx, &started)
	if err != nil {
		return errors.Join(err, s.end(context.WithoutCancel(ctx), started))
	}
	if err := os.WriteFile(s.environment(), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return errors.Join(fmt.Errorf("writing the addresses: %w", err), s.end(context.WithoutCancel(ctx), started))
	}
	fmt.Printf("ready; addresses are in %s\n", s.environment())
	return nil
}

// status says whether all servers run.
func (s services) status() error {
	known, err := s.load()
	if err != nil {
		return err
	}
	if !s.complete(known) {
		return errNotRunning
	}
	fmt.Printf("running; addresses are in %s\n", s.environment())
	return nil
}

// down ends the servers that still run and removes their data.
func (s services) down(ctx context.Context) error {
	known, err := s.load()
	if err != nil {
		return err
	}
	return s.end(ctx, known)
}

// installed says what is not, before anything is started.
func (s services) installed() error {
	_, java := devstack.LookJava()
	_, maven := devstack.LookMaven()
	_, redis := devstack.LookRedis()
	if s.fetched() {
		maven = nil // only fetching needs it
	}
	var names []string
	for _, err := range []error{java, maven, redis} {
		if err != nil {
			names = append(names, err.Error())
		}
	}
	if len(names) > 0 {
		return errors.New(strings.Join(names, "; "))
	}
	return nil
}

// start starts the servers, adds each to started as soon as it runs, and
// returns the lines of the addresses' file.
func (s services) start(ctx context.Context, started *running) ([]string, error) {
	if err := os.MkdirAll(s.data(), 0o755); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	fmt.Println("starting Kafka")
	kafka, err := devstack.StartKafka(ctx, devstack.KafkaConfig{
		Libs: s.libs(), Dir: filepath.Join(s.data(), "kafka"), Detached: true,
	})
	if err != nil {
		return nil, err
	}
	if err := s.remember(started, "kafka", kafka.PID(), syscall.SIGTERM); err != nil {
		return nil, err
	}
	fmt.Println("starting Redis")
	redis, err := devstack.StartRedis(ctx, devstack.RedisConfig{
		Dir: filepath.Join(s.data(), "redis"), AppendOnly: true, Databases: testDatabases, Detached: true,
	})
	if err != nil {
		return nil, err
	}
	if err := s.remember(started, "redis", redis.PID(), syscall.SIGTERM); err != nil {
		return nil, err
	}
	fmt.Println("starting Postgres")
	started.PostgresDir, err = s.postgresDir()
	if err != nil {
		return nil, err
	}
	postgres, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{
		Dir: started.PostgresDir, Durable: true, Detached: true,
	})
	if err != nil {
		return nil, err
	}
	if err := s.remember(started, "postgres", postgres.PID(), syscall.SIGINT); err != nil {
		return nil, err
	}
	return []string{
		"export ANTEROOM_TEST_KAFKA_BROKERS=" + kafka.Address,
		"export ANTEROOM_TEST_REDIS_URL=" + redis.URL,
		"export ANTEROOM_TEST_POSTGRES_URL='" + postgres.URL + "'",
		"export ANTEROOM_TEST_KAFKA_LIBS='" + s.libs() + "'",
	}, nil
}

// postgresDir is in our folder, unless Postgres's user cannot reach that: then
// it is a temporary one.
func (s services) postgresDir() (string, error) {
	dir := filepath.Join(s.data(), "postgres")
	if devstack.PostgresReaches(dir) == nil {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "anteroom-services-postgres-")
	if err != nil {
		return "", fmt.Errorf("making a folder for postgres: %w", err)
	}
	return dir, nil
}

// fetched says whether the jars are those that the pom names.
func (s services) fetched() bool {
	want, err := os.ReadFile(s.pom())
	if err != nil {
		return false
	}
	have, err := os.ReadFile(s.fetchedPom())
	return err == nil && string(have) == string(want)
}

func (s services) pom() string        { return filepath.Join(s.module, "deployments", "kafka", "pom.xml") }
func (s services) fetchedPom() string { return filepath.Join(s.folder, "kafka", "fetched-pom.xml") }

// fetchKafka brings the broker's jars, unless they are there.
func (s services) fetchKafka(ctx context.Context) error {
	if s.fetched() {
		return nil
	}
	maven, err := devstack.LookMaven()
	if err != nil {
		return err
	}
	fmt.Println("fetching Kafka with Maven")
	if err := os.RemoveAll(s.libs()); err != nil {
		return fmt.Errorf("removing other jars: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	fetch := exec.CommandContext(ctx, maven, "-q", "-B", "-f", s.pom(),
		"dependency:copy-dependencies", "-DoutputDirectory="+s.libs())
	if printed, err := fetch.CombinedOutput(); err != nil {
		return fmt.Errorf("fetching kafka: %w\n%s", err, printed)
	}
	content, err := os.ReadFile(s.pom())
	if err != nil {
		return fmt.Errorf("reading the pom: %w", err)
	}
	if err := os.WriteFile(s.fetchedPom(), content, 0o644); err != nil {
		return fmt.Errorf("noting what was fetched: %w", err)
	}
	return nil
}

func (s services) load() (running, error) {
	var known running
	content, err := os.ReadFile(s.stateFile())
	if errors.Is(err, os.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return known, fmt.Errorf("reading what runs: %w", err)
	}
	if err := json.Unmarshal(content, &known); err != nil {
		return known, fmt.Errorf("reading what runs from %s: %w", s.stateFile(), err)
	}
	return known, nil
}

// complete says whether all servers run and their addresses are known.
func (s services) complete(known running) bool {
	if _, err := os.Stat(s.environment()); err != nil || len(known.Processes) == 0 {
		return false
	}
	for _, p := range known.Processes {
		if !p.alive() {
			return false
		}
	}
	return true
}

// remember notes a server that runs, at once, so that down finds it even when
// up is interrupted.
func (s services) remember(started *running, name string, pid int, signal syscall.Signal) error {
	started.Processes = append(started.Processes, process{
		Name: name, PID: pid, Identity: devstack.ProcessIdentity(pid), Signal: signal,
	})
	content, err := json.MarshalIndent(started, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding what runs: %w", err)
	}
	if err := os.WriteFile(s.stateFile(), content, 0o644); err != nil {
		return fmt.Errorf("noting what runs: %w", err)
	}
	return nil
}

// end ends the processes that are still those we started, and removes data and
// notes.
func (s services) end(ctx context.Context, known running) error {
	for _, p := range known.Processes {
		if !p.alive() {
			continue // the process with this id, if any, is somebody else's
		}
		fmt.Printf("stopping %s\n", p.Name)
		if err := endProcess(ctx, p); err != nil {
			return err
		}
	}
	gone := []string{s.environment(), s.data(), s.stateFile()}
	if known.PostgresDir != "" {
		gone = append(gone, known.PostgresDir)
	}
	for _, path := range gone {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing what the services left: %w", err)
		}
	}
	return nil
}

func endProcess(ctx context.Context, p process) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := syscall.Kill(p.PID, p.Signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping %s: %w", p.Name, err)
	}
	orderly, cancelOrderly := context.WithTimeout(ctx, 15*time.Second)
	defer cancelOrderly()
	if devstack.AwaitEnd(orderly, p.PID, p.Identity) == nil || !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("killing %s: %w", p.Name, err)
	}
	return devstack.AwaitEnd(ctx, p.PID, p.Identity)
}
