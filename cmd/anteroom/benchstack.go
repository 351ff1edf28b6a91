package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/lab/bench"
	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/internal/postgres"
)

// benchStack starts what is measured, as processes of this program, on real
// backends. It makes a topic and a database for each, and removes them
// afterwards. All share one Redis, where keys carry the log's id. One that was
// started here is emptied after each; in another what is left ends by itself.
type benchStack struct {
	self     string // this program
	folder   string // for logs
	libs     string // the broker's jars
	profiles string // folder; empty: none
	secrets  secretSettings
	run      string // tells runs on the same servers apart

	kafka, redis, postgres string
	empty                  func() error // of what is left in Redis
	pids                   map[string]int
	ends                   []func() error // of what was started here

	started atomic.Int64 // names what is started
}

var _ bench.Stack = (*benchStack)(nil)

// newBenchStack starts the backends that are to be started here.
func newBenchStack(ctx context.Context, c *benchCommand) (_ *benchStack, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	secrets, err := devSecrets("")
	if err != nil {
		return nil, err
	}
	s := &benchStack{
		self: self, libs: c.KafkaLibs, profiles: c.Profile, secrets: secrets, run: strconv.FormatInt(time.Now().UnixMilli(), 36),
		kafka: c.Kafka, redis: c.Redis, postgres: c.Postgres, pids: make(map[string]int),
		empty: func() error { return nil }, // it is somebody's
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.folder, err = os.MkdirTemp("", "anteroom-bench-"); err != nil {
		return nil, fmt.Errorf("making a folder for logs: %w", err)
	}
	s.ends = append(s.ends, func() error { return os.RemoveAll(s.folder) })
	if s.kafka == local {
		kafka, err := devstack.StartKafka(ctx, devstack.KafkaConfig{Libs: c.KafkaLibs})
		if err != nil {
			return nil, fmt.Errorf("starting Kafka: %w (its jars are brought by: make kafka)", err)
		}
		s.kafka, s.pids["kafka"] = kafka.Address, kafka.PID()
		s.ends = append(s.ends, kafka.Close)
	}
	if s.redis == local {
		redis, err := devstack.StartRedis(ctx, devstack.RedisConfig{})
		if err != nil {
			return nil, fmt.Errorf("starting Redis: %w", err)
		}
		s.redis, s.pids["redis"] = redis.URL, redis.PID()
		s.ends = append(s.ends, redis.Close)
		s.empty = func() error {
			ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			defer cancel()
			return redis.Empty(ctx)
		}
	}
	if s.postgres == local {
		postgres, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{Durable: true})
		if err != nil {
			return nil, fmt.Errorf("starting Postgres: %w", err)
		}
		s.postgres, s.pids["postgres"] = postgres.URL, postgres.PID()
		s.ends = append(s.ends, postgres.Close)
	}
	return s, nil
}

// Close ends what was started here, last first.
func (s *benchStack) Close() error {
	var errs []error
	for _, end := range slices.Backward(s.ends) {
		errs = append(errs, end())
	}
	s.ends = nil
	return errors.Join(errs...)
}

// name names what is started next.
func (s *benchStack) name() string {
	return "anteroom_bench_" + s.run + "_" + strconv.FormatInt(s.started.Add(1), 10)
}

// Backends is bench.Stack's.
func (s *benchStack) Backends() map[string]int { return maps.Clone(s.pids) }

// Syncs is bench.Stack's.
func (s *benchStack) Syncs(ctx context.Context) (int64, error) {
	return postgres.Syncs(ctx, s.postgres)
}

// Generator is bench.Stack's.
func (s *benchStack) Generator(ctx context.Context) (*load.Driver, error) {
	command := exec.CommandContext(ctx, s.self, "bench-load")
	command.Env = s.environment()
	return load.Start(ctx, command)
}

// environment is that of all processes.
func (s *benchStack) environment(more ...string) []string {
	if s.profiles != "" {
		more = append(more, "ANTEROOM_PROFILE_DIR="+s.profiles)
	}
	return append(os.Environ(), more...)
}

// launch starts this program again.
func (s *benchStack) launch(ctx context.Context, name, ask string, environment []string, arguments ...string) (*devstack.Program, error) {
	return devstack.StartProgram(ctx, devstack.ProgramConfig{
		Name: name, Path: s.self, Arguments: arguments, Environment: environment,
		Dir: filepath.Join(s.folder, s.name()), Ready: func(ctx context.Context) error { return answers(ctx, ask) },
	})
}

// answers reports whether a URL is answered well.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

func loopbackAddress() (string, error) {
	port, err := devstack.FreePort()
	return "127.0.0.1:" + strconv.Itoa(port), err
}

// benchRival is a rival's process.
type benchRival struct {
	program  *devstack.Program
	address  string
	settings []rival.Setting
	ends     []func() error
}

// Rival is bench.Stack's.
func (s *benchStack) Rival(ctx context.Context, config rival.Config, commitDelay time.Duration) (_ bench.Rival, err error) {
	r := &benchRival{ends: []func() error{s.empty}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if config.Kind != rival.BareEcho {
		if config.PostgresURL, err = s.database(ctx, s.name(), commitDelay, &r.ends); err != nil {
			return nil, err
		}
		config.RedisURL = s.redis
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding the rival: %w", err)
	}
	if r.address, err = loopbackAddress(); err != nil {
		return nil, err
	}
	r.program, err = s.launch(ctx, "rival", "http://"+r.address+"/report", s.environment(), "bench-rival", "--config", string(encoded), "--listen", r.address)
	if err != nil {
		return nil, err
	}
	r.ends = append(r.ends, r.program.Close)
	report, err := r.report(ctx)
	r.settings = report.Settings
	return r, err
}

// database makes a database, and has it removed by one of the ends. It is not
// interrupted: the server would go on making one that nobody removes.
func (s *benchStack) database(ctx context.Context, name string, commitDelay time.Duration, ends *[]func() error) (url string, err error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if url, err = devstack.CreateDatabase(ctx, s.postgres, name); err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	*ends = append(*ends, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		return devstack.DropDatabase(ctx, s.postgres, name)
	})
	if commitDelay == 0 {
		return url, nil
	}
	for setting, value := range map[string]string{
		"commit_delay":    strconv.FormatInt(commitDelay.Microseconds(), 10),
		"commit_siblings": "0", // it is for a single commit, too
	} {
		if err := devstack.SetForDatabase(ctx, s.postgres, name, setting, value); err != nil {
			return "", err
		}
	}
	return url, nil
}

func (r *benchRival) Address() string           { return r.address }
func (r *benchRival) Processes() map[string]int { return map[string]int{"rival": r.program.PID()} }
func (r *benchRival) Settings() []rival.Setting { return r.settings }

func (r *benchRival) Tally(ctx context.Context) (rival.Tally, error) {
	report, err := r.report(ctx)
	return report.Tally, err
}

func (r *benchRival) report(ctx context.Context) (report rivalReport, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+"/report", nil)
	if err != nil {
		return report, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return report, fmt.Errorf("asking the rival for its report: %w", err)
	}
	defer response.Body.Close()
	if err := json.UnmarshalRead(response.Body, &report); err != nil {
		return report, fmt.Errorf("reading the rival's report: %w", err)
	}
	return report, nil
}

func (r *benchRival) Close() error {
	var errs []error
	for _, end := range slices.Backward(r.ends) {
		errs = append(errs, end())
	}
	r.ends = nil
	return errors.Join(errs...)
}

// brokers are the addresses of Kafka.
func (s *benchStack) brokers() []string { return strings.Split(s.kafka, ",") }
